# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node: each transition is one step of the tracking system."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
import traceback
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from sam2_tracker.core.errors import TrackerError
from sam2_tracker.ros.log import log_to
from sam2_tracker.ros.node.diagnostics import Readiness
from sam2_tracker.ros.node.engine import ModelLoader, Sam2Loader
from sam2_tracker.ros.node.tracking_system import TrackingSystem
from sam2_tracker.ros.parameters import NodeParameters

REPLY_TIMEOUT_S = 0.5
POLL_PERIOD_S = 0.01


class TrackerNode(LifecycleNodeMixin, Node):
    """
    The tracker as a ROS node; every service exists from construction.

    :param loader: makes the model; tests pass a fake
    :param model_parameters: those of a model that is shared, None if it is the node's own
    :param options: what rclpy's Node takes
    :raises ConfigError: a parameter override is not accepted
    """

    def __init__(self, loader: ModelLoader | None = None,
                 model_parameters: NodeParameters | None = None, **options: Any) -> None:
        Node.__init__(self, 'sam2_tracker', **options)
        # The state can be asked for while a transition runs.
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        _refuse_unfit_transitions(self)
        self._cancelled = threading.Event()
        self._triggering = threading.Lock()
        self._is_starting = False
        self._system = TrackingSystem(
            self, loader or Sam2Loader(log_to(self.get_logger())), self._cancelled,
            model_parameters)

    @property
    def readiness(self) -> Readiness:
        """Return the lifecycle state in words."""
        return self._system.readiness

    @property
    def parameters(self) -> NodeParameters:
        """Return the node's parameters."""
        return self._system.parameters

    def on_configure(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm the model."""
        outcome = self._attempt(self._system.configure, 'configuring', 'unconfigured', 'inactive')
        # By now others have been found: loading takes longer.
        self._warn_of_namesakes()
        return outcome

    def on_activate(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and track."""
        return self._attempt(self._system.activate, 'activating', 'inactive', 'active')

    def on_deactivate(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Stop; objects and frames stay."""
        return self._attempt(self._system.deactivate, 'deactivating', 'active', 'inactive')

    def on_cleanup(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and the frames."""
        return self._attempt(self._system.clean_up, 'cleaning up', 'inactive', 'unconfigured')

    def on_shutdown(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Stop whatever runs, for good."""
        return self._attempt(self._system.clean_up, 'shutting down', 'finalized', 'finalized')

    def on_error(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Go back to the beginning after a fault."""
        return self._attempt(self._system.clean_up, 'recovering', 'finalized', 'unconfigured')

    def autostart(self) -> None:
        """Configure and activate, if the parameter says so; in a thread of its own."""
        if not self._system.parameters.config.autostart:
            return
        with self._triggering:
            if self._cancelled.is_set():
                return
            self._is_starting = True
        try:
            is_configured = _goes_well(self.trigger_configure)
        finally:
            self._is_starting = False
        with self._triggering:
            if is_configured and not self._cancelled.is_set():
                _goes_well(self.trigger_activate)

    def close(self, timeout_s: float) -> bool:
        """
        Bring the node to its final state, whatever state it is in.

        :returns: False if a transition that was under way has not ended in time
        """
        self._cancelled.set()
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            with self._triggering:
                if self._step_down():
                    return self._system.replies.drain(REPLY_TIMEOUT_S)
            time.sleep(POLL_PERIOD_S)
        return False

    def destroy_node(self) -> None:
        """Leave the graph."""
        super().destroy_node()
        # It holds the node's handle: without this the name stays until the interpreter ends, which
        # `os._exit` leaves out, and others see it for the 20 s of the participant's lease.
        self.__dict__.pop('_state_machine', None)

    def _step_down(self) -> bool:
        if self._is_starting:
            return False
        state = self._state_machine.current_state[1]
        steps = {'active': self.trigger_deactivate, 'inactive': self.trigger_cleanup,
                 'unconfigured': self.trigger_shutdown}
        if state in steps:
            _goes_well(steps[state])
        return state == 'finalized'

    def _warn_of_namesakes(self) -> None:
        own = self.get_name(), self.get_namespace()
        if self.get_node_names_and_namespaces().count(own) > 1:
            self.get_logger().warning(
                f'another node {self.get_fully_qualified_name()} is in the graph: requests reach '
                'both and results of both are mixed; stop one, or start it in a namespace of its '
                'own (-r __ns:=/NAME). One that was killed is listed for 20 s more')

    def _attempt(self, step: Callable[[], None], during: str, back_in: str,
                 then_in: str) -> TransitionCallbackReturn:
        readiness = self._system.readiness
        readiness.entered(during)
        try:
            step()
        except TrackerError as error:
            failure, trace = str(error), ''
        except Exception as error:  # noqa: BLE001 - rclpy swallows it here without a word
            failure, trace = f'{type(error).__name__}: {error}', f'\n{traceback.format_exc()}'
        else:
            readiness.entered(then_in)
            self.get_logger().info(f'the tracker is {then_in}')
            return TransitionCallbackReturn.SUCCESS
        readiness.failed(back_in, f'{during} failed: {failure}')
        if not self._cancelled.is_set():
            self.get_logger().error(f'{during} failed: {failure}{trace}')
        return TransitionCallbackReturn.FAILURE


def _refuse_unfit_transitions(node: Node) -> None:
    # Up to Jazzy, rclpy raises out of the callback instead, and whoever asked waits for ever.
    service = next(service for service in node.services if service.srv_type is ChangeState)
    change_state = service.callback

    def on_change_state(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        try:
            return change_state(request, response)
        except rclpy_implementation.RCLError as error:
            node.get_logger().error(f'transition {request.transition.id} is refused: {error}')
            response.success = False
            return response

    service.callback = on_change_state


def _goes_well(transition: Callable[[], TransitionCallbackReturn]) -> bool:
    """Take a transition; False if it fails, or a lifecycle manager has just taken another."""
    try:
        return transition() == TransitionCallbackReturn.SUCCESS
    except rclpy_implementation.RCLError:
        return False

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one model: the node `trackers`, and a tracker node for each camera."""

from __future__ import annotations

from collections.abc import Sequence
import re
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sam2_tracker.core.config import NodeConfig, PARAMETERS
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.sharing.shared_model import SharingReport
from sam2_tracker.core.text import counted, shown
from sam2_tracker.core.worker.statistics import percentile
from sam2_tracker.ros.log import log_to
from sam2_tracker.ros.node.diagnostics import PERIOD_S
from sam2_tracker.ros.node.engine import ModelLoader, Sam2Loader
from sam2_tracker.ros.node.model_host import ModelHost
from sam2_tracker.ros.node.tracker_node import TrackerNode
from sam2_tracker.ros.node.tracking_system import CAMERAS
from sam2_tracker.ros.parameters import MODEL_PARAMETERS, NodeParameters

_NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*')
_ACCEPTED = ('names of one camera or more, each once and of letters, digits and _, as in '
             '-p cameras:="[front, left]"')
_WITHOUT_MODEL = ('unconfigured', 'finalized')


class TrackersNode(Node):
    """
    The node that the model belongs to: its parameters, and how the cameras share it.

    :param loader: makes the model; tests pass a fake
    :param options: what rclpy's Node takes
    :ivar cameras: for each name in the parameter `cameras` a node `<name>/sam2_tracker`, with a
        lifecycle, topics, services and parameters of its own
    :raises ConfigError: a parameter override of any of the nodes is not accepted
    """

    def __init__(self, loader: ModelLoader | None = None, **options: Any) -> None:
        super().__init__('trackers', **options)
        self.cameras: list[TrackerNode] = []
        log = log_to(self.get_logger())
        names = _declare_cameras(self)
        self._host = ModelHost(loader or Sam2Loader(log), log)
        self.parameters = NodeParameters(
            self, self._is_free, self._show_on_cameras, MODEL_PARAMETERS, elsewhere=PARAMETERS)
        self.cameras += [self._camera(name, options) for name in names]
        self._worked_s: dict[str, float] = {}
        self._told_s = time.monotonic()
        self._publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_timer(PERIOD_S, self.on_timer, MutuallyExclusiveCallbackGroup(),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _camera(self, name: str, options: dict[str, Any]) -> TrackerNode:
        namespace = f'{self.get_namespace().rstrip("/")}/{name}'
        # Before those of the process, which are the node `trackers`' own.
        rules = ['--ros-args', '-r', f'__ns:={namespace}', '-r', '__node:=sam2_tracker', '--']
        return TrackerNode(self._host.loader_for(name), self.parameters, **{
            **options, 'cli_args': [*rules, *options.get('cli_args', ())]})

    def _is_free(self) -> bool:
        return all(camera.readiness.state in _WITHOUT_MODEL for camera in self.cameras)

    def _show_on_cameras(self, _: NodeConfig) -> None:
        for camera in self.cameras:
            camera.parameters.show(self.parameters.values)

    def on_timer(self) -> None:
        """Say on /diagnostics how the model is shared."""
        array = DiagnosticArray(status=[self._status()])
        array.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _status(self) -> DiagnosticStatus:
        report = self._host.report()
        name = self.get_fully_qualified_name()
        status = DiagnosticStatus(name=f'{name}: model', hardware_id=name,
                                  level=DiagnosticStatus.OK)
        figures = {'cameras': str(len(self.cameras))}
        if report.sharing is None:
            status.message = ('the model is being loaded' if report.is_loading
                              else 'no camera is configured: no model is loaded')
        else:
            sharing = counted(len(report.sharing.cameras), 'camera')
            status.message = f'model {report.model_name} for {sharing}'
            figures |= {'model': report.model_name, **self._shares(report.sharing)}
        status.values = [KeyValue(key=key, value=value) for key, value in figures.items()]
        return status

    def _shares(self, sharing: SharingReport) -> dict[str, str]:
        """Return what each camera had of the model's time since the last message."""
        now_s = time.monotonic()
        period_s, self._told_s = max(now_s - self._told_s, 1e-6), now_s
        before_s, self._worked_s = self._worked_s, {
            name: counts.worked_s for name, counts in sharing.cameras.items()}
        figures = {}
        for name, counts in sharing.cameras.items():
            part = max(0.0, counts.worked_s - before_s.get(name, 0.0)) / period_s
            figures |= {f'{name} turns': str(counts.calls), f'{name} share %': f'{100 * part:.0f}'}
            if counts.waits_s:
                figures |= {f'{name} wait p{tail} ms':
                            f'{1000 * percentile(list(counts.waits_s), tail):.1f}'
                            for tail in (50, 95)}
        return {**figures, 'joint runs': str(sharing.joint_runs),
                'joint runs failed': str(sharing.joint_failures)}


def _declare_cameras(node: Node) -> Sequence[str]:
    """
    Declare the parameter `cameras`, which stays as it is at start.

    :raises ConfigError: it is missing, or has other things in it than names
    """
    descriptor = ParameterDescriptor(dynamic_typing=True)
    given = node.declare_parameter(CAMERAS, '', descriptor).value
    names = list(given) if isinstance(given, list | tuple) else []
    if (not names or len(set(names)) < len(names)
            or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names)):
        # A list without entries has no type, and rclpy gives no value for it.
        written = shown(names or given) if given else 'empty'
        raise ConfigError(f"parameter '{CAMERAS}' is {written}: expected are {_ACCEPTED}")
    node.undeclare_parameter(CAMERAS)
    node.declare_parameter(CAMERAS, names, ParameterDescriptor(
        name=CAMERAS, read_only=True, additional_constraints=_ACCEPTED,
        description='Names of the cameras that share the model; each has its node in the '
                    'namespace of that name. Settable: fixed.'), ignore_override=True)
    return names

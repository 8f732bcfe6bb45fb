# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The node's parts put together, and what each transition does with them."""

from __future__ import annotations

import threading
import traceback

from rclpy.node import Node
from sam2_tracker.core.config import FramePolicy, NodeConfig
from sam2_tracker.core.types import IdAllocator
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.ros.inputs.image_input import ImageInput
from sam2_tracker.ros.inputs.prompt_topics import check_messages, prompt_topics_of, PromptTopic
from sam2_tracker.ros.log import log_to
from sam2_tracker.ros.node.diagnostics import Diagnostics, NotReadyError, Readiness
from sam2_tracker.ros.node.engine import Engine, EngineHooks, ModelLoader
from sam2_tracker.ros.outputs.publishers import OutputPublishers
from sam2_tracker.ros.parameters import NodeParameters
from sam2_tracker.ros.services.memory_services import MemoryServices, ObjectMemories
from sam2_tracker.ros.services.replies import Replies
from sam2_tracker.ros.services.services import TrackerServices

# The parameter of the node `trackers` that names the cameras.
CAMERAS = 'cameras'


class TrackingSystem:
    """
    Everything of the node but the lifecycle itself.

    Services, outputs and diagnostics exist from construction; the engine from configure to
    cleanup; the camera and topics of prompts while active.

    :param node: whose entities they are
    :param loader: makes the model
    :param cancelled: set when the process stops
    :param model_parameters: those of a model that is shared, None if it is the node's own
    :raises ConfigError: a parameter override is not accepted
    """

    def __init__(self, node: Node, loader: ModelLoader, cancelled: threading.Event,
                 model_parameters: NodeParameters | None = None) -> None:
        self._node = node
        self._loader = loader
        self._cancelled = cancelled
        self._ids = IdAllocator()
        self._engine: Engine | None = None
        self._input: ImageInput | None = None
        self._prompt_topics: list[PromptTopic] = []
        self._is_tracking = False
        self.readiness = Readiness(node.get_fully_qualified_name())
        self.parameters = NodeParameters(
            node, self._is_unconfigured, self.on_parameters, owner=model_parameters,
            elsewhere=() if model_parameters is None else (CAMERAS,))
        self._outputs = OutputPublishers(
            node, lambda: self.parameters.config.annotate, self._record)
        self.replies = Replies(node)
        self._services = TrackerServices(
            node, self.replies, self.worker, self._outputs.forget, self._camera_trouble)
        self._memory_services = MemoryServices(node, self.replies, self._memories)
        self._diagnostics = Diagnostics(
            node, self.readiness, lambda: self._engine, lambda: self._input,
            lambda: tuple(self._prompt_topics), lambda: self._outputs.fault)

    def worker(self) -> Worker:
        """
        Return the worker.

        :raises NotReadyError: the node is not active; with the reason
        """
        return self._active_engine().worker

    def _camera_trouble(self) -> str:
        camera = self._input
        return '' if camera is None else camera.trouble()

    def _memories(self) -> ObjectMemories:
        return self._active_engine().memories

    def _active_engine(self) -> Engine:
        reason = self.readiness.reason()
        engine = self._engine
        if reason or engine is None:
            raise NotReadyError(reason or 'the tracker is just being changed; ask again')
        return engine

    def on_parameters(self, config: NodeConfig) -> None:
        """Pass live settings on."""
        if self._engine is not None:
            self._engine.worker.set_tracking(config.tracking)
            self._engine.worker.set_detections(config.detections)

    def configure(self) -> None:
        """
        Load and warm the model.

        :raises TrackerError: something that the settings name is missing or damaged
        """
        config = self.parameters.config
        check_messages(config)
        hooks = EngineHooks(
            self._ids, self._outputs.put, self._outputs.wanted, log_to(self._node.get_logger()),
            self._cancelled)
        try:
            self._engine = Engine(
                config.core, config.prompt.prompts_file, hooks, self._loader,
                config.memory.directory)
        except Exception as error:
            # What was loaded so far is still held by the traceback.
            traceback.clear_frames(error.__traceback__)
            self._loader.release()
            raise

    def activate(self) -> None:
        """
        Subscribe and track.

        :raises TrackerError: the frame under way at the last stop is still not done
        """
        self._is_tracking = True
        try:
            self._start_tracking(self.parameters.config)
        except Exception:
            self.deactivate()
            raise

    def _start_tracking(self, config: NodeConfig) -> None:
        assert self._engine is not None
        worker = self._engine.worker
        self._outputs.start(lossless=config.input.frame_policy is FramePolicy.EVERY)
        worker.start()
        worker.set_tracking(config.tracking)
        worker.set_detections(config.detections)
        self._input = ImageInput(
            self._node, config.input, worker.append,
            lambda: self.parameters.config.input.max_value)
        self._prompt_topics = prompt_topics_of(
            self._node, lambda: self.parameters.config, self.worker, self._input.newest,
            self._outputs.newest_annotated)

    def deactivate(self) -> None:
        """Stop, if it tracks; objects and frames stay."""
        if not self._is_tracking:
            return
        self._is_tracking = False
        while self._prompt_topics:
            self._prompt_topics.pop().close()
        if self._input is not None:
            self._input.close()
            self._input = None
        # The worker may be waiting for a subscriber that does not acknowledge.
        self._outputs.hurry()
        if self._engine is not None:
            self._engine.stop()
        self._outputs.stop()

    def clean_up(self) -> None:
        """Free the model and the frames."""
        self.deactivate()
        self._outputs.clear()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()
            del engine
            self._loader.release()

    def _is_unconfigured(self) -> bool:
        return self.readiness.state == 'unconfigured'

    def _record(self, stage: str, duration_s: float) -> None:
        if self._engine is not None:
            self._engine.worker.statistics.record(stage, duration_s)

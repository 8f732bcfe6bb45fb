# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the node says of itself: why it is not ready, and state and figures on /diagnostics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.frames.stored_frame import BufferStatistics, format_stamp
from sam2_tracker.core.protocols import GraphCounts
from sam2_tracker.core.text import counted
from sam2_tracker.core.worker.detection_prompts import DetectionCounts
from sam2_tracker.core.worker.statistics import StageLatency
from sam2_tracker.core.worker.worker import WorkerReport
from sam2_tracker.ros.inputs.image_input import ImageInput
from sam2_tracker.ros.inputs.prompt_topics import PromptTopic
from sam2_tracker.ros.node.engine import Engine

PERIOD_S = 1.0
MIB = 1024 ** 2

ACTIVE = 'active'

# A camera may just be starting: that it is silent is said in the log after so many messages.
LASTING = 3


@dataclass(frozen=True)
class Verdict:
    """
    How the node is.

    :param level: OK, WARN or ERROR of DiagnosticStatus
    :param end: what the log is to say when it is over; '' where the log has its lines already
    :param lasting: after how many messages the log is to say that it is so
    """

    level: bytes
    message: str
    end: str = ''
    lasting: int = LASTING


class Alarms:
    """Says in the log what is wrong for some time, once, and when it is over."""

    def __init__(self, node: Node) -> None:
        self._logger = node.get_logger()
        self._current = Verdict(DiagnosticStatus.OK, '')
        self._count = 0

    def take(self, verdict: Verdict) -> None:
        """Take in the newest verdict."""
        if verdict.end != self._current.end:
            if self._current.end and self._count >= self._current.lasting:
                self._logger.info(self._current.end)
            self._count = 0
        self._current = verdict
        self._count += 1
        if verdict.end and self._count == verdict.lasting:
            self._logger.warning(verdict.message)


class NotReadyError(TrackerError):
    """A request came while the tracker is not active."""


class Readiness:
    """
    Remembers the lifecycle state and the last failure.

    :param node_name: the node's full name, for the command that would help
    """

    def __init__(self, node_name: str) -> None:
        self._node_name = node_name
        self.state = 'unconfigured'
        self.failure = ''

    def entered(self, state: str) -> None:
        """Note a transition that went well."""
        self.state = state
        self.failure = ''

    def failed(self, state: str, failure: str) -> None:
        """Note a transition that failed and the state that it led back to."""
        self.state = state
        self.failure = failure

    def reason(self) -> str:
        """Say what the tracker is and what would make it active, empty if it is active."""
        if self.state == ACTIVE:
            return ''
        if self.failure:
            verb = 'configure' if self.state == 'unconfigured' else 'activate'
            return (f'the tracker is {self.state}: {self.failure.rstrip(".")}; when that is '
                    f'mended, ros2 lifecycle set {self._node_name} {verb}')
        return f'the tracker is {self.state}: {self._what_next()}'

    def _what_next(self) -> str:
        steps = {
            'unconfigured': f'ros2 lifecycle set {self._node_name} configure, then activate',
            'configuring': 'the model is being loaded; ask again when it is active',
            'inactive': f'ros2 lifecycle set {self._node_name} activate',
            'finalized': 'it was shut down; start it anew'}
        return steps.get(self.state, 'ask again when it is active')


class Diagnostics:
    """
    Publishes a DiagnosticArray once a second, by a steady clock, as long as the node lives.

    :param engine: returns the engine, None while there is none
    :param image_input: returns the camera's subscription, None while not active
    :param prompt_topics: returns the topics of prompts that are subscribed to
    :param publishing_fault: returns why the newest result was not published, '' if it was
    """

    def __init__(self, node: Node, readiness: Readiness, engine: Callable[[], Engine | None],
                 image_input: Callable[[], ImageInput | None],
                 prompt_topics: Callable[[], Sequence[PromptTopic]],
                 publishing_fault: Callable[[], str]) -> None:
        self._node = node
        self._readiness = readiness
        self._engine = engine
        self._input = image_input
        self._prompt_topics = prompt_topics
        self._publishing_fault = publishing_fault
        self._alarms = Alarms(node)
        self._lost_before = self._refused_before = 0
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        node.create_timer(PERIOD_S, self.on_timer, MutuallyExclusiveCallbackGroup(),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_timer(self) -> None:
        """Publish the present state, and start a worker again that has died."""
        array = DiagnosticArray(status=[self._status()])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)
        engine = self._engine()
        if engine is not None:
            engine.worker.revive()

    def _status(self) -> DiagnosticStatus:
        name = self._node.get_fully_qualified_name()
        status = DiagnosticStatus(name=f'{name}: tracker', hardware_id=name)
        status.values = [KeyValue(key='state', value=self._readiness.state)]
        engine, camera = self._engine(), self._input()
        if engine is None:
            verdict = self._verdict_without_engine()
            status.level, status.message = verdict.level, verdict.message
            return status
        report, buffered = engine.worker.report(), engine.buffer_statistics()
        lost_messages = camera.lost_messages if camera is not None else 0
        refused = camera.refused if camera is not None else 0
        figures = {**_stream_figures(report, buffered, lost_messages, refused),
                   **_prompt_figures(self._prompt_topics()),
                   **_latency_figures(report.statistics.latencies)}
        status.values += [KeyValue(key=key, value=value) for key, value in figures.items()]
        lost = lost_messages + buffered.lost
        verdict = self._verdict(report, buffered, lost, camera)
        self._lost_before, self._refused_before = lost, refused
        self._alarms.take(verdict)
        status.level, status.message = verdict.level, verdict.message
        return status

    def _verdict_without_engine(self) -> Verdict:
        level = DiagnosticStatus.ERROR if self._readiness.failure else DiagnosticStatus.OK
        return Verdict(level, self._readiness.reason())

    def _verdict(self, report: WorkerReport, buffered: BufferStatistics, lost: int,
                 camera: ImageInput | None) -> Verdict:
        if self._readiness.failure:
            return Verdict(DiagnosticStatus.ERROR, self._readiness.reason())
        if self._readiness.state != ACTIVE or camera is None:
            return Verdict(DiagnosticStatus.OK, self._readiness.reason())
        if fault := report.death or report.fault or self._publishing_fault():
            return Verdict(DiagnosticStatus.ERROR, fault)
        if lost > self._lost_before:
            return Verdict(DiagnosticStatus.ERROR,
                           f'{lost - self._lost_before} frames lost, {lost} in all')
        return self._warning(report, buffered, camera) or Verdict(
            DiagnosticStatus.OK,
            'paused' if report.paused else f'tracking {counted(report.objects, "object")}')

    def _warning(self, report: WorkerReport, buffered: BufferStatistics,
                 camera: ImageInput) -> Verdict | None:
        warn = DiagnosticStatus.WARN
        if report.stall:
            return Verdict(warn, report.stall, 'results come again', lasting=1)
        if buffered.trouble:
            return Verdict(warn, buffered.trouble)
        if camera.is_refusing or camera.refused > self._refused_before:
            return Verdict(warn, camera.refuses())
        if not camera.has_publisher():
            return Verdict(
                warn, camera.nobody_publishes(), f'{camera.topic} is published')
        if not report.paused and not report.statistics.fps_in:
            return Verdict(warn, f'no images come in on {camera.topic}',
                           f'images come in on {camera.topic}')
        for topic in self._prompt_topics():
            if trouble := topic.trouble():
                return Verdict(warn, trouble, f'{topic.topic} can be heard')
        return None


def _prompt_figures(topics: Sequence[PromptTopic]) -> dict[str, str]:
    """Return how many messages were lost, by what they are."""
    lost: Counter[str] = Counter()
    for topic in topics:
        lost[topic.counted] += topic.lost_messages
    return {f'{what} lost': str(count) for what, count in lost.items()}


def _stream_figures(report: WorkerReport, buffered: BufferStatistics,
                    lost_messages: int, refused: int) -> dict[str, str]:
    """Return the figures of the stream, the buffer and the objects."""
    stream = report.statistics
    return {
        'fps in': f'{stream.fps_in:.1f}',
        'fps out': f'{stream.fps_out:.1f}',
        'frames in': str(stream.frames_in),
        'frames out': str(stream.frames_out),
        'frames skipped': str(buffered.skipped),
        'frames dropped': str(buffered.dropped),
        'frames lost': str(buffered.lost + lost_messages),
        'frames failed': str(stream.failed),
        'images refused': str(max(refused, buffered.unreadable)),
        'buffer frames': str(buffered.held),
        'buffer waiting': str(buffered.waiting),
        'buffer disk MiB': f'{buffered.disk_bytes / MIB:.1f}',
        'buffer memory MiB': f'{buffered.memory_bytes / MIB:.1f}',
        'oldest buffered stamp': _stamp(buffered.oldest_stamp_ns),
        'oldest refinable stamp': _stamp(report.oldest_refinable_ns),
        'device memory MiB': f'{report.state_bytes / MIB:.1f}',
        'objects': str(report.objects),
        'objects catching up': str(report.catching_up),
        'prompts waiting': str(report.waiting_prompts),
        'cuts': str(report.cuts),
        'paused': str(report.paused).lower(),
        **_counts('graphs', report.graphs),
        **_counts('detections', report.detections)}


def _counts(what: str, counts: GraphCounts | DetectionCounts | None) -> dict[str, str]:
    """Return what was counted of something; nothing where it is not there."""
    if counts is None:
        return {}
    return {f'{what} {name}'.replace('_', ' '): str(count)
            for name, count in asdict(counts).items()}


def _stamp(stamp_ns: int | None) -> str:
    return '' if stamp_ns is None else format_stamp(stamp_ns)


def _latency_figures(latencies: tuple[StageLatency, ...]) -> dict[str, str]:
    """Return p50 and p95 of each stage; `total` is from receiving to having published."""
    figures = {}
    for each in latencies:
        name = 'latency' if each.stage == 'total' else f'stage {each.stage}'
        figures[f'{name} p50 ms'] = f'{each.p50_ms:.1f}'
        figures[f'{name} p95 ms'] = f'{each.p95_ms:.1f}'
    return figures

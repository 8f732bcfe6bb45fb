# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The person at the other end of the topics: prompts, watches and writes everything down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import contextlib
from dataclasses import replace
import threading
import time
from typing import Any, TypeVar

from demo.pixels import label_image_from_msg, mask_from_msg, picture_from_msg
from demo.processes import DemoError
from demo.recording import Call, RecordedFrame
from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sam2_tracker.core.types import (  # noqa: I101
    BoolArray,
    Prompt,
    TrackedObject,
    UInt8Array,
    UInt16Array,
)
from sam2_tracker.ros.messages import (
    prompt_to_msg,
    stamp_from_msg,
    stamp_to_msg,
    tracked_object_from_msg,
)
from sam2_tracker_msgs.msg import TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts, ListObjects
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

Received = TypeVar('Received')

TRACKER = 'sam2_tracker'
SOURCE = 'video_source'
# Nothing may be lost on the way into the record.
EVERYTHING = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class Operator(Node):
    """
    Calls the services and records the topics of a tracker in the same namespace.

    :param mask_ids: objects whose own mask topics are recorded; they need not exist yet
    :param on_frame: called with the number of frames so far whenever a result arrives
    """

    def __init__(
        self,
        mask_ids: Iterable[int],
        on_frame: Callable[[int], object] = lambda _: None,
        **options: Any,
    ) -> None:
        super().__init__('operator', **options)
        self._on_frame = on_frame
        self._changed = threading.Condition()
        # When the first output of a frame came, by the frame's stamp.
        self._arrival_s: dict[int, float] = {}
        self._objects: dict[int, tuple[TrackedObject, ...]] = {}
        self._label_images: dict[int, UInt16Array] = {}
        self._masks: dict[int, dict[int, BoolArray]] = {}
        self._annotated: dict[int, UInt8Array] = {}
        self.diagnostics: Mapping[str, str] = {}
        self.calls: list[Call] = []
        self._listen(mask_ids)

    def _listen(self, mask_ids: Iterable[int]) -> None:
        tracker = TRACKER
        self.create_subscription(TrackedObjects, f'{tracker}/objects', self.on_objects, LATCHED)
        self.create_subscription(Image, f'{tracker}/label_image', self.on_label_image, EVERYTHING)
        self.create_subscription(Image, f'{tracker}/annotated', self.on_annotated, EVERYTHING)
        for object_id in mask_ids:
            self.create_subscription(
                Image,
                f'{tracker}/object_{object_id}/mask',
                lambda msg, own=object_id: self.on_mask(own, msg),
                EVERYTHING,
            )
        self.create_subscription(DiagnosticArray, '/diagnostics', self.on_diagnostics, 10)

    def on_objects(self, msg: TrackedObjects) -> None:
        """Note one frame's result."""
        found = tuple(tracked_object_from_msg(item) for item in msg.objects)
        self._note(self._objects, stamp_from_msg(msg.header.stamp), found)

    def on_label_image(self, msg: Image) -> None:
        """Note one frame's label image."""
        self._note(self._label_images, stamp_from_msg(msg.header.stamp), label_image_from_msg(msg))

    def on_mask(self, object_id: int, msg: Image) -> None:
        """Note one object's mask on one frame."""
        key = stamp_from_msg(msg.header.stamp)
        self._note(self._masks, key, {**self._masks.get(key, {}), object_id: mask_from_msg(msg)})

    def on_annotated(self, msg: Image) -> None:
        """Note one annotated picture."""
        self._note(self._annotated, stamp_from_msg(msg.header.stamp), picture_from_msg(msg))

    def _note(self, record: dict[int, Received], stamp_ns: int, received: Received) -> None:
        """Note an output; any of them tells that its frame was tracked."""
        with self._changed:
            record[stamp_ns] = received
            if stamp_ns not in self._arrival_s:
                self._arrival_s[stamp_ns] = time.monotonic()
                self._on_frame(self.frame_count)
            self._changed.notify_all()

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        """Keep the tracker's newest figures."""
        for status in msg.status:
            if status.hardware_id.endswith(TRACKER):
                self.diagnostics = {entry.key: entry.value for entry in status.values}

    @property
    def frame_count(self) -> int:
        """Return how many frames' results have arrived."""
        return len(self._arrival_s)

    def has_frame(self, index: int) -> bool:
        """Tell whether a frame's result has arrived."""
        return self.frame_count > index

    def has_everything(self) -> bool:
        """Tell whether every frame's result, label image and annotated picture has arrived."""
        outputs = (self._objects, self._label_images, self._annotated)
        return all(stamp in output for stamp in self._arrival_s for output in outputs)

    @property
    def stamps(self) -> list[int]:
        """Return the frames' stamps in the order of the stream."""
        return sorted(self._arrival_s)

    def frames(self) -> tuple[RecordedFrame, ...]:
        """Return everything that was recorded, in the order of the stream."""
        with self._changed:
            return tuple(
                RecordedFrame(
                    stamp_ns,
                    self._objects.get(stamp_ns, ()),
                    self._label_images.get(stamp_ns),
                    self._masks.get(stamp_ns, {}),
                    self._annotated.get(stamp_ns),
                )
                for stamp_ns in self.stamps
            )

    def frames_per_second(self) -> float:
        """Return the rate at which results arrived, without the first, which was held."""
        arrivals = sorted(self._arrival_s.values())
        seconds = arrivals[-1] - arrivals[1] if len(arrivals) > 2 else 0.0
        return (len(arrivals) - 2) / seconds if seconds else 0.0

    def wait_until(
        self,
        condition: Callable[[], bool],
        check: Callable[[], None],
        what: str,
        timeout_s: float = 120.0,
    ) -> None:
        """
        Wait for a condition, as long as something arrives now and then.

        :param check: raises if waiting makes no sense any more
        :param what: what is waited for, for the error
        :raises DemoError: nothing arrived for the given time
        """
        deadline, seen = time.monotonic() + timeout_s, self.frame_count
        with self._changed:
            while not condition():
                check()
                self._changed.wait(0.2)
                if self.frame_count != seen:
                    deadline, seen = time.monotonic() + timeout_s, self.frame_count
                if time.monotonic() > deadline:
                    raise DemoError(f'{what}: nothing for {timeout_s:.0f} s after {seen} frames')

    def wait_active(self, check: Callable[[], None], timeout_s: float = 120.0) -> None:
        """
        Wait until the tracker is active.

        :raises DemoError: it fails, or is not by then; with its reason
        """
        client = self.create_client(ListObjects, f'{TRACKER}/list_objects')
        deadline, reason = time.monotonic() + timeout_s, 'no answer'
        while time.monotonic() < deadline:
            check()
            if client.wait_for_service(0.5):
                reply = self._call(client, ListObjects.Request())
                if reply.success:
                    return
                reason = reply.message
                if 'failed' in reason:
                    break
                time.sleep(0.5)
        raise DemoError(f'the tracker does not become active: {reason}')

    def wait_for_picture_topics(self, check: Callable[[], None]) -> None:
        """Wait until the tracker sees that its pictures are subscribed to."""
        topics = [f'{TRACKER}/label_image', f'{TRACKER}/annotated']
        self.wait_until(
            lambda: all(self.count_publishers(topic) for topic in topics),
            check,
            "waiting for the tracker's topics",
        )

    def wait_for_figures(self, check: Callable[[], None]) -> None:
        """Wait for the tracker's figures on all of its frames."""
        self.wait_until(
            lambda: int(self.diagnostics.get('frames out', 0)) >= self.frame_count,
            check,
            "waiting for the tracker's figures",
            timeout_s=10.0,
        )

    def add_prompts(self, on_frame: int, prompts: Sequence[Prompt]) -> Call:
        """
        Prompt objects on a frame that has arrived.

        :raises DemoError: the tracker refuses; with its reason
        """
        client = self.create_client(AddPrompts, f'{TRACKER}/add_prompts')
        request = AddPrompts.Request(
            stamp=stamp_to_msg(self.stamps[on_frame]),
            prompts=[prompt_to_msg(prompt) for prompt in prompts],
            with_label_image=True,
        )
        sent_after = self.frame_count
        reply = self._call(client, request)
        if not reply.success:
            raise DemoError(f'the tracker refused a prompt: {reply.message}')
        found = tuple(tracked_object_from_msg(item) for item in reply.objects)
        prompted = tuple(
            replace(prompt, object_id=item.id) for prompt, item in zip(prompts, found, strict=True)
        )
        call = Call(
            on_frame,
            prompted,
            sent_after,
            self.frame_count,
            found,
            label_image_from_msg(reply.label_image),
        )
        self.calls.append(call)
        return call

    def play(self) -> None:
        """Let the video go on after its first frame."""
        self._call(self.create_client(Trigger, f'{SOURCE}/play'), Trigger.Request())

    def snapshot(self) -> str:
        """Have the tracker link its frames into a folder; return its path."""
        client = self.create_client(Trigger, f'{TRACKER}/snapshot')
        reply = self._call(client, Trigger.Request())
        if not reply.success:
            raise DemoError(f'the tracker made no snapshot: {reply.message}')
        return str(reply.message)

    def _call(self, client: Any, request: Any, timeout_s: float = 30.0) -> Any:
        if not client.wait_for_service(timeout_s):
            raise DemoError(f'there is no service {client.srv_name}')
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(timeout_s):
            raise DemoError(f'{client.srv_name} does not answer within {timeout_s:.0f} s')
        return future.result()


@contextlib.contextmanager
def spinning(make: Callable[[], Operator]) -> Any:
    """Make a node and keep it spinning in a thread until the end of a ``with`` block."""
    rclpy.init()
    node = make()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join(5.0)
        node.destroy_node()
        rclpy.try_shutdown()


def _spin(executor: SingleThreadedExecutor) -> None:
    with contextlib.suppress(ExternalShutdownException):
        executor.spin()

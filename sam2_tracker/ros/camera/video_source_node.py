# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The node that plays a source: which of its frames, when each is due, and as which message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
import re
import threading
import time

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sam2_tracker.core.errors import ConfigError, FrameError
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.log import Log
from sam2_tracker.core.settings import Value
from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.offline.sources.video import FolderSource, VideoSource, WebcamSource
from sam2_tracker.ros.camera.video_source_options import SPECS
from sam2_tracker.ros.log import log_to
from sam2_tracker.ros.messages import image_to_msg, jpeg_to_msg, NS_PER_S, stamp_to_msg
from sam2_tracker.ros.parameters import declare_checked, refuse_unmatched_files, warn_of_unknown
from sam2_tracker.ros.qos import has_arrived, image_topic
from sam2_tracker.ros.standing_node import ros_running
from sam2_tracker.ros.stop_request import StopRequest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

# Later than this, and the source is slower than its own rate: its clock is set anew.
MAX_LATE_NS = NS_PER_S // 2
# Deep enough that a subscriber that pauses for some seconds still gets everything.
RELIABLE_DEPTH = 100
BEST_EFFORT_DEPTH = 5
JPEG_QUALITY = 95
ACKNOWLEDGED_WITHIN_S = 10.0
# From the moment a subscriber is seen until it surely sees this publisher.
DISCOVERY_S = 0.5
POLL_S = 0.05


def run(arguments: Sequence[str], stop: StopRequest) -> str:
    """
    Play until the end of the source or until told to stop.

    :returns: what of the source could not be published, as it is damaged; empty if nothing, or
        if its end was not waited for
    :raises ConfigError: an argument or a parameter is not accepted
    :raises FrameError: the source cannot be read
    """
    with ros_running(arguments):
        node = VideoSourceNode()
        refuse_unmatched_files(arguments, node.get_fully_qualified_name())
        _play(node, stop)
        return '' if stop.is_made() else node.source.damage


class VideoSourceNode(Node):
    """Plays one source."""

    def __init__(self) -> None:
        super().__init__('video_source')
        for spec in SPECS:
            declare_checked(self, spec)
        warn_of_unknown(self)
        self.source = _open_source(str(self.value('path')), log_to(self.get_logger()))
        compressed = self.value('image_transport') == 'compressed'
        topic = image_topic(self.resolve_topic_name('image'), str(self.value('image_transport')))
        self._publisher = self.create_publisher(
            CompressedImage if compressed else Image, topic, self._qos()
        )
        self._to_msg = _compressed_msg if compressed else _raw_msg
        self._released = threading.Event()
        self.create_service(Trigger, '~/play', self.on_play)
        self._say_what_is_published()

    def _say_what_is_published(self) -> None:
        rate_hz = float(self.value('rate')) or self.source.rate_hz
        kind = 'CompressedImage' if self._to_msg is _compressed_msg else 'Image'
        self.get_logger().info(
            f'publishing {self.value("path")} on {self._publisher.topic_name} '
            f'(sensor_msgs/{kind}, {rate_hz:g} frames a second, {self.value("reliability")})'
        )

    def value(self, name: str) -> Value:
        """Return a parameter."""
        return self.get_parameter(name).value

    def on_play(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Let a source go on that holds its first frame."""
        response.success = bool(self.value('hold_first')) and not self._released.is_set()
        response.message = '' if response.success else 'it is playing already'
        self._released.set()
        return response

    def play(self, stop: StopRequest) -> None:
        """
        Publish every frame when it is due, until the end or until told to stop.

        :raises FrameError: a frame is unreadable
        """
        if not self._wait_for_subscriber(stop):
            return
        began, count = time.monotonic(), 0
        for stamp_ns, frame in self._due_frames(stop):
            header = Header(stamp=stamp_to_msg(stamp_ns), frame_id=str(self.value('frame_id')))
            self._publisher.publish(self._to_msg(frame, header))
            count += 1
            if count == 1 and not self._hold(stop):
                return
        self._drain(stop)
        self.get_logger().info(f'{count} frames in {time.monotonic() - began:.1f} s')

    def _due_frames(self, stop: StopRequest) -> Iterator[tuple[int, SourceFrame]]:
        """Yield stamps and frames, each when it is due."""
        if isinstance(self.source, WebcamSource):
            yield from self._webcam_frames(self.source, stop)
            return
        pacer = Pacer(time.monotonic_ns, self.get_clock().now().nanoseconds)
        for time_ns, frame in timed_frames(self.source, self._section()):
            wait_s, stamp_ns = pacer.schedule(time_ns)
            if stop.wait(wait_s):
                return
            yield stamp_ns, frame

    def _webcam_frames(
        self, source: WebcamSource, stop: StopRequest
    ) -> Iterator[tuple[int, SourceFrame]]:
        rate_hz = float(self.value('rate'))
        due_ns = 0
        for frame in source.frames():
            if stop.is_made():
                return
            if frame.stamp_ns >= due_ns:
                due_ns += round(1e9 / rate_hz) if rate_hz else 0
                yield self.get_clock().now().nanoseconds, frame

    def _section(self) -> Section:
        first, last = int(self.value('first_frame')), int(self.value('last_frame'))
        if -1 < last < first:
            raise ConfigError(
                f"parameter 'last_frame' is {last}: it is before first_frame {first}"
            )
        return Section(float(self.value('rate')), bool(self.value('loop')), first, last)

    def _qos(self) -> QoSProfile:
        reliable = self.value('reliability') == 'reliable'
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        depth = RELIABLE_DEPTH if reliable else BEST_EFFORT_DEPTH
        return QoSProfile(depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=policy)

    def _wait_for_subscriber(self, stop: StopRequest) -> bool:
        """Wait if that is asked for, or to hold a frame: somebody has to have it for prompts."""
        is_patient, is_holding = self.value('wait_for_subscriber'), self.value('hold_first')
        if not is_patient and not is_holding:
            return True
        self.get_logger().info(f'waiting for a subscriber of {self._publisher.topic_name}')
        while not self._publisher.get_subscription_count():
            if self._released.is_set() and not is_patient:
                return True
            if stop.wait(POLL_S):
                return False
        return not stop.wait(DISCOVERY_S)

    def _hold(self, stop: StopRequest) -> bool:
        if not self.value('hold_first'):
            return True
        self.get_logger().info(
            'holding the first frame; the rest is for: ros2 service call '
            f'{self.resolve_service_name("~/play")} std_srvs/srv/Trigger')
        while not self._released.is_set():
            if stop.wait(POLL_S):
                return False
        return True

    def _drain(self, stop: StopRequest) -> None:
        """Wait until the last frames, which are still on their way, have arrived."""
        end_s = time.monotonic() + ACKNOWLEDGED_WITHIN_S
        while time.monotonic() < end_s:
            if has_arrived(self._publisher) or stop.wait(POLL_S):
                return


@dataclass(frozen=True)
class Section:
    """
    Which part of a recording is played and how fast.

    :param rate_hz: frames a second, 0 for the recording's own times
    :param first: number of the first frame
    :param last: number of the last frame, -1 for that of the recording
    """

    rate_hz: float = 0.0
    loop: bool = False
    first: int = 0
    last: int = -1


def timed_frames(
    source: VideoSource | FolderSource, section: Section
) -> Iterator[tuple[int, SourceFrame]]:
    """
    Read frames together with the time since the first one, which goes on from loop to loop.

    :raises FrameError: a frame is unreadable
    """
    period_ns = round(NS_PER_S / (section.rate_hz or source.rate_hz))
    count = None if section.last < 0 else section.last - section.first + 1
    offset_ns, empty = 0, False
    while not empty:
        empty, time_ns, first_ns = True, 0, 0
        for position, frame in enumerate(islice(source.frames(section.first), count)):
            first_ns = frame.stamp_ns if position == 0 else first_ns
            time_ns = position * period_ns if section.rate_hz else frame.stamp_ns - first_ns
            yield offset_ns + time_ns, frame
            empty = False
        offset_ns += time_ns + period_ns
        empty = empty or not section.loop


class Pacer:
    """
    Steady times: frame times are laid on a clock, which waits for a source that is too slow.

    :param now_ns: a clock that never goes back
    :param stamp_ns: the stamp that belongs to the first frame
    """

    def __init__(self, now_ns: Callable[[], int], stamp_ns: int) -> None:
        self._now_ns = now_ns
        self._start_ns = now_ns()
        self._stamp_ns = stamp_ns

    def schedule(self, time_ns: int) -> tuple[float, int]:
        """
        Say when a frame is due.

        :param time_ns: the frame's time since the first one
        :returns: seconds to wait from now, 0 or more, and the frame's stamp in nanoseconds
        """
        late_ns = self._now_ns() - self._start_ns - time_ns
        if late_ns > MAX_LATE_NS:
            self._start_ns += late_ns
            self._stamp_ns += late_ns
        return max(0, -late_ns) / NS_PER_S, self._stamp_ns + time_ns


def _open_source(path: str, log: Log) -> VideoSource | FolderSource | WebcamSource:
    """
    Open a video file, a folder of pictures, or a webcam by its number.

    :param log: told what of a video is read, and what is damaged
    :raises FrameError: there is no such thing, or it cannot be read
    """
    if re.fullmatch(r'\d+', path):
        return WebcamSource(int(path))
    try:
        place = Path(path).expanduser()
        if place.is_dir():
            return FolderSource(place)
        if place.exists():
            return VideoSource(place, log)
    except (OSError, RuntimeError) as error:
        # The latter where a home folder is asked for of whom nobody knows.
        raise FrameError(f'{path} cannot be read: {error}') from error
    raise FrameError(
        f'{path!r} is not there: give a video file, a folder of JPEGs or PNGs, or a '
        "webcam's number"
    )


def _raw_msg(frame: SourceFrame, header: Header) -> Image:
    """Make an uncompressed message."""
    return image_to_msg(frame.image_rgb, 'rgb8', header)


def _compressed_msg(frame: SourceFrame, header: Header) -> CompressedImage:
    """Make a JPEG message; a stored JPEG stays as it is."""
    payload = frame.payload or jpeg.encode(frame.image_rgb, JPEG_QUALITY)
    return jpeg_to_msg(payload, header)


def _play(node: VideoSourceNode, stop: StopRequest) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
    thread.start()
    try:
        node.play(stop)
    finally:
        executor.shutdown()
        thread.join(timeout=2.0)
        node.source.close()
        node.destroy_node()


def _spin(executor: SingleThreadedExecutor) -> None:
    with contextlib.suppress(ExternalShutdownException):
        executor.spin()

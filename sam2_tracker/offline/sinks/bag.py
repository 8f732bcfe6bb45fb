# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A rosbag2 with the topics of the live node and the source's stamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import sys
from typing import Any, ClassVar, Literal, TYPE_CHECKING

import cv2
import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.result_topics import (
    is_result_topic,
    JPEG_QUALITY,
    mask_topic,
    NODE,
    ResultTopic,
    SCORE_THRESHOLD,
)
from sam2_tracker.core.types import (  # noqa: I101
    BoolArray,
    Box,
    FrameHeader,
    ObjectState,
    TrackedFrame,
    TrackedObject,
    UInt8Array,
    UInt16Array,
    Wanted,
)
from sam2_tracker.offline.sinks.bag_copy import TopicCopier
from sam2_tracker.offline.sinks.sink import Result
from sam2_tracker.offline.sources.bag import make_typestore

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore
    from sam2_tracker.render.overlay import Overlay

# The older of the two that rosbags writes.
_VERSION: Literal[8] = 8
TRACKED_OBJECTS = 'sam2_tracker_msgs/msg/TrackedObjects'
IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'


@dataclass(frozen=True)
class BagContent:
    """
    What goes into the bag besides the objects, their label image and their masks.

    :param storage: mcap or sqlite3
    :param copied_from: a bag whose own topics are copied along
    """

    storage: str = 'mcap'
    annotated: bool = False
    detections: bool = False
    copied_from: Path | None = None


class ResultBag:
    """
    Writes one message a topic and frame, recorded when the image was.

    :param folder: the bag, which does not exist yet
    :param log: told which of the source's topics cannot be copied, as nobody defines their type
    :raises ConfigError: if detections are wanted and vision_msgs is not installed
    :raises OutputError: if a copied topic is one of ours
    """

    WANTED: ClassVar[Wanted] = Wanted(label_image=True, masks=True)
    SUFFIXES: ClassVar[tuple[str, ...]] = ('.mcap', '.db3', '.yaml')

    def __init__(self, folder: Path, content: BagContent, log: Log = silent) -> None:
        types = make_typestore()
        self._messages = MessageFactory(types)
        self._content = content
        if content.detections and not self._messages.knows_detections:
            raise ConfigError(
                'detections need the messages of vision_msgs, which is not '
                'installed or not sourced here'
            )
        self._types = types
        self._writer = _open_writer(folder, content.storage)
        self._connections: dict[str, Connection] = {}
        self._names: tuple[tuple[int, str], ...] | None = None
        self._overlay: Overlay | None = None
        self._copier: TopicCopier | None = None
        if content.copied_from is not None:
            self._copier = TopicCopier(
                content.copied_from, self._writer, types, is_result_topic)
            if self._copier.left_out:
                log(
                    Level.WARN,
                    f'{content.copied_from} does not define the types of '
                    f'{", ".join(self._copier.left_out)}: not copied',
                )

    def write(self, result: Result) -> None:
        """Add one frame."""
        if self._copier is not None:
            self._copier.copy_until(result.recorded_ns)
        tracked, header = result.tracked, result.tracked.frame.header
        at_ns = result.recorded_ns
        objects = self._messages.objects(header, tracked.objects)
        self._put(ResultTopic.OBJECTS.value, at_ns, objects, LATCHED)
        assert tracked.label_image is not None
        label_image = self._messages.label_image(header, tracked.label_image)
        self._put(ResultTopic.LABEL_IMAGE.value, at_ns, label_image)
        for item, mask in zip(tracked.objects, tracked.masks, strict=True):
            self._put(mask_topic(item.id), at_ns, self._messages.mask(header, mask))
        if self._content.annotated:
            self._put(ResultTopic.ANNOTATED_JPEG.value, at_ns, self._annotated(tracked))
        if self._content.detections:
            self._put_detections(tracked, at_ns)

    def _annotated(self, tracked: TrackedFrame) -> Any:
        if self._overlay is None:
            from sam2_tracker.render.overlay import Overlay

            self._overlay = Overlay()
        return self._messages.jpeg(tracked.frame.header, self._overlay.draw(tracked))

    def _put_detections(self, tracked: TrackedFrame, at_ns: int) -> None:
        header, objects = tracked.frame.header, tracked.objects
        names = tuple((item.id, item.label) for item in objects)
        if names != self._names:
            label_info = self._messages.label_info(header, objects)
            self._put(ResultTopic.LABEL_INFO.value, at_ns, label_info, LATCHED)
            self._names = names
        detections = self._messages.detections(header, objects)
        self._put(ResultTopic.DETECTIONS.value, at_ns, detections)

    def _put(self, name: str, at_ns: int, message: Any, qos: Qos | None = None) -> None:
        if name not in self._connections:
            self._connections[name] = self._writer.add_connection(
                f'{NODE}/{name}',
                message.__msgtype__,
                typestore=self._types,
                offered_qos_profiles=[qos or OUTPUT],
            )
        self._writer.write(self._connections[name], at_ns, self._messages.serialise(message))

    def finish(self) -> None:
        """Write what is left and the index."""
        if self._copier is not None:
            self._copier.copy_until(None)
            self._copier.close()
        self._writer.close()

    def abort(self) -> None:
        """Close the files without an index."""
        if self._copier is not None:
            self._copier.close()
        self._writer.abort()


def _open_writer(folder: Path, storage: str) -> Writer:
    plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
    writer = Writer(folder, version=_VERSION, storage_plugin=plugin)
    if plugin is StoragePlugin.MCAP:
        # Masks shrink to a hundredth, and every reader of mcap undoes it by itself.
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    writer.open()
    return writer


def _qos(depth: int, durability: QosDurability) -> Qos:
    forever = QosTime(sec=9223372036, nsec=854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        durability,
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        False,
    )


LATCHED = _qos(1, QosDurability.TRANSIENT_LOCAL)
OUTPUT = _qos(5, QosDurability.VOLATILE)


class MessageFactory:
    """
    Makes messages with a type store's classes.

    :param types: with sam2_tracker_msgs, and vision_msgs if detections are to be made
    """

    def __init__(self, types: Typestore) -> None:
        self._types = types

    @property
    def knows_detections(self) -> bool:
        """Return whether vision_msgs was found."""
        return DETECTIONS in self._types.types and LABEL_INFO in self._types.types

    def serialise(self, message: Any) -> bytes:
        """Return a message as it goes over the wire and into a bag."""
        return bytes(self._types.serialize_cdr(message, message.__msgtype__))

    def objects(self, header: FrameHeader, objects: Sequence[TrackedObject]) -> Any:
        """Return TrackedObjects."""
        make = self._types.types[TRACKED_OBJECTS]
        return make(header=self._header(header), objects=[self._object(item) for item in objects])

    def label_image(self, header: FrameHeader, label_image: UInt16Array) -> Any:
        """Return an Image, mono16."""
        return self._image(header, label_image, 'mono16')

    def mask(self, header: FrameHeader, mask_hw: BoolArray) -> Any:
        """Return an Image, mono8 with 0 and 255."""
        return self._image(header, mask_hw.view(np.uint8) * np.uint8(255), 'mono8')

    def jpeg(self, header: FrameHeader, picture_bgr: UInt8Array) -> Any:
        """Return a CompressedImage."""
        _, encoded = cv2.imencode('.jpg', picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        make = self._types.types[COMPRESSED_IMAGE]
        return make(header=self._header(header), format='jpeg', data=encoded.reshape(-1))

    def detections(self, header: FrameHeader, objects: Sequence[TrackedObject]) -> Any:
        """Return a Detection2DArray of the visible objects."""
        found = [
            self._detection(header, item, item.box)
            for item in objects
            if item.state is ObjectState.VISIBLE and item.box is not None
        ]
        return self._types.types[DETECTIONS](header=self._header(header), detections=found)

    def label_info(self, header: FrameHeader, objects: Sequence[TrackedObject]) -> Any:
        """Return a LabelInfo: what the pixels of the label image mean."""
        name = self._types.types['vision_msgs/msg/VisionClass']
        classes = [name(class_id=item.id, class_name=_name(item)) for item in objects]
        return self._types.types[LABEL_INFO](
            header=self._header(header), class_map=classes, threshold=SCORE_THRESHOLD
        )

    def _header(self, header: FrameHeader) -> Any:
        sec, nanosec = divmod(header.stamp_ns, 10**9)
        stamp = self._types.types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec)
        return self._types.types['std_msgs/msg/Header'](stamp=stamp, frame_id=header.frame_id)

    def _object(self, item: TrackedObject) -> Any:
        box = item.box or Box(0, 0, 0, 0)
        region = self._types.types['sensor_msgs/msg/RegionOfInterest'](
            x_offset=box.x, y_offset=box.y, height=box.height, width=box.width, do_rectify=False
        )
        return self._types.types['sam2_tracker_msgs/msg/TrackedObject'](
            id=item.id,
            label=item.label,
            state=int(item.state),
            score=item.score,
            box=region,
            area=item.area_px,
            centroid=self._point(*item.centroid_xy),
            catching_up=item.catching_up,
        )

    def _point(self, x: float, y: float) -> Any:
        return self._types.types['geometry_msgs/msg/Point'](x=x, y=y, z=0.0)

    def _image(self, header: FrameHeader, pixels: UInt8Array | UInt16Array, encoding: str) -> Any:
        contiguous = np.ascontiguousarray(pixels)
        height, width = pixels.shape
        is_bigendian = int(pixels.itemsize > 1 and sys.byteorder == 'big')
        return self._types.types[IMAGE](
            header=self._header(header),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=is_bigendian,
            step=width * pixels.itemsize,
            data=contiguous.reshape(-1).view(np.uint8),
        )

    def _detection(self, header: FrameHeader, item: TrackedObject, box: Box) -> Any:
        types = self._types.types
        x, y = box.x + box.width / 2, box.y + box.height / 2
        centre = types['vision_msgs/msg/Pose2D'](
            position=types['vision_msgs/msg/Point2D'](x=x, y=y), theta=0.0
        )
        bounds = types['vision_msgs/msg/BoundingBox2D'](
            center=centre, size_x=float(box.width), size_y=float(box.height)
        )
        return types['vision_msgs/msg/Detection2D'](
            header=self._header(header),
            results=[self._hypothesis(item)],
            bbox=bounds,
            id=str(item.id),
        )

    def _hypothesis(self, item: TrackedObject) -> Any:
        types = self._types.types
        hypothesis = types['vision_msgs/msg/ObjectHypothesis'](
            class_id=_name(item), score=float(item.score)
        )
        pose = types['geometry_msgs/msg/Pose'](
            position=self._point(0.0, 0.0),
            orientation=types['geometry_msgs/msg/Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0),
        )
        with_covariance = types['geometry_msgs/msg/PoseWithCovariance'](
            pose=pose, covariance=np.zeros(36)
        )
        return types['vision_msgs/msg/ObjectHypothesisWithPose'](
            hypothesis=hypothesis, pose=with_covariance
        )


def _name(item: TrackedObject) -> str:
    return item.label or str(item.id)

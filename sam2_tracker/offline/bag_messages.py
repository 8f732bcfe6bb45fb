# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Results as the messages that the live node publishes, serialised."""

from __future__ import annotations

from collections.abc import Sequence
import sys
from typing import Any, TYPE_CHECKING

import cv2
import numpy as np

from sam2_tracker.core.types import (
    BoolArray,
    Box,
    FrameHeader,
    ObjectState,
    TrackedObject,
    UInt8Array,
    UInt16Array,
)

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

TRACKED_OBJECTS = 'sam2_tracker_msgs/msg/TrackedObjects'
IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
LABEL_INFO = 'vision_msgs/msg/LabelInfo'
JPEG_QUALITY = 90
SCORE_THRESHOLD = 0.5


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

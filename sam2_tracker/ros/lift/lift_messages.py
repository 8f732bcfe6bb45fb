# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Convert what `lift` takes and gives: a camera's calibration, objects in space, their points."""

from __future__ import annotations

import array
from collections.abc import Iterable, Mapping, Sequence
import sys
from types import ModuleType
from typing import Any

from geometry_msgs.msg import Point, Vector3
import numpy as np
from sam2_tracker.core.errors import FrameError
from sam2_tracker.core.lifting.camera import Camera
from sam2_tracker.core.lifting.objects import LiftedObject
from sam2_tracker_msgs.msg import TrackedObject
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

# In the order in which they lie in a point; the id is wide enough to keep 4-byte borders.
_FIELDS = (('x', PointField.FLOAT32), ('y', PointField.FLOAT32), ('z', PointField.FLOAT32),
           ('id', PointField.UINT32))
_FIELD_BYTES = 4
_POINT = np.dtype([('xyz', np.float32, 3), ('id', np.uint32)])


def camera_from_msg(msg: CameraInfo, rectified: bool) -> Camera:
    """
    Convert a camera's calibration, for its pictures as they are: binned, or a part.

    :param rectified: whether they are rectified: P counts then, otherwise K and D
    :raises FrameError: it is not calibrated, or has a distortion that is not known
    """
    matrix = np.array(msg.p if rectified else msg.k, np.float64).reshape(3, -1)
    bins = np.maximum(1, [msg.binning_x, msg.binning_y])
    offset, size = np.zeros(2), np.array([msg.width, msg.height])
    if msg.roi.width and msg.roi.height:
        offset = np.array([msg.roi.x_offset, msg.roi.y_offset])
        size = np.array([msg.roi.width, msg.roi.height])
    # Whole coordinates are the middles of pixels, also of larger ones.
    centre = (matrix[:2, 2] - offset + 0.5) / bins - 0.5
    focal = np.array([matrix[0, 0], matrix[1, 1]]) / bins
    width, height = (size // bins).tolist()
    return Camera(
        (width, height), tuple(focal.tolist()), tuple(centre.tolist()), msg.distortion_model,
        () if rectified else tuple(float(each) for each in msg.d))


def header_of(labels: Image, depth: Image) -> Header:
    """
    Return the header for what is lifted: the picture's, with the depth's frame if it has none.

    :raises FrameError: the two are in different frames
    """
    picture_frame, depth_frame = labels.header.frame_id, depth.header.frame_id
    if picture_frame and depth_frame and picture_frame != depth_frame:
        raise FrameError(
            f'depth is in frame {depth_frame}, the picture in {picture_frame}: depth that is '
            'aligned to the picture is right')
    return Header(stamp=labels.header.stamp, frame_id=picture_frame or depth_frame)


def detections_to_msg(vision: ModuleType, lifted: Iterable[LiftedObject],
                      objects: Mapping[int, TrackedObject], header: Header) -> Any:
    """
    Convert objects in space to a Detection3DArray: id and class as in the tracker's detections.

    The box is the extent, the hypothesis's position the centroid; both in the header's frame.

    :param vision: the module vision_msgs.msg
    :param objects: those of the frame, by their ids
    """
    return vision.Detection3DArray(header=header, detections=[
        _detection_to_msg(vision, each, objects[each.id], header) for each in lifted])


def _detection_to_msg(vision: ModuleType, lifted: LiftedObject, item: TrackedObject,
                      header: Header) -> Any:
    hypothesis = vision.ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = item.label or str(item.id)
    hypothesis.hypothesis.score = float(item.score)
    hypothesis.pose.pose.position = _point(lifted.centroid_xyz)
    detection = vision.Detection3D(header=header, id=str(item.id), results=[hypothesis])
    detection.bbox.center.position = _point(lifted.box_centre_xyz)
    x, y, z = lifted.box_size_xyz
    detection.bbox.size = Vector3(x=x, y=y, z=z)
    return detection


def _point(xyz: tuple[float, float, float]) -> Point:
    x, y, z = xyz
    return Point(x=x, y=y, z=z)


def points_to_msg(lifted: Sequence[LiftedObject], header: Header) -> PointCloud2:
    """Convert the points of all objects to one cloud, object after object, each with its id."""
    points = np.empty(sum(len(each.points_xyz) for each in lifted), _POINT)
    at = 0
    for each in lifted:
        end = at + len(each.points_xyz)
        points['xyz'][at:end] = each.points_xyz
        points['id'][at:end] = each.id
        at = end
    data = array.array('B')
    # The buffer protocol: a list would be checked byte by byte.
    data.frombytes(memoryview(points).cast('B') if len(points) else b'')
    return PointCloud2(
        header=header, height=1, width=len(points), is_dense=True, data=data,
        is_bigendian=sys.byteorder == 'big', point_step=_POINT.itemsize,
        row_step=_POINT.itemsize * len(points),
        fields=[PointField(name=name, offset=_FIELD_BYTES * place, datatype=kind, count=1)
                for place, (name, kind) in enumerate(_FIELDS)])

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Write what a detector found in every form that `process --detections` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
from pathlib import Path
from typing import Any

from bag_making import header, STORE
import numpy as np
from rosbags.typesys import get_types_from_msg

# Left, top, right, bottom, score, class.
Found = tuple[float, float, float, float, float, str]
MESSAGES = Path(__file__).resolve().parents[1] / 'interfaces' / 'vision_msgs' / 'msg'
KIND = 'vision_msgs/msg/Detection2DArray'


def coco_results(found: Mapping[int | str, Sequence[Found]], classes: Sequence[str]) -> str:
    """Return COCO results; categories are numbered from 1 in the order of their names."""
    return json.dumps([
        {'image_id': frame, 'category_id': classes.index(name) + 1, 'score': score,
         'bbox': [left, top, right - left, bottom - top]}
        for frame, things in found.items() for left, top, right, bottom, score, name in things])


def mot_lines(found: Mapping[int, Sequence[Found]], classes: Sequence[str]) -> str:
    """Return MOT lines; classes are numbered from 1 in the order of their names."""
    return '\n'.join(
        f'{frame + 1},-1,{left},{top},{right - left},{bottom - top},{score},'
        f'{classes.index(name) + 1},1'
        for frame, things in found.items() for left, top, right, bottom, score, name in things)


def detection_array(stamp_ns: int, found: Sequence[Found], frame_id: str = 'camera') -> Any:
    """Return a message; registers the types of vision_msgs, which the writer then stores."""
    if KIND not in STORE.types:
        for path in sorted(MESSAGES.glob('*.msg')):
            STORE.register(get_types_from_msg(path.read_text(), f'vision_msgs/msg/{path.stem}'))
    made = STORE.types
    return made[KIND](header=header(stamp_ns, frame_id), detections=[
        _detection(made, each, header(stamp_ns, frame_id)) for each in found])


def _detection(made: Any, found: Found, stamped: Any) -> Any:
    left, top, right, bottom, score, name = found
    point = made['vision_msgs/msg/Point2D'](x=(left + right) / 2, y=(top + bottom) / 2)
    hypothesis = made['vision_msgs/msg/ObjectHypothesisWithPose'](
        hypothesis=made['vision_msgs/msg/ObjectHypothesis'](class_id=name, score=score),
        pose=_pose(made))
    return made['vision_msgs/msg/Detection2D'](
        header=stamped, results=[hypothesis], id='',
        bbox=made['vision_msgs/msg/BoundingBox2D'](
            center=made['vision_msgs/msg/Pose2D'](position=point, theta=0.0),
            size_x=float(right - left), size_y=float(bottom - top)))


def _pose(made: Any) -> Any:
    return made['geometry_msgs/msg/PoseWithCovariance'](
        pose=made['geometry_msgs/msg/Pose'](
            position=made['geometry_msgs/msg/Point'](x=0.0, y=0.0, z=0.0),
            orientation=made['geometry_msgs/msg/Quaternion'](x=0.0, y=0.0, z=0.0, w=1.0)),
        covariance=np.zeros(36))

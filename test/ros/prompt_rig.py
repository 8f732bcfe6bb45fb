# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A tracker with a short memory for the tests of its services, and prompts of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from geometry_msgs.msg import Point
from node_rig import NodeRig
import numpy as np
from ros_graph import Graph
from sam2_tracker.ros.messages import mask_to_msg, stamp_to_msg
from sam2_tracker_msgs.msg import Prompt, TrackedObject
from sam2_tracker_msgs.srv import AddPrompts, ListObjects
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from std_srvs.srv import Trigger

HEIGHT, WIDTH = 48, 64
MAX_FRAMES, LOOK_BACK, MAX_OBJECTS = 12, 4, 3


@contextmanager
def short_memory(graph: Graph) -> Iterator[NodeRig]:
    """Run a tracker whose buffer, look-back and number of objects are small."""
    rig = NodeRig(
        graph, 'frame_policy:=every', f'buffer.max_frames:={MAX_FRAMES}',
        f'tracking.look_back_frames:={LOOK_BACK}', f'tracking.max_objects:={MAX_OBJECTS}',
        'prompt.timeout_s:=15.0', 'prompt.stamp_tolerance_s:=0.05')
    rig.track(MAX_FRAMES + 3)
    yield rig
    rig.close()


def start_over(rig: NodeRig) -> NodeRig:
    """Forget every object and see one more frame."""
    assert rig.call(Trigger, 'reset').success
    rig.track()
    return rig


def ask_on(rig: NodeRig, *prompts: Prompt, number: int | None = None,
           stamp_ns: int | None = None, **fields: Any) -> AddPrompts.Response:
    """Prompt on the picture with a number, or a stamp, the newest one if neither is given."""
    if stamp_ns is None:
        stamp_ns = rig.stamp_ns(rig.sent - 1 if number is None else number)
    return rig.call(AddPrompts, 'add_prompts', prompts=list(prompts),
                    stamp=stamp_to_msg(stamp_ns), **fields)


def listed(rig: NodeRig) -> list[TrackedObject]:
    """List the objects."""
    reply = rig.call(ListObjects, 'list_objects')
    assert reply.success
    return reply.objects


def point_prompt(object_id: int = 0, points: Any = ((5.0, 6.0),), labels: Any = (1,)) -> Prompt:
    """Return a prompt with points."""
    return Prompt(object_id=object_id, points=[Point(x=x, y=y) for x, y in points],
                  point_labels=list(labels))


def box_prompt(x: int, y: int, width: int, height: int) -> Prompt:
    """Return a prompt with a box."""
    return Prompt(box=RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height))


def mask_prompt(height: int = HEIGHT, width: int = WIDTH, filled: bool = True) -> Prompt:
    """Return a prompt with a mask."""
    mask = np.zeros((height, width), bool)
    mask[5:10, 5:10] = filled
    return Prompt(mask=mask_to_msg(mask, Header()))


def with_mask(prompt: Prompt) -> Prompt:
    """Return the prompt with a mask besides."""
    prompt.mask = mask_prompt().mask
    return prompt

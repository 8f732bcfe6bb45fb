# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts, stamps and results to messages and back."""

from __future__ import annotations

from geometry_msgs.msg import Point
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.types import Box, FrameHeader, ObjectState, Prompt, TrackedObject
from sam2_tracker.ros.messages import (
    box_from_msg,
    header_from_msg,
    header_to_msg,
    prompt_box_to_msg,
    prompt_from_msg,
    prompt_to_msg,
    stamp_from_msg,
    stamp_to_msg,
    tracked_object_from_msg,
    tracked_object_to_msg,
    tracked_objects_from_msg,
    tracked_objects_to_msg,
)
from sam2_tracker_msgs.msg import Prompt as PromptMsg
from sam2_tracker_msgs.msg import TrackedObject as TrackedObjectMsg
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

CUP = TrackedObject(
    id=7, label='cup', state=ObjectState.VISIBLE, score=0.75, box=Box(3, 4, 10, 20), area_px=120,
    centroid_xy=(8.5, 13.25), catching_up=True)
GONE = TrackedObject(id=8, label='', state=ObjectState.LOST, score=0.125)


def test_the_states_have_the_messages_values():
    assert {state.name: state.value for state in ObjectState} == {
        name: getattr(TrackedObjectMsg, name)
        for name in ('UNKNOWN', 'VISIBLE', 'OCCLUDED', 'LOST')}


@pytest.mark.parametrize('tracked', [CUP, GONE], ids=['visible', 'lost'])
def test_an_object_survives_the_way_there_and_back(tracked):
    assert tracked_object_from_msg(tracked_object_to_msg(tracked)) == tracked


def test_an_object_that_is_not_visible_has_an_empty_box():
    assert tracked_object_to_msg(GONE).box == RegionOfInterest()


def test_a_result_carries_the_source_header_unchanged():
    header = FrameHeader(1_700_000_000_125_000_001, 'camera_optical')
    msg = tracked_objects_to_msg(header, [CUP, GONE])
    assert (msg.header.stamp.sec, msg.header.stamp.nanosec) == (1_700_000_000, 125_000_001)
    assert msg.header.frame_id == 'camera_optical'
    assert tracked_objects_from_msg(msg) == (header, (CUP, GONE))


@given(st.integers(-2 ** 31 * 10 ** 9, 2 ** 31 * 10 ** 9 - 1))
def test_every_stamp_survives_the_way_there_and_back(stamp_ns):
    assert stamp_from_msg(stamp_to_msg(stamp_ns)) == stamp_ns
    header = FrameHeader(stamp_ns, 'map')
    assert header_from_msg(header_to_msg(header)) == header


def test_a_stamp_with_too_many_nanoseconds_is_refused():
    header = Header()
    header.stamp.nanosec = 4_000_000_000
    with pytest.raises(FrameError, match='nanosec 4000000000'):
        header_from_msg(header)


def assert_same_prompt(one: Prompt, other: Prompt) -> None:
    assert (one.object_id, one.label) == (other.object_id, other.label)
    assert np.array_equal(one.points_xy, other.points_xy)
    assert np.array_equal(one.point_labels, other.point_labels)
    for field in ('box_xyxy', 'mask_hw'):
        mine, theirs = getattr(one, field), getattr(other, field)
        assert (mine is None) == (theirs is None)
        assert mine is None or np.array_equal(mine, theirs)


def test_points_and_a_box_survive_the_way_there_and_back():
    prompt = Prompt(3, 'ball', np.array([[1.5, 2.0], [30.0, 4.25]], np.float32),
                    np.array([1, 0], np.int32), np.array([1, 2, 30, 40], np.float32))
    back = prompt_from_msg(prompt_to_msg(prompt))
    assert_same_prompt(back, prompt)
    assert back.points_xy.dtype == np.float32 and back.point_labels.dtype == np.int32


def test_a_mask_prompt_survives_the_way_there_and_back():
    prompt = Prompt(mask_hw=np.eye(5, 7, dtype=bool))
    assert_same_prompt(prompt_from_msg(prompt_to_msg(prompt)), prompt)


def test_an_empty_prompt_has_nothing_in_it():
    assert_same_prompt(prompt_from_msg(PromptMsg()), Prompt())


def test_the_height_of_a_point_is_ignored():
    msg = PromptMsg(points=[Point(x=1.0, y=2.0, z=float('nan'))])
    assert prompt_from_msg(msg).points_xy.tolist() == [[1.0, 2.0]]


def test_a_region_without_width_and_height_is_no_box():
    assert box_from_msg(RegionOfInterest(x_offset=5, y_offset=6)) is None
    assert box_from_msg(RegionOfInterest(x_offset=5, height=6)).tolist() == [5, 0, 5, 6]


@pytest.mark.parametrize(('box', 'told'), [
    ((-5, -7.4, 30, 20), (0, 0, 30, 20)), ((1.6, 2, 3, 2.6), (2, 2, 1, 1))])
def test_a_box_is_told_in_whole_pixels_of_the_image(box, told):
    roi = prompt_box_to_msg(np.array(box, np.float32))
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == told


@pytest.mark.parametrize('box', [(50, 50, 10, 60), (10, 10, 10, 10), (-9, 0, -2, 5)])
def test_a_box_without_pixels_cannot_be_told(box):
    with pytest.raises(PromptError, match='has no pixels in the image'):
        prompt_to_msg(Prompt(box_xyxy=np.array(box, np.float32)))


@pytest.mark.parametrize('mask, sentence', [
    (Image(encoding='rgb8', width=1, height=1, step=3, data=b'abc'), 'encoding mono8'),
    (Image(encoding='mono8', width=4, height=4, step=4, data=b'abc'), 'has 3 bytes'),
    (Image(encoding='mono8', width=4, height=0, step=4), 'is empty')])
def test_a_malformed_mask_is_refused_as_a_prompt(mask, sentence):
    with pytest.raises(PromptError, match=sentence) as refusal:
        prompt_from_msg(PromptMsg(object_id=4, mask=mask))
    assert 'object 4: mask refused' in str(refusal.value)


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(points=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=4),
       labels=st.lists(st.integers(0, 255), max_size=5),
       roi=st.tuples(*[st.integers(0, 2 ** 32 - 1)] * 4), object_id=st.integers(0, 65535))
def test_any_prompt_message_is_converted(points, labels, roi, object_id):
    box = RegionOfInterest(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3])
    msg = PromptMsg(object_id=object_id, points=[Point(x=x, y=y) for x, y in points],
                    point_labels=labels, box=box)
    prompt = prompt_from_msg(msg)
    assert prompt.points_xy.shape == (len(points), 2)
    assert prompt.point_labels.tolist() == labels

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Frames on which an object was surely seen are read by their rank, however old they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import math

from policy_rig import hidden_in, MadeUp, Recorder, taught, track_one
import pytest
from sam2_tracker.core.engine.memory.entry import Seen
from sam2_tracker.core.engine.memory.object_memory import ObjectMemory, Reading
import torch

ALWAYS_SEEN = hidden_in()


@pytest.fixture(scope='module')
def recorder(predictor) -> Recorder:
    return Recorder(predictor.model, 'selective')


@pytest.fixture
def tracked(recorder, encoded) -> Callable[..., ObjectMemory]:
    """Track one object on made-up lessons, prompted on some frames."""
    def track(frames: int, lessons: Callable[[int], MadeUp] = ALWAYS_SEEN,
              prompted: tuple[int, ...] = (0,), stride: int = 1) -> ObjectMemory:
        policy = taught(replace(recorder._policy, stride=stride), lessons)
        return track_one(recorder, encoded, policy, frames, prompted)

    return track


def frames_of(memory: ObjectMemory, tensors: list[torch.Tensor], field: str) -> list[int]:
    """Tell of which frames tensors are."""
    entries = {**memory.cond, **memory.tracked}
    return [next(index for index, entry in entries.items() if entry[field] is tensor)
            for tensor in tensors]


def read(recorder: Recorder, memory: ObjectMemory, index: int) -> tuple[list, list, Reading]:
    reading = memory.policy.read(recorder.model, memory, index)
    return (frames_of(memory, reading.maps, 'maskmem_features'),
            frames_of(memory, reading.pointers, 'obj_ptr'), reading)


def test_a_long_absence_pushes_nothing_out(recorder, tracked):
    maps, pointers, reading = read(recorder, tracked(120, hidden_in(range(20, 120))), 120)
    # The frame before is read too: the object is seen to be gone.
    assert maps == [0, 119, 19, 18, 17, 16, 15]
    assert reading.map_times == [6, 0, 1, 2, 3, 4, 5]
    assert pointers == [0, 119, *range(19, 5, -1)]
    assert reading.ages == [120, *range(1, 16)]


def test_an_object_that_is_seen_all_the_time_is_read_as_by_stock(recorder, tracked):
    maps, pointers, reading = read(recorder, tracked(30), 30)
    assert maps == [0, *range(29, 23, -1)]
    assert pointers == [0, *range(29, 14, -1)]
    assert reading.ages == [30, *range(1, 16)]


def test_maps_several_frames_apart_are_of_frames_that_the_stride_divides(recorder, tracked):
    memory = tracked(60, hidden_in(range(22, 26), range(47, 60)), stride=5)
    assert read(recorder, memory, 60)[0] == [0, 59, 45, 40, 35, 30, 20]


def test_prompted_frames_that_are_too_many_are_not_read(recorder, tracked):
    maps, pointers, _ = read(recorder, tracked(20, prompted=(0, 2, 4, 6, 16)), 20)
    assert len(maps) == 4 + 6
    assert not {0, 2}.issubset(pointers)


@pytest.mark.parametrize(('seen', 'certainty'), [
    (Seen(-2.0, 0.9, 0), 0.0), (Seen(0.0, 0.9, 10), 0.0), (Seen(2000.0, 0.5, 10), 0.5),
    (Seen(1.0, 0.5, 10), 0.5 * (2 / (1 + math.exp(-1)) - 1))])
def test_certainty_is_score_times_predicted_iou(seen, certainty):
    assert seen.certainty == pytest.approx(certainty)

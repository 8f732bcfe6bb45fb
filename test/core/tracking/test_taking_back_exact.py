# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""On the real model: after prompts are taken back all is as if they had never been given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fakes import FakeFrames
import numpy as np
import pytest
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.engine.mask_summary import upsample
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import (  # noqa: I101
    Frame,
    FrameHeader,
    IdAllocator,
    Prompt,
    UInt8Array,
    UInt16Array,
)
from stock import box, CLIP_HW, disc_mask, disc_xy, points, read_clip
import torch

LOOK_BACK = 12
MADE, OTHER = points([disc_xy(0, 0)]), points([disc_xy(1, 0)])


def again(prompt: Prompt) -> Prompt:
    """Return a prompt for the first object."""
    return replace(prompt, object_id=1)


NOTHING = again(Prompt())
NEARBY = again(points([disc_xy(0, 5)]))
NOT_THERE = again(points([disc_xy(2, 5), (3, 3)], [0, 0]))
FRAMED = again(box(10, 10, 60, 50))
COVERED = again(disc_mask(0, 11))


class Stream:
    """
    A tracker that gets a clip; what it is asked for after each frame stands in a script.

    :param begin: prompts on the first frame
    :ivar seen: the first object's logits as they were on each frame when that was live
    """

    def __init__(
        self, predictor: object, pictures: Sequence[UInt8Array], script: Script,
        begin: Sequence[Prompt] = (MADE,),
    ) -> None:
        self.frames = FakeFrames()
        self.tracker = Tracker(
            predictor, self.frames, TrackingConfig(look_back_frames=LOOK_BACK), IdAllocator())
        self.pictures = pictures
        self.seen: dict[int, torch.Tensor] = {}
        for index, picture in enumerate(pictures):
            frame = self.frames.frames[index] = as_frame(picture, index)
            self.tracker.advance(frame)
            for prompt in begin if index == 0 else ():
                self.ask(0, prompt)
            for step in script.get(index, ()):
                step(self)
            self.catch_up()
            if self.tracker.objects():
                self.seen[index] = self.tracker.memory(1).output(index).logits

    def catch_up(self) -> None:
        while self.tracker.catch_up():
            pass

    def ask(self, index: int, prompt: Prompt, clear: bool = False) -> UInt16Array:
        """Prompt on a frame; return what is answered to be there."""
        return self.answer(PromptTarget(index, self.frames.frames[index]), prompt, clear)

    def answer(self, target: PromptTarget, prompt: Prompt, clear: bool) -> UInt16Array:
        draft = self.tracker.draft(target, [prompt], clear, with_label_image=True)
        self.tracker.commit(draft)
        assert draft.result.label_image is not None
        return draft.result.label_image

    def logits(self, object_id: int = 1) -> dict[int, torch.Tensor]:
        """Return an object's logits on every frame that a refinement can go back to."""
        memory = self.tracker.memory(object_id)
        return {
            index: memory.output(index).logits
            for index in range(len(self.pictures) - LOOK_BACK, len(self.pictures))
        }


Step = Callable[[Stream], object]
Script = Mapping[int, Sequence[Step]]


def as_frame(picture: UInt8Array, index: int, offset_ns: int = 0) -> Frame:
    stamp_ns = index * 10**8 + offset_ns
    return Frame(index, stamp_ns, FrameHeader(stamp_ns, ''), picture, picture.shape[:2])


def give(index: int, prompt: Prompt, clear: bool = False) -> Step:
    return lambda stream: stream.ask(index, prompt, clear)


def take_back(index: int) -> Step:
    return give(index, NOTHING, clear=True)


def on_skipped(index: int, prompt: Prompt, clear: bool = False) -> Step:
    """Prompt on a picture that was skipped just after a frame."""
    def step(stream: Stream) -> None:
        skipped = as_frame(stream.pictures[-1], index, offset_ns=3 * 10**7)
        stream.answer(PromptTarget(index, skipped, stands_in=True), prompt, clear)

    return step


def catch_up(stream: Stream) -> None:
    stream.catch_up()


CASES: dict[str, tuple[Script, Script]] = {
    'on the newest frame, at once':
        ({10: [give(10, NOT_THERE), take_back(10)]}, {}),
    'on a frame that was live':
        ({10: [give(10, FRAMED)], 14: [take_back(10)]}, {}),
    'a correction of a past frame':
        ({10: [give(5, NOT_THERE)], 14: [take_back(5)]}, {}),
    'while it catches up':
        ({10: [give(5, COVERED), take_back(5)]}, {}),
    'on the oldest frame there is':
        ({14: [give(3, NOT_THERE)], 15: [take_back(3)]}, {}),
    'on a skipped picture':
        ({10: [on_skipped(6, NEARBY)], 12: [on_skipped(6, NOTHING, clear=True)]}, {}),
    'all of a frame':
        ({10: [give(8, NEARBY)], 11: [give(8, NOT_THERE)], 13: [take_back(8)]}, {}),
    'the second of a frame, the first given again':
        ({10: [give(8, NEARBY)], 11: [give(8, NOT_THERE)],
          13: [take_back(8), give(8, NEARBY)]}, {10: [give(8, NEARBY)]}),
    'the third of a frame, the others given again':
        ({10: [give(8, NEARBY)], 11: [give(8, FRAMED)], 12: [give(8, NOT_THERE)],
          14: [take_back(8), give(8, NEARBY), give(8, FRAMED)]},
         {10: [give(8, NEARBY)], 11: [give(8, FRAMED)]}),
    'with a later prompt that stays':
        ({8: [give(5, NOT_THERE)], 12: [give(11, COVERED)], 14: [take_back(5)]},
         {12: [give(11, COVERED)]}),
    'with an earlier frame that was prompted later':
        ({10: [give(9, NOT_THERE)], 12: [give(6, NEARBY)], 14: [take_back(9)]},
         {12: [give(6, NEARBY)]}),
    'with a later frame that was prompted before':
        ({10: [give(9, NEARBY)], 12: [give(6, NOT_THERE)], 14: [take_back(6)]},
         {10: [give(9, NEARBY)]}),
    'one of two that were given in one go':
        ({10: [give(5, NEARBY), give(8, NOT_THERE)], 13: [take_back(8)]},
         {10: [give(5, NEARBY)]}),
    'before two that were given in one go':
        ({8: [give(6, NOT_THERE)], 11: [give(9, NEARBY), give(10, COVERED)],
          13: [take_back(6)]}, {11: [give(9, NEARBY), give(10, COVERED)]}),
    'two, one after the other':
        ({8: [give(6, NOT_THERE)], 11: [give(9, FRAMED)], 13: [take_back(9), take_back(6)]}, {}),
    'two, the older one first':
        ({8: [give(6, NOT_THERE)], 11: [give(9, FRAMED)], 13: [take_back(6), take_back(9)]}, {}),
    'with a new prompt before it has caught up':
        ({8: [give(6, NOT_THERE)], 11: [take_back(6), give(10, FRAMED)]},
         {11: [catch_up, give(10, FRAMED)]}),
    'a start over':
        ({8: [give(6, NEARBY)], 10: [give(9, COVERED, clear=True)], 13: [take_back(9)]},
         {8: [give(6, NEARBY)]}),
}
END = 16


@pytest.fixture(scope='module')
def pictures(clip_folder) -> list[UInt8Array]:
    return read_clip(clip_folder)[:END]


@pytest.fixture(scope='module')
def untouched(encoded_once, pictures) -> Stream:
    return Stream(encoded_once, pictures, {})


def assert_equal(ours: Mapping[int, torch.Tensor], expected: Mapping[int, torch.Tensor]) -> None:
    assert ours.keys() == expected.keys()
    assert [index for index in ours if not torch.equal(ours[index], expected[index])] == []


@pytest.mark.parametrize('case', CASES)
def test_masks_are_equal_to_those_of_a_run_that_never_had_the_prompts(
    case, encoded_once, pictures, untouched
):
    script, without = CASES[case]
    never = Stream(encoded_once, pictures, without) if without else untouched
    stream = Stream(encoded_once, pictures, script)
    assert_equal(stream.logits(), never.logits())
    back = max(script)
    assert_equal(*({index: each.seen[index] for index in range(back, END)}
                   for each in (stream, never)))
    meanwhile = [torch.equal(stream.seen[at], never.seen[at]) for at in range(min(script), back)]
    assert not meanwhile or not all(meanwhile), 'the prompts had changed nothing'


def test_without_the_prompts_that_made_it_an_object_begins_with_the_next(encoded_once, pictures):
    stream = Stream(encoded_once, pictures, {8: [give(7, NEARBY)], 10: [take_back(0)]})
    never = Stream(encoded_once, pictures, {8: [give(7, replace(NEARBY, object_id=0))]}, begin=())
    assert_equal(
        *({at: each.seen[at] for at in range(10, END)} for each in (stream, never)))
    memory, expected = (each.tracker.memory(1) for each in (stream, never))
    assert memory.cond_indices == expected.cond_indices == (7,)


def test_other_objects_are_bit_identical(encoded_once, pictures):
    begin = (MADE, OTHER)
    script = {8: [give(6, NEARBY), give(7, replace(FRAMED, object_id=2))], 11: [take_back(6)]}
    stream = Stream(encoded_once, pictures, script, begin)
    never = Stream(encoded_once, pictures, {8: [give(7, replace(FRAMED, object_id=2))]}, begin)
    for object_id in (1, 2):
        assert_equal(stream.logits(object_id), never.logits(object_id))


def test_the_answer_shows_the_object_as_it_will_be_on_that_frame(
    encoded_once, pictures, untouched
):
    shown = []
    script = {10: [give(8, NOT_THERE)],
              12: [lambda stream: shown.append(stream.ask(8, NOTHING, clear=True))]}
    Stream(encoded_once, pictures[:14], script)
    memory = untouched.tracker.memory(1)
    assert np.array_equal(shown[0] == 1, (upsample(memory.output(8).logits, CLIP_HW) > 0).numpy())

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is believed after a cut or of a doubtful mask depends on the frames alone."""

from __future__ import annotations

from collections.abc import Sequence

from fakes import FakeFrames
import numpy as np
from policy_rig import (
    Keeps,
    lessons_in_runs,
    Life,
    LOOK_BACK,
    Recorder,
    small_model,
    taught,
)
import pytest
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.engine.memory import belief
from sam2_tracker.core.engine.memory.belief import (
    BeliefRule,
    Beliefs,
    LEAST_FRAMES,
    PROOFS,
    Standing,
)
from sam2_tracker.core.engine.memory.entry import Lessons, numbers_of, Seen
from sam2_tracker.core.engine.memory.transfer import state_of
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import Frame, FrameHeader, IdAllocator, ObjectState, UInt8Array
from stock import CLIP_HW, disc_mask, read_clip
import torch

POLICIES = ('stock', 'selective', 'distractor')
BOTH = BeliefRule(cuts=True, doubt=True)
BOX = (10.0, 10.0, 19.0, 19.0)
SURE, UNSURE = Seen(6.0, 0.9, 100, BOX), Seen(4.0, 0.7, 100, BOX)
GONE = Seen(-3.0, 0.9, 0, BOX)


def after(rule: BeliefRule, *frames: tuple[Seen, tuple[int, int]]) -> list[Standing]:
    standings = [Standing()]
    for seen, shots in frames:
        standings.append(rule.next(standings[-1], seen, shots))
    return standings[1:]


def doubted(rule: BeliefRule, *frames: Seen) -> list[bool]:
    """Return of frames that follow on some sure ones, in one shot, whether each is doubted."""
    followed = after(rule, *((seen, (0, 0)) for seen in (*[SURE] * LEAST_FRAMES, *frames)))
    return [not each.is_believed for each in followed[LEAST_FRAMES:]]


def test_in_another_shot_an_object_is_believed_when_it_was_surely_seen_often_enough_in_a_row():
    frames = [(SURE, (0, 0)), (SURE, (0, 1)), (SURE, (1, 1)), (UNSURE, (1, 1)), (SURE, (1, 1)),
              (GONE, (1, 1)), *[(SURE, (1, 1))] * PROOFS, (UNSURE, (1, 1)), (UNSURE, (1, 0))]
    standings = after(BeliefRule(cuts=True), *frames)
    assert [each.proofs for each in standings] == [
        None, 1, 2, 0, 1, 0, *range(1, PROOFS), None, None, 0]
    assert [each.home for each in standings][-3:] == [1, 1, 1]


def test_where_its_own_shot_comes_again_it_is_believed_at_once():
    standings = after(BeliefRule(cuts=True), (UNSURE, (0, 0)), (SURE, (0, 1)), (UNSURE, (1, 2)),
                      (UNSURE, (2, 0)))
    assert [each.is_believed for each in standings] == [True, False, False, True]


def test_a_mask_that_floods_as_the_score_falls_is_doubted_until_it_is_sure_or_small_again():
    flood, sure_flood = Seen(2.0, 0.5, 250, BOX), Seen(6.0, 0.9, 250, BOX)
    rule = BeliefRule(doubt=True)
    assert doubted(rule, flood, flood, SURE) == [True, True, False]
    assert doubted(rule, flood, *[sure_flood] * PROOFS) == [*[True] * PROOFS, False]
    assert doubted(rule, flood, GONE, sure_flood) == [True, True, True]
    almost = [sure_flood] * (PROOFS - 1)
    assert all(doubted(rule, flood, *almost, GONE, *almost))


def test_a_mask_that_is_elsewhere_as_the_score_falls_is_doubted():
    elsewhere = Seen(2.0, 0.5, 100, (40.0, 10.0, 49.0, 19.0))
    assert doubted(BeliefRule(doubt=True), elsewhere, UNSURE) == [True, False]


@pytest.mark.parametrize('seen', [
    Seen(5.0, 0.9, 250, BOX), Seen(2.0, 0.3, 110, BOX), Seen(6.0, 0.9, 90, (40., 40., 49., 49.))])
def test_a_mask_is_not_doubted_for_its_size_place_or_score_alone(seen):
    assert doubted(BeliefRule(doubt=True), seen) == [False]


def test_what_comes_back_elsewhere_and_larger_after_an_absence_is_not_doubted():
    elsewhere = Seen(1.0, 0.5, 300, (40.0, 10.0, 59.0, 29.0))
    assert doubted(BeliefRule(doubt=True), GONE, elsewhere, elsewhere) == [False] * 3


def test_what_is_back_elsewhere_with_its_own_shot_is_not_doubted():
    elsewhere = Seen(1.0, 0.5, 300, (40.0, 10.0, 59.0, 29.0))
    frames = [*[(SURE, (0, 0))] * LEAST_FRAMES, (SURE, (0, 1)), (elsewhere, (1, 0))]
    assert [each.is_believed for each in after(BOTH, *frames)[-2:]] == [False, True]


def test_a_doubt_lives_on_through_another_shot():
    flood, sure_flood = Seen(2.0, 0.5, 250, BOX), Seen(6.0, 0.9, 250, BOX)
    frames = [*[(SURE, (0, 0))] * LEAST_FRAMES, (flood, (0, 0)), (UNSURE, (0, 1)),
              *[(sure_flood, (1, 0))] * PROOFS]
    believed = [each.is_believed for each in after(BOTH, *frames)[LEAST_FRAMES:]]
    assert believed == [False, False, *[False] * (PROOFS - 1), True]


def test_what_is_still_coming_into_the_picture_is_not_doubted():
    growing = [Seen(2.0 if area > 40 else 6.0, 0.5, area, BOX) for area in (10, 20, 40, 100)]
    assert doubted(BeliefRule(doubt=True), GONE, *growing) == [False] * 5


def test_with_neither_rule_everything_is_believed():
    flood = Seen(1.0, 0.2, 900, BOX)
    assert after(BeliefRule(), (SURE, (0, 0)), (flood, (0, 1)))[-1].is_believed


@pytest.mark.parametrize('standing', [
    Standing(), Standing(3, 2), Standing(0, None, 1, after(BOTH, (SURE, (0, 0)))[0].usual)])
def test_a_standing_comes_back_from_its_numbers(standing):
    assert Standing.of_numbers(list(standing.numbers)) == standing
    with pytest.raises(ValueError, match='3 or 10 numbers'):
        Standing.of_numbers([0.0, 1.0])


def test_results_become_the_numbers_of_what_is_seen():
    masks = torch.zeros(2, 1, 8, 12, dtype=torch.bool)
    masks[0, 0, 2:5, 3:9] = True
    numbers = numbers_of(torch.tensor([[1.5], [-2.0]]), torch.tensor([[.2, .7], [.1, .05]]), masks)
    lessons = Lessons(numbers, masks)
    assert lessons.seen(0) == Seen(1.5, pytest.approx(0.7), 18, (3.0, 2.0, 8.0, 4.0))
    assert (lessons.seen(1).area, lessons.seen(1).visible) == (0, False)


@pytest.fixture(scope='module')
def pictures(one_thread, clip_folder) -> list[UInt8Array]:
    """Give 60 pictures of three shots, of which one comes again."""
    clip = read_clip(clip_folder)[:4]
    tints = [np.array(tint) for tint in ((1, .4, .2), (.2, 1, .4), (1, .4, .2), (.3, .3, 1))]
    return [(clip[index % 4] * tints[index // 15]).astype(np.uint8) for index in range(60)]


def live(pictures: list[UInt8Array], memory: str, keeps: Keeps, frames: int = 120,
         **settings: bool) -> Life:
    predictor = Recorder(small_model(), memory, beliefs=BOTH)
    if memory != 'stock':
        lessons = lessons_in_runs(4, 2 * frames)
        predictor._policy = taught(predictor._policy, lessons.__getitem__, keeps)
    return Life(predictor, pictures, 5, cuts=True, **settings).live(frames)


@pytest.mark.parametrize('memory', POLICIES)
def test_what_is_forgotten_and_published_changes_nothing(pictures, memory, monkeypatch):
    bounded = live(pictures, memory, Keeps.WHAT_IT_SAYS)
    asked = live(pictures, memory, Keeps.WHAT_IT_SAYS, with_forks=True)
    monkeypatch.setattr(Beliefs, 'prune', lambda *_: None)
    unbounded = live(pictures, memory, Keeps.ALL)
    for other in (asked, unbounded):
        assert other.states == bounded.states
        assert len(other.predictor.results) == len(bounded.predictor.results)
        assert all(map(torch.equal, other.predictor.results, bounded.predictor.results))
    assert bounded.refined_in_replay > 2 and bounded.taken_back > 1
    beliefs = bounded.tracker.memory(1).beliefs
    assert len(beliefs.standings) <= LOOK_BACK + 2 and len(beliefs.apart) <= LOOK_BACK + 1
    assert len(unbounded.tracker.memory(1).beliefs.standings) > 60
    seen = {state for states in bounded.states for state in states}
    assert {ObjectState.VISIBLE, ObjectState.OCCLUDED} <= seen


def frame_of(index: int, picture: UInt8Array) -> Frame:
    return Frame(index, index * 10**8, FrameHeader(0, ''), picture, picture.shape[:2])


@pytest.mark.parametrize('memory', POLICIES)
def test_an_object_that_catches_up_over_cuts_is_as_one_that_was_there(pictures, memory):
    """One is prompted when its frame comes, the other 40 frames later on that same frame."""
    results = []
    for late in (False, True):
        predictor = Recorder(small_model(), memory, beliefs=BOTH)
        frames = FakeFrames()
        tracker = Tracker(predictor, frames, TrackingConfig(look_back_frames=5, cuts=True),
                          IdAllocator())
        for index, picture in enumerate(pictures):
            frames.frames[index] = frame_of(index, picture)
            tracker.advance(frames.frames[index])
            if index == (42 if late else 2):
                target = PromptTarget(2, frames.frames[2])
                tracker.commit(tracker.draft(target, [disc_mask(0, 2)]))
                while tracker.catch_up():
                    pass
        assert tracker.cuts.count == 3
        memory_of = tracker.memory(1)
        states = [memory_of.beliefs.after(index) for index in range(54, 60)]
        results.append((states, [memory_of.output(index).logits for index in range(55, 60)]))
    assert results[0][0] == results[1][0]
    assert all(map(torch.equal, results[0][1], results[1][1]))


def track_on(
    predictor: Recorder, memory: object, encoded: Sequence[object], *indices: int
) -> list[torch.Tensor]:
    shot = [index // 15 % 2 for index in range(61)]
    results = []
    for index in indices:
        step = TrackStep(memory, index, encoded[index], (shot[index - 1], shot[index]))
        results.append(predictor.track([step])[0].logits)
        memory.prune(index, 0)
    return results


@pytest.mark.parametrize('memory', POLICIES)
@pytest.mark.parametrize('stop', [14, 18, 29])
def test_tracking_goes_on_from_a_state_with_what_was_believed(pictures, memory, stop):
    predictor = Recorder(small_model(), memory, beliefs=BOTH)
    encoded = [predictor.encode(picture) for picture in pictures]
    object_memory = predictor.new_memory(CLIP_HW)
    predictor.prompt(object_memory, 0, encoded[0], disc_mask(0, 0), False)
    track_on(predictor, object_memory, encoded, *range(stop + 1))
    state = state_of(object_memory)
    resumed = predictor.restored(CLIP_HW, state)
    assert resumed.beliefs.after(stop) == object_memory.beliefs.after(stop)
    results = [track_on(predictor, each, encoded, *range(stop + 1, 40))
               for each in (object_memory, resumed)]
    assert all(map(torch.equal, *results))
    assert resumed.beliefs.after(39) == object_memory.beliefs.after(39)
    damaged = {name: tensor[:2] if name.startswith('standing') else tensor
               for name, tensor in state.items()}
    with pytest.raises(ModelError, match='3 or 10 numbers'):
        predictor.restored(CLIP_HW, damaged)


@pytest.mark.parametrize('batched', [False, True])
def test_a_result_that_is_not_proven_is_shown_to_no_later_frame(pictures, batched, monkeypatch):
    monkeypatch.setattr(belief, 'PROOFS', 1000)
    predictor = Recorder(small_model(), 'stock', with_network=not batched,
                         beliefs=BeliefRule(cuts=True))
    features = predictor.encode(pictures[0])
    memory = predictor.new_memory(CLIP_HW)
    predictor.prompt(memory, 0, features, disc_mask(0, 0), False)
    for index in range(40):
        shots = (0, 0) if index < 5 else (0, 1) if index == 5 else (1, 1)
        predictor.track([TrackStep(memory, index, features, shots)])
        memory.prune(index, 0)
        if index >= 5:
            assert not memory.believes(index)
            assert max(memory.tracked, default=0) < 5
            assert memory.output(index) is not None
    predictor.prompt(memory, 39, features, disc_mask(0, 0), False)
    assert memory.believes(39) and not memory.beliefs.apart


def test_what_is_believed_goes_with_an_object_to_pictures_of_another_size(pictures, monkeypatch):
    predictor = Recorder(small_model(), 'stock', beliefs=BeliefRule(cuts=True))
    features = predictor.encode(pictures[0])
    memory = predictor.new_memory(CLIP_HW)
    predictor.prompt(memory, 0, features, disc_mask(0, 0), False)
    monkeypatch.setattr(belief, 'PROOFS', 1000)
    for index, shots in enumerate([(0, 0), (0, 0), (0, 1)]):
        predictor.track([TrackStep(memory, index, features, shots)])
    taught_memory = predictor.taught(memory, (48, 72))
    predictor.track([TrackStep(taught_memory, 0, features, (1, 1))])
    assert not taught_memory.believes(0)
    assert taught_memory.beliefs.after(0).home == 0

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy forgets it would never have read: results are those of keeping everything."""

from __future__ import annotations

from policy_rig import (
    hidden_in,
    Keeps,
    lessons_in_runs,
    Life,
    LOOK_BACK,
    made_up,
    Recorder,
    small_model,
    taught,
)
import pytest
from sam2_tracker.core.config import PARAMETERS
from sam2_tracker.core.engine.backward import ForwardTrace, mirrored_index
from sam2_tracker.core.engine.memory.transfer import state_of
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Wanted
from stock import CLIP_HW, differing, disc_mask, disc_xy, points, read_clip, Stream
import torch

FRAMES = 400
POLICIES = ('selective', 'distractor')
# Measured on the rule itself: an object's maps that are older than the look-back.
MOST_OLD_MAPS = 19


@pytest.fixture(scope='module')
def pictures(one_thread, clip_folder):
    return read_clip(clip_folder)[:8]


@pytest.fixture(scope='module')
def lived(pictures):
    def live(memory: str, keeps: Keeps, frames: int = FRAMES, max_cond_frames: int = 4,
             with_network: bool = False, **settings: bool) -> Life:
        predictor = Recorder(small_model(max_cond_frames), memory, with_network)
        lessons = lessons_in_runs(max_cond_frames, 2 * frames)
        predictor._policy = taught(predictor._policy, lessons.__getitem__, keeps)
        return Life(predictor, pictures, 5, **settings).live(frames)

    return live


def are_equal(life: Life, other: Life) -> bool:
    results = life.predictor.results, other.predictor.results
    return len(results[0]) == len(results[1]) and all(map(torch.equal, *results))


def maps_of_the_first(life: Life) -> int:
    memory = life.tracker.memory(1)
    return sum(entry['maskmem_features'] is not None for entry in memory.tracked.values())


@pytest.mark.parametrize('max_cond_frames', [2, 4])
@pytest.mark.parametrize('memory', POLICIES)
def test_a_bounded_policy_equals_itself_without_pruning(lived, memory, max_cond_frames):
    bounded, unbounded = (lived(memory, keeps, max_cond_frames=max_cond_frames)
                          for keeps in (Keeps.WHAT_IT_SAYS, Keeps.ALL))
    assert are_equal(bounded, unbounded)
    assert len(bounded.predictor.results) > 2 * FRAMES
    assert bounded.refined_in_replay > 5
    assert bounded.taken_back > 3
    assert maps_of_the_first(bounded) <= LOOK_BACK + 1 + MOST_OLD_MAPS
    assert maps_of_the_first(unbounded) > FRAMES // 2


@pytest.mark.parametrize('memory', POLICIES)
def test_one_less_of_what_is_kept_gives_other_results(lived, memory):
    assert not are_equal(lived(memory, Keeps.ONE_LESS, FRAMES // 2),
                         lived(memory, Keeps.ALL, FRAMES // 2))


@pytest.mark.parametrize('memory', POLICIES)
def test_a_bounded_policy_equals_itself_with_the_network_too(lived, memory):
    assert are_equal(*(lived(memory, keeps, 60, with_network=True)
                       for keeps in (Keeps.WHAT_IT_SAYS, Keeps.ALL)))


@pytest.mark.parametrize('memory', POLICIES)
def test_what_is_learnt_does_not_depend_on_what_is_published_or_asked_for(lived, memory):
    assert are_equal(*(lived(memory, Keeps.WHAT_IT_SAYS, 100, with_forks=asked)
                       for asked in (False, True)))


@pytest.mark.parametrize('memory', POLICIES)
def test_nothing_is_learnt_before_a_result_is_published(pictures, memory):
    predictor, asked = Recorder(small_model(), memory), []
    features = predictor.encode(pictures[0])
    own = predictor.new_memory(CLIP_HW)
    own.policy = taught(own.policy, lambda index: asked.append(index) or made_up())
    predictor.prompt(own, 0, features, disc_mask(0, 0), False)
    predictor.track([TrackStep(own, 1, features)])
    predictor.summarise([own.output(1)], [1], CLIP_HW, Wanted())
    assert own.believes(1) and asked == []
    predictor.track([TrackStep(own, 2, features)])
    assert asked == [1]


@pytest.mark.parametrize('memory', POLICIES)
def test_objects_get_the_same_masks_batched_and_looped(pictures, memory):
    model, results = small_model(), []
    for batched in (False, True):
        each = Predictor(model, batched=batched, memory=memory)
        encoded = [each.encode(picture) for picture in pictures]
        stream = Stream(each, lambda index, encoded=encoded: encoded[index % 8], LOOK_BACK)
        for number in range(3):
            stream.add(number, number, disc_mask(number, number))
            stream.memories[number].policy = taught(
                each._policy, hidden_in(range(9 + number, 14), look_alike=number > 0))
            stream.track(number + 1, number + 2)
        stream.track(4, 40)
        stream.refine(1, 37, points([disc_xy(1, 37)]), now=39)
        stream.track(40, 44)
        results.append(stream.results)
    assert all((results[1][key] - logits).abs().max() <= 1e-4
               for key, logits in results[0].items())


@pytest.fixture(scope='module', name='stream_of')
def stream_of_fixture(pictures):
    def stream_of(memory: str, lessons, frames: int, keeps: Keeps = Keeps.WHAT_IT_SAYS) -> Stream:
        each = Recorder(small_model(), memory)
        each._policy = taught(each._policy, lessons, keeps)
        stream = Stream(each, lambda index: each.encode(pictures[index % 8]))
        stream.add(1, 0, disc_mask(0, 0))
        stream.track(1, frames)
        return stream

    return stream_of


@pytest.mark.parametrize('memory', POLICIES)
def test_a_state_names_what_was_seen_and_tracking_goes_on_from_it(stream_of, memory):
    stream = stream_of(memory, hidden_in(range(8, 20), look_alike=True), 40)
    state = state_of(stream.memories[1])
    seen = {name.split('.')[2]: tensor.tolist() for name, tensor in state.items()
            if name.startswith('tracked.') and name.endswith('.seen')}
    assert seen.keys() == {str(index) for index in stream.memories[1].tracked}
    assert seen['39'] == [3.0, 0.9, 100.0]
    assert any(name.startswith('anchor.') for name in state) == (memory == 'distractor')
    resumed = Stream(stream.predictor, stream.encoded)
    resumed.memories[1] = stream.predictor.restored(CLIP_HW, state)
    for each in (stream, resumed):
        each.track(40, 60)
    expected = {key: logits for key, logits in stream.results.items() if key[0] >= 40}
    assert differing(resumed.results, expected) == []
    for learnt in stream.predictor._policy.learnt:
        with pytest.raises(ModelError, match=rf'something is missing: tracked.* has no {learnt}'):
            stream.predictor.restored(CLIP_HW, {
                name: tensor for name, tensor in state.items() if not name.endswith(learnt)})


@pytest.mark.parametrize('memory', POLICIES)
def test_going_back_from_the_first_prompt_does_not_depend_on_what_the_way_forward_forgot(
        stream_of, memory):
    results = []
    for keeps in (Keeps.WHAT_IT_SAYS, Keeps.ALL):
        stream = stream_of(memory, hidden_in(range(3, 5), look_alike=True), 1, keeps)
        trace = ForwardTrace(0)
        trace.observe(stream.memories[1].fork())
        for index in range(1, 40):
            stream.track(index, index + 1)
            trace.observe(stream.memories[1].fork())
        back = trace.mirrored()
        assert bool(back.anchors) == (memory == 'distractor')
        back.policy = taught(stream.predictor._policy, lambda index: made_up(), keeps)
        for index in range(-1, -40, -1):
            step = TrackStep(back, mirrored_index(index), stream.encoded(index % 8))
            results.append(stream.predictor.track([step])[0].logits)
            back.prune(mirrored_index(index), 0)
    assert len(results) == 78
    assert all(map(torch.equal, results[:39], results[39:]))


def test_the_parameter_names_every_policy(one_thread):
    names = PARAMETERS['tracking.memory'].choices
    assert names == ('stock', *POLICIES)
    for name in names:
        assert bool(Predictor(small_model(), memory=name)._policy.learnt) == (name != 'stock')
    with pytest.raises(ModelError, match="memory 'good' is none of stock, selective, distractor"):
        Predictor(small_model(), memory='good')

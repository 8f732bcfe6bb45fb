# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""An object's memory stays bounded, and is nobody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.memory.stock import StockMemory
from sam2_tracker.core.engine.memory.transfer import CondBank
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.errors import FrameError, ModelError, PromptError
from sam2_tracker.core.protocols import PredictorProtocol, TrackStep
from sam2_tracker.core.types import MAX_POINTS, Prompt
from sam2_tracker.models.loader import build_predictor
from stock import (
    box,
    build,
    CLIP_FRAMES,
    CLIP_HW,
    differing,
    disc_mask,
    disc_xy,
    OURS,
    points,
    read_clip,
    Stream,
)
import torch


def test_the_predictor_is_what_the_tracker_asks_for(predictor):
    as_protocol: PredictorProtocol = predictor
    as_protocol.warm_up()
    assert as_protocol.image_size == 128


def test_the_bytes_of_a_memory_stay_the_same_over_300_frames(one_thread, clip_folder):
    nano = ModelConfig('nano', device='cpu', image_size=64)
    small = Predictor(build_predictor(nano, random_weights=True), batched=True)
    encoded = [small.encode(picture) for picture in read_clip(clip_folder)[:8]]
    stream = Stream(small, lambda index: encoded[index % 8], look_back=3)
    stream.add(1, 0, disc_mask(0, 0))
    stream.add(2, 0, points([disc_xy(1, 0)]))
    stream.track(1, 24)
    held = [memory.nbytes for memory in stream.memories.values()]
    entries = [(len(memory.tracked), len(memory.cond)) for memory in stream.memories.values()]
    for start in range(24, 300, 46):
        stream.track(start, start + 46)
        assert [memory.nbytes for memory in stream.memories.values()] == held
    assert entries == [(len(memory.tracked), len(memory.cond))
                       for memory in stream.memories.values()]
    assert entries == [(3 + StockMemory.of(small.model).longest + 1, 1)] * 2


def test_the_bytes_of_a_memory_stay_bounded_over_many_corrections(predictor, encoded):
    stream = Stream(predictor, lambda index: encoded(index % CLIP_FRAMES), look_back=2)
    stream.add(1, 0, points([disc_xy(0, 0)]))
    held = []
    for now in range(1, 46):
        stream.track(now, now + 1)
        if now % 3 == 0:
            stream.refine(1, now - 1, points([disc_xy(0, now % CLIP_FRAMES)]), now)
        held.append(stream.memories[1].nbytes)
    assert max(held[30:]) == max(held[36:]) == max(held[40:])
    assert len(stream.memories[1].cond_indices) <= 4 + 1 + (2 + 15) // 3 + 1


def test_a_memory_holds_what_part_4_of_the_design_says(predictor, encoded):
    stream = Stream(predictor, encoded)
    stream.add(1, 0, points([disc_xy(0, 0)]))
    stream.track(1, 30)
    memory = stream.memories[1]
    with_maps = [index for index, entry in memory.tracked.items()
                 if entry['maskmem_features'] is not None]
    assert with_maps == list(range(29 - 6, 30))
    assert sorted(memory.tracked) == list(range(29 - 15, 30))
    assert (memory.first_index, memory.last_index, memory.cond_indices) == (0, 29, (0,))
    assert memory.output(29) is not None
    assert memory.output(28) is None
    assert memory.output(30) is None
    assert memory.state['cached_features'] == {}


@dataclass
class Life:
    """What happened to one object: (frame reached, prompt's frame, prompt, clear_previous)."""

    first: tuple[int, Prompt]
    corrections: list[tuple[int, int, Prompt, bool]] = field(default_factory=list)


def random_prompt(rng: np.random.Generator, index: int) -> Prompt:
    xy = rng.uniform((0, 0), (CLIP_HW[1], CLIP_HW[0]))
    kind = rng.integers(4)
    if kind == 0:
        return box(xy[0] / 2, xy[1] / 2, xy[0] / 2 + 40, xy[1] / 2 + 30)
    if kind == 1:
        return disc_mask(int(rng.integers(3)), index)
    return points([xy], [int(kind == 2)])


def correct(stream: Stream, object_id: int, life: tuple[int, int, Prompt, bool]) -> None:
    now, index, prompt, clear_previous = life
    stream.refine(object_id, index, prompt, now, clear_previous)


def test_random_life_around_an_object_does_not_change_it(predictor, encoded):
    rng = np.random.default_rng(2)
    stream, lives = Stream(predictor, encoded, look_back=3), {}
    for now in range(20):
        stream.track(now, now + 1)
        for object_id in [number for number in stream.memories if lives[number].first[0] < now]:
            chance = rng.random()
            if chance < 0.08 and len(stream.memories) > 2:
                del stream.memories[object_id], lives[object_id]
            elif chance < 0.35:
                index = int(rng.integers(max(lives[object_id].first[0], now - 3), now + 1))
                life = (now, index, random_prompt(rng, index), bool(rng.integers(2)))
                lives[object_id].corrections.append(life)
                correct(stream, object_id, life)
        if rng.random() < 0.35 or not lives:
            object_id, prompt = 100 + now, random_prompt(rng, now)
            lives[object_id] = Life((now, prompt))
            stream.add(object_id, now, prompt)
    assert len(lives) >= 3
    assert sum(len(life.corrections) for life in lives.values()) >= 5
    for object_id, life in lives.items():
        alone = live_alone(predictor, encoded, object_id, life)
        assert differing(stream.results, alone.results) == []


def live_alone(predictor, encoded, object_id: int, life: Life) -> Stream:
    stream = Stream(predictor, encoded, look_back=3)
    reached, prompt = life.first
    stream.add(object_id, reached, prompt)
    for correction in life.corrections:
        stream.track(reached + 1, correction[0] + 1)
        correct(stream, object_id, correction)
        reached = correction[0]
    stream.track(reached + 1, 20)
    return stream


def test_going_on_after_an_object_that_was_never_prompted_is_refused(predictor, encoded):
    memory = predictor.new_memory(CLIP_HW)
    with pytest.raises(PromptError, match='never prompted'):
        predictor.export_cond(memory)
    with pytest.raises(PromptError, match='never prompted'):
        predictor.track([TrackStep(memory, 0, encoded(0))])


def test_a_frame_older_than_what_is_remembered_is_refused(predictor, encoded):
    stream = Stream(predictor, encoded, look_back=2)
    stream.add(1, 0, disc_mask(0, 0))
    stream.track(1, 6)
    memory = stream.memories[1].fork()
    with pytest.raises(FrameError, match=r'frame 2 is too old: .* from frame 3 on'):
        predictor.track([TrackStep(memory, 2, encoded(2))])
    with pytest.raises(FrameError, match='frame 2 is too old'):
        predictor.prompt(memory, 2, encoded(2), disc_mask(0, 2), False)
    predictor.prompt(memory, 3, encoded(3), disc_mask(0, 3), False)


def test_a_bank_of_other_weights_or_with_parts_missing_is_refused(predictor, encoded):
    memory = predictor.new_memory(CLIP_HW)
    predictor.prompt(memory, 0, encoded(0), disc_mask(0, 0), False)
    bank = predictor.export_cond(memory)
    other = CondBank(bank.maps, bank.pointers, bank.score_logits, 'f00', bank.image_size)
    with pytest.raises(ModelError, match='made by the model f00'):
        predictor.import_cond(predictor.new_memory(CLIP_HW), other)
    with pytest.raises(ModelError, match='without pointers, image_size'):
        CondBank.read({'maps': bank.maps, 'score_logits': bank.score_logits}, {'model': ''})
    with pytest.raises(ModelError, match='differ in length'):
        CondBank.read({**bank.tensors(), 'maps': bank.maps[:0]}, bank.metadata())


def test_prompts_on_a_fork_for_pictures_of_another_size_are_in_their_pixels(predictor, encoded):
    learnt = predictor.new_memory(CLIP_HW)
    predictor.prompt(learnt, 0, encoded(0), disc_mask(0, 0), False)
    bank, (height, width) = predictor.export_cond(learnt), CLIP_HW
    masks = []
    for hw, point in ((CLIP_HW, (20, 30)), ((2 * height, 2 * width), (40, 60))):
        memory = predictor.new_memory(CLIP_HW)
        predictor.import_cond(memory, bank)
        forked = memory.fork(hw)
        assert (forked.video_hw, memory.video_hw) == (hw, CLIP_HW)
        predictor.track([TrackStep(forked, 0, encoded(1))])
        prompt = Prompt(points_xy=np.float32([point]), point_labels=np.int32([1]))
        masks.append(predictor.prompt(forked, 0, encoded(1), prompt, False).logits)
    assert torch.equal(*masks)


@pytest.mark.parametrize(('name', 'value', 'words'), [
    ('fill_hole_area', 8, 'fill_hole_area to 0'),
    ('add_all_frames_to_correct_as_cond', False, 'corrections fade'),
    ('non_overlap_masks', True, 'non_overlap_masks=false'),
    ('training', True, 'eval')])
def test_a_model_that_could_not_be_exact_is_refused(predictor, monkeypatch, name, value, words):
    monkeypatch.setattr(predictor.model, name, value)
    with pytest.raises(ModelError, match=words):
        Predictor(predictor.model)


def test_an_unknown_precision_is_refused(predictor):
    with pytest.raises(ModelError, match="precision 'float16' is none of float32, bfloat16"):
        Predictor(predictor.model, 'float16')


def test_another_predictors_objects_are_refused(predictor, encoded):
    with pytest.raises(TypeError, match='memory of this predictor'):
        predictor.track([TrackStep(None, 0, encoded(0))])
    with pytest.raises(TypeError, match='features of this predictor'):
        predictor.track([TrackStep(predictor.new_memory(CLIP_HW), 0, None)])


def in_half_precision(predictor: Predictor) -> Predictor:
    model = build(target=OURS)
    model.load_state_dict(predictor.model.state_dict())
    return Predictor(model, 'bfloat16')


@pytest.fixture(scope='module')
def half(one_thread, predictor) -> Predictor:
    return in_half_precision(predictor)


def track_disc(predictor: Predictor, clip_folder) -> torch.Tensor:
    pictures = read_clip(clip_folder)
    stream = Stream(predictor, lambda index: predictor.encode(pictures[index]))
    stream.add(1, 0, disc_mask(0, 0))
    stream.track(1, 4)
    return stream.results[3, 1]


def test_bfloat16_gives_nearly_the_same_masks(predictor, half, clip_folder):
    exact, rounded = track_disc(predictor, clip_folder), track_disc(half, clip_folder)
    assert not torch.equal(exact, rounded)
    assert ((exact > 0) == (rounded > 0)).float().mean() > 0.95


def test_weights_held_in_bfloat16_give_what_autocast_gives(
        predictor, half, clip_folder, monkeypatch):
    monkeypatch.setattr(type(predictor.model), 'lower_precision', lambda model, dtype: None)
    cast_at_each_use = in_half_precision(predictor)
    assert next(half.model.memory_attention.layers[0].linear1.parameters()).dtype == torch.bfloat16
    assert torch.equal(track_disc(cast_at_each_use, clip_folder), track_disc(half, clip_folder))


def test_the_same_weights_have_the_same_fingerprint_in_any_precision(predictor, half):
    assert predictor.fingerprint() == half.fingerprint()
    other = build(target=OURS)
    with torch.no_grad():
        other.no_obj_ptr[0, 0] += 1
    assert Predictor(other).fingerprint() != predictor.fingerprint()


def test_pictures_can_be_encoded_in_another_thread_while_objects_are_tracked(
        predictor, encoded, clip_folder):
    pictures = read_clip(clip_folder)
    predictor.warm_up()
    alone = Stream(predictor, encoded)
    together = Stream(predictor, lambda index: ahead.submit(predictor.encode, pictures[index])
                      .result())
    alone.add(1, 0, disc_mask(0, 0))
    alone.track(1, 8)
    with ThreadPoolExecutor(2) as ahead:
        together.add(1, 0, disc_mask(0, 0))
        busy = [ahead.submit(predictor.encode, pictures[index]) for index in range(8)]
        together.track(1, 8)
    assert differing(together.results, alone.results) == []
    for index, future in enumerate(busy):
        assert torch.equal(future.result().maps[-1], encoded(index).maps[-1])


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_a_cpu_tracks_one_object_after_the_other_by_itself(one_thread, precision):
    assert Predictor(build(target=OURS), precision)._batches is None


def test_positions_nobody_reads_take_no_memory(one_thread):
    model = build(target=OURS)
    frame = Predictor(model).encode(np.zeros((*CLIP_HW, 3), np.uint8))
    assert [tuple(tensor.shape) for tensor in frame.maps] == [
        (1, 32, 32, 32), (1, 64, 16, 16), (1, 256, 8, 8)]
    assert frame.nbytes == 4 * (32 * 32 * 32 + 64 * 16 * 16 + 256 * 8 * 8)
    _, cached = frame.as_cached()
    assert [tensor.untyped_storage().nbytes() for tensor in cached['vision_pos_enc'][:2]] == [4, 4]


def test_points_that_pile_up_on_a_frame_are_refused_beyond_what_one_prompt_may_have(
        predictor, encoded):
    stream = Stream(predictor, encoded)
    stream.add(1, 0, points([disc_xy(0, 0)]))
    most = points([disc_xy(0, 0)] * MAX_POINTS)
    with pytest.raises(PromptError, match='257 points on one frame with those of earlier'):
        stream.refine(1, 0, most, now=0)
    stream.refine(1, 0, most, now=0, clear_previous=True)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What policies keep of old frames is bounded, and really takes only what it seems to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
import random

from policy_rig import LOOK_BACK, made_up, MadeUp, mixed, small_model, taught
import pytest
from sam2_tracker.core.engine.batching import BatchTracker, Job, StepOutputs
from sam2_tracker.core.engine.memory.object_memory import ObjectMemory
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from stock import CLIP_HW, disc_mask, read_clip
import torch

OBJECTS = 16
FRAMES = 3000
# Bytes are counted on every 29th frame. After so many counts they only waver: by which objects are
# hidden at the time.
COUNTED, SETTLED = 29, 35


def bytes_held(memories: Iterable[ObjectMemory]) -> int:
    """Add up the memory behind all tensors, once where they share it."""
    storages = {}
    for memory in memories:
        for tensor in memory._held_tensors():
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def hidden_at_times_of_its_own(number: int) -> list[MadeUp]:
    rng = random.Random(number)
    lessons: list[MadeUp] = []
    while len(lessons) <= FRAMES:
        lessons += [made_up(look_alike=rng.random() < 0.3) for _ in range(rng.randint(1, 60))]
        lessons += [made_up(score=-3.0)] * rng.randint(1, 400)
    return lessons


def without_reading(batches: BatchTracker) -> Callable[[Sequence[Job]], None]:
    """
    Return what makes results of all objects in one batch and remembers them, and reads nothing.

    What is kept depends on what was seen, not on what is in the results; to read it took minutes.
    """
    shapes: list[torch.Tensor] = []

    def track(jobs: Sequence[Job]) -> None:
        if not shapes:
            one = mixed(batches._inputs(jobs[:1], [batches._reading(jobs[0])]))
            shapes.extend(getattr(one, each.name) for each in fields(one))
        batches._store(jobs, StepOutputs(*(
            torch.zeros(len(jobs), *each.shape[1:], dtype=each.dtype) for each in shapes)))

    return track


@pytest.mark.parametrize('memory', ['selective', 'distractor'])
def test_bytes_stay_bounded_over_3000_frames_of_16_objects_hidden_at_different_times(
        one_thread, clip_folder, memory):
    predictor = Predictor(small_model(), batched=True, memory=memory)
    predictor._batches.track = without_reading(predictor._batches)
    encoded = [predictor.encode(picture) for picture in read_clip(clip_folder)[:4]]
    memories = [predictor.new_memory(CLIP_HW) for _ in range(OBJECTS)]
    for number, each in enumerate(memories):
        each.policy = taught(predictor._policy, hidden_at_times_of_its_own(number).__getitem__)
        predictor.prompt(each, 0, encoded[0], disc_mask(number % 3, 0), False)
    held = []
    for index in range(1, FRAMES):
        predictor.track([TrackStep(each, index, encoded[index % 4]) for each in memories])
        for each in memories:
            each.prune(index, LOOK_BACK)
        if index % COUNTED == 0:
            held.append(bytes_held(memories))
    bound = most_bytes(memories)
    print(f'{memory}: at most {max(held)} bytes of {OBJECTS} objects, bound {bound}')  # noqa: T201
    assert max(held[SETTLED:]) <= 1.02 * max(held[:SETTLED])
    assert max(held) <= bound


def most_bytes(memories: list[ObjectMemory]) -> int:
    """
    Return what objects may hold by the rules.

    Of frames within the look-back each has all, of older ones at most 19 maps and 4 anchors, and
    the pointers and scores of all of these and of 20 frames more.
    """
    entry = memories[0].tracked[FRAMES - 1]
    whole = sum(tensor.nbytes for tensor in entry.values() if hasattr(tensor, 'nbytes'))
    a_map = entry['maskmem_features'].nbytes
    numbers = entry['obj_ptr'].nbytes + entry['object_score_logits'].nbytes
    prompted = whole + memories[0].tracked[FRAMES - 1]['pred_masks'].nbytes
    return OBJECTS * ((LOOK_BACK + 1) * whole + 23 * a_map + 43 * numbers + prompted)

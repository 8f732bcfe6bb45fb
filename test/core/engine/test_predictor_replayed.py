# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Tracking from recordings gives the very masks that it gives without.

SAM 2 itself, small and with random weights; what records is the stand-in, which spoils whatever
was not copied.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.features import EncodedFrame
from sam2_tracker.core.engine.graphs.replays import Graphs, Limits
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.engine.stream_predictor import StreamPredictor
from sam2_tracker.core.protocols import GraphCounts, TrackStep
from sam2_tracker.core.types import Wanted
from sam2_tracker.models.loader import build_predictor
from stand_in import StandInRecorder
from stock import CLIP_HW, differing, disc_mask, disc_xy, points, read_clip, spread, Stream
from test_predictor_batched import live
import torch

OFTEN = Limits(times=2, recent=0, rest=0.0)


def small_model() -> StreamPredictor:
    model = build_predictor(ModelConfig('nano', device='cpu', image_size=64), random_weights=True)
    # Its own are several frames apart, and windows of 16 frames are soon full.
    model.memory_temporal_stride_for_eval = 1
    return model


@pytest.fixture(scope='module')
def eager(one_thread) -> Predictor:
    return Predictor(small_model(), batched=True)


@pytest.fixture(scope='module')
def encoded(eager, clip_folder):
    return features_of(eager, clip_folder)


class Replaying:
    """A predictor that replays, and what it records with."""

    def __init__(self, model, limits: Limits = OFTEN, **options) -> None:
        self.recorders: list[StandInRecorder] = []
        self.predictor = Predictor(model, graphs=Graphs(self._recorder, limits=limits),
                                   **{'batched': True, 'on_device': True, **options})
        self.encoder, self.tracking = self.recorders

    def _recorder(self) -> StandInRecorder:
        self.recorders.append(StandInRecorder())
        return self.recorders[-1]

    @property
    def counts(self) -> GraphCounts:
        counts = self.predictor.graph_counts
        assert counts is not None
        return counts


@pytest.fixture
def replaying(eager) -> Replaying:
    return Replaying(eager.model)


def features_of(predictor: Predictor, clip_folder):
    pictures = read_clip(clip_folder)

    @cache
    def encoded(index: int) -> EncodedFrame:
        return predictor.encode(pictures[index])
    return encoded


def assert_equal_features(found: EncodedFrame, expected: EncodedFrame) -> None:
    for one, other in zip(found.maps, expected.maps, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(found.position, expected.position)


def test_objects_that_come_and_are_refined_have_the_same_masks(
        eager, encoded, replaying, clip_folder):
    expected = live(Stream(eager, encoded, look_back=3), 3, 26)
    own = features_of(replaying.predictor, clip_folder)
    found = live(Stream(replaying.predictor, own, look_back=3), 3, 26)
    assert differing(found, expected) == []
    assert max(spread(expected)) > 0.01, 'equal because nothing moves would prove nothing'
    assert replaying.counts.recorded > 10 and replaying.counts.replayed > 50


def on_frames_of_several_cameras(predictor: Predictor, encoded) -> list[torch.Tensor]:
    """Track an object of each of three cameras in one pass, on a frame of its own each."""
    memories = [predictor.new_memory(CLIP_HW) for _ in range(3)]
    for number, memory in enumerate(memories):
        predictor.prompt(memory, number, encoded(number), disc_mask(number, number), False)
    found = []
    for at in range(1, 24):
        outputs = predictor.track([TrackStep(memory, number + at, encoded(number + at))
                                   for number, memory in enumerate(memories)])
        found += [output.logits for output in outputs]
    return found


def test_objects_of_several_cameras_in_one_pass_are_replayed_too(
        eager, encoded, replaying, clip_folder):
    expected = on_frames_of_several_cameras(eager, encoded)
    own = features_of(replaying.predictor, clip_folder)
    for index in range(26):
        own(index)
    before = replaying.counts
    found = on_frames_of_several_cameras(replaying.predictor, own)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert replaying.counts.recorded > before.recorded
    assert replaying.counts.replayed > before.replayed


def test_features_stay_what_they_were_while_later_pictures_are_encoded(
        encoded, replaying, clip_folder):
    own = features_of(replaying.predictor, clip_folder)
    kept = [own(index) for index in range(8)]
    assert replaying.encoder.replays > 8
    for index, features in enumerate(kept):
        assert_equal_features(features, encoded(index))


@pytest.mark.parametrize('limit', [{'recordings': 2}, {'nbytes': 1}],
                         ids=['few', 'no memory'])
def test_what_is_evicted_changes_no_mask(eager, encoded, clip_folder, limit):
    replaying = Replaying(eager.model, Limits(times=1, recent=0, rest=0.0, **limit))
    expected = live(Stream(eager, encoded, look_back=3), 2, 20)
    found = live(Stream(replaying.predictor, encoded, look_back=3), 2, 20)
    assert differing(found, expected) == []
    assert replaying.counts.evicted > 0


def test_replays_of_a_prompt_beside_the_live_objects_have_the_same_masks(eager, encoded):
    results, replaying = [], Replaying(eager.model, Limits(times=1, recent=0, rest=0.0))
    for each in (eager, replaying.predictor):
        memories = [each.new_memory(CLIP_HW) for _ in range(3)]
        for number, memory in enumerate(memories):
            first = 6 if number else 3
            each.prompt(memory, first, encoded(first), disc_mask(number, first), False)
        outputs = {}
        for step in range(1, 22):
            steps = [TrackStep(memory, frame, encoded(frame)) for memory, frame in zip(
                memories, (3 + step, 6 + step, 6 + step), strict=True)]
            # The one that is behind is alone in some passes, beside others in some.
            parts = [steps] if step < 16 or step % 2 else [steps[:1], steps[1:]]
            found = [output for part in parts for output in each.track(part)]
            outputs |= {(step, number): output.logits.clone()
                        for number, output in enumerate(found)}
        results.append(outputs)
    assert differing(*results) == []
    assert replaying.counts.replayed >= 4


def test_pictures_that_are_encoded_ahead_have_the_same_masks(eager, replaying, clip_folder):
    pictures = read_clip(clip_folder)[:24]
    results = []
    for each, ahead in ((eager, False), (replaying.predictor, True)):
        memory, found = each.new_memory(CLIP_HW), {}
        for index, picture in enumerate(pictures):
            features = each.encode(picture)
            if ahead and index + 1 < len(pictures):
                each.encode_ahead(pictures[index + 1])
            if index == 0:
                each.prompt(memory, 0, features, points([disc_xy(0, 0)]), False)
            output, = each.track([TrackStep(memory, index, features)])
            found[index, 1] = output.logits.clone()
        results.append(found)
    assert differing(*results) == []
    assert replaying.counts.replayed > 30


def test_warm_up_records_the_encoder_and_what_is_usual(eager, encoded, clip_folder):
    replaying = Replaying(eager.model, Limits(times=1000))
    replaying.predictor.warm_up()
    assert replaying.counts.recorded == 1 + 8, 'four objects, one or two prompted frames'
    before = replaying.counts
    streams = [Stream(each, encoded) for each in (eager, replaying.predictor)]
    for stream in streams:
        for number in range(3):
            stream.add(number + 1, 0, disc_mask(number, 0))
        stream.track(1, 24)
    assert differing(streams[1].results, streams[0].results) == []
    after = replaying.counts
    assert after.replayed - before.replayed == 24 - 16, 'from full windows on'
    assert after.recorded == before.recorded


def test_a_predictor_that_records_nothing_is_warmed_up_as_before(eager):
    assert eager.graph_counts is None
    plain = Predictor(eager.model, batched=True)
    plain.warm_up()
    assert plain.graph_counts is None


def test_one_object_after_the_other_replays_only_the_encoder(eager, encoded, clip_folder):
    replaying = Replaying(eager.model, batched=False)
    own = features_of(replaying.predictor, clip_folder)
    streams = [Stream(eager, encoded), Stream(replaying.predictor, own)]
    for stream in streams:
        stream.add(1, 0, disc_mask(1, 0))
        stream.track(1, 20)
    assert differing(streams[1].results, streams[0].results) == []
    assert replaying.encoder.replays > 10 and replaying.tracking.replays == 0


def test_in_bfloat16_too_a_replay_has_the_same_masks(one_thread, clip_folder):
    results = []
    for make in (lambda model: Predictor(model, 'bfloat16', batched=True),
                 lambda model: Replaying(model, precision='bfloat16').predictor):
        each = make(small_model())
        stream = Stream(each, features_of(each, clip_folder))
        for number in range(2):
            stream.add(number + 1, 0, disc_mask(number, 0))
        stream.track(1, 22)
        results.append(stream.results)
    assert differing(results[1], results[0]) == []


def test_what_is_shown_is_the_same_too_and_outlives_the_next_frame(eager, encoded, replaying):
    memories = [eager.new_memory(CLIP_HW) for _ in range(3)]
    for number, memory in enumerate(memories):
        eager.prompt(memory, 0, encoded(0), disc_mask(number, 0), False)
    shown, expected = [], []
    for index in range(1, 7):
        outputs = eager.track([TrackStep(memory, index, encoded(index)) for memory in memories])
        for each, found in ((replaying.predictor, shown), (eager, expected)):
            found.append(each.summarise(outputs, [4, 300, 9], CLIP_HW, Wanted()))
    assert replaying.tracking.replays >= 4
    for one, other in zip(shown, expected, strict=True):
        assert one.objects == other.objects
        assert np.array_equal(one.masks, other.masks)
        assert np.array_equal(one.label_image, other.label_image)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Detections in a running worker: late, early, unknown, too many, and beside people's prompts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fakes import FakeFeatures, FakeMemory, FakeOutput
import numpy as np
import pytest
from sam2_tracker.core.config import DetectionsConfig, FramePolicy
from sam2_tracker.core.detections.detection import Detection
from sam2_tracker.core.protocols import FrameMasks, MaskSummary
from sam2_tracker.core.types import Box, ObjectState, Prompt, UInt8Array
from sam2_tracker.core.worker.detection_prompts import DetectionCounts, MAX_WAITING
from worker_rig import answer, GatedPredictor, running, WorkerRig

DOG = (4.0, 6.0, 20.0, 20.0)
CAT = (40.0, 6.0, 60.0, 30.0)


class BoxPredictor(GatedPredictor):
    """Believes what it is told: an object stays in the box that it was last prompted with."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[int, tuple[int, ...]] = {}

    def encode(self, image_rgb: UInt8Array) -> FakeFeatures:
        # JPEG may have made 254 of the blue that shows no object.
        return super().encode(np.where(image_rgb > 250, np.uint8(255), image_rgb))

    def prompt(self, memory: FakeMemory, frame_index: int, features: FakeFeatures,
               prompt: Prompt, clear_previous: bool) -> FakeOutput:
        output = super().prompt(memory, frame_index, features, prompt, clear_previous)
        assert prompt.box_xyxy is not None
        self.boxes[output.token] = tuple(int(edge) for edge in prompt.box_xyxy)
        return output

    def _track_one(self, memory: FakeMemory, index: int, features: FakeFeatures) -> FakeOutput:
        output = super()._track_one(memory, index, features)
        newest = memory.cond[max(t for t in memory.cond if t <= index)]
        self.boxes[output.token] = self.boxes[newest.token]
        return output

    def summarise(self, outputs, object_ids, video_hw, wanted, rules=None) -> FrameMasks:
        shown = super().summarise(outputs, object_ids, video_hw, wanted)
        return replace(shown, objects=tuple(self._summary(each) for each in outputs))

    def _summary(self, output: FakeOutput) -> MaskSummary:
        if output.score <= 0.5:
            return MaskSummary(output.score, False)
        left, top, right, bottom = self.boxes[output.token]
        return MaskSummary(output.score, True, Box(left, top, right - left, bottom - top), 9)


class Rig(WorkerRig):

    def __init__(self, folder: Path, policy: FramePolicy = FramePolicy.EVERY,
                 **settings: object) -> None:
        tracking = {name: settings.pop(name) for name in ('max_objects', 'lost_after_s')
                    if name in settings}
        config = DetectionsConfig(**{'use': True, 'confirm_frames': 2, **settings})
        super().__init__(folder, policy, predictor=BoxPredictor(), detections=config, **tracking)

    def detect(self, number: int, *boxes: tuple[float, ...], frame_id: str = 'camera') -> None:
        self.worker.add_detections(
            round((100 + number / 10) * 1e9), frame_id,
            [Detection(box, 0.9, 'dog' if box[0] < 30 else 'cat') for box in boxes])

    def counts(self) -> DetectionCounts:
        counts = self.worker.report().detections
        assert counts is not None
        return counts

    def wait_for_object(self, object_id: int) -> None:
        self.wait_for_line(f'new object {object_id} ')
        self.wait_until_caught_up()

    def wait_for_line(self, text: str) -> None:
        self.wait_until(lambda: any(text in line for _, line in self.lines))

    def warnings(self) -> list[str]:
        return [line for level, line in self.lines if level.value.upper().startswith('WARN')]

    def frame_of(self, object_id: int) -> str:
        """Return the stamp of the frame that a new object was prompted on."""
        [line] = [line for _, line in self.lines if f'new object {object_id} ' in line]
        return line.split()[3].rstrip(':')


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(Rig(tmp_path)) as started:
        yield started


def test_a_late_detector_prompts_the_frame_that_it_saw_and_nothing_twice(rig):
    rig.play(10)
    for number in range(8):
        rig.detect(number, DOG, CAT)
    rig.wait_for_object(2)
    rig.play(2, start=10)
    assert {(each.id, each.label) for each in rig.listed().objects} == {(1, 'dog'), (2, 'cat')}
    assert rig.frame_of(1) == rig.frame_of(2) == '100.100000000'
    assert rig.counts() == DetectionCounts(used=8)


def test_both_objects_of_a_frame_are_one_batch_and_one_catch_up(rig):
    rig.play(10)
    rig.detect(0, DOG, CAT)
    rig.detect(1, DOG, CAT)
    rig.wait_for_object(2)
    replayed = [step for step in rig.predictor.steps if len(step) == 2]
    assert replayed == [[index, index] for index in range(2, 10)]


def test_an_early_detector_is_waited_for_until_its_frame_was_tracked(rig):
    rig.detect(2, DOG)
    rig.detect(1, DOG)
    assert rig.counts().waiting == 2
    rig.play(4)
    rig.wait_for_object(1)
    assert rig.frame_of(1) == '100.200000000'
    assert rig.counts().waiting == 0
    assert rig.warnings() == []


def test_detections_of_a_frame_that_waits_for_the_model_have_its_turn(rig):
    rig.play(1)
    rig.predictor.gate.clear()
    for number in (1, 2, 3):
        rig.send(number)
    rig.detect(1, DOG)
    rig.detect(2, DOG)
    rig.predictor.gate.set()
    rig.wait_for_object(1)
    assert rig.frame_of(1) == '100.200000000'


def test_a_frame_that_was_skipped_is_prompted_in_the_place_of_its_neighbour(tmp_path):
    with running(Rig(tmp_path, FramePolicy.LATEST)) as rig:
        rig.play(1)
        rig.predictor.gate.clear()
        rig.predictor.entered.clear()
        rig.send(1)
        assert rig.predictor.entered.wait(10)
        rig.send(2)
        rig.send(3)
        rig.predictor.gate.set()
        rig.wait_until(lambda: len(rig.results) == 3)
        rig.detect(1, DOG)
        rig.detect(2, DOG)
        rig.wait_for_object(1)
        assert rig.frame_of(1) == '100.200000000'
        assert rig.shown(1).state is ObjectState.VISIBLE


def test_an_unknown_stamp_a_foreign_frame_id_and_a_foreign_clock_are_said_once_and_counted(rig):
    rig.play(3)
    for _ in range(2):
        rig.detect(-500, DOG)
        rig.detect(1, DOG, frame_id='lidar')
        rig.detect(500, DOG)
        rig.worker.add_detections(0, 'camera', [Detection(DOG, 0.9, 'dog')])
    answer(rig.worker.call(lambda _: None))
    assert rig.counts() == DetectionCounts(refused=8)
    warnings = rig.warnings()
    assert len([line for line in warnings if 'is not' in line and 'lidar' in line]) == 1
    assert len([line for line in warnings if 'message has stamp 0' in line]) == 1
    assert any('50.0' in line and '(oldest)' in line for line in warnings)
    assert rig.listed().objects == ()


def test_what_waits_is_bounded_and_the_oldest_is_dropped_and_counted(rig):
    for number in range(MAX_WAITING + 5):
        rig.detect(number, DOG)
    assert rig.counts().waiting == MAX_WAITING
    assert rig.counts().refused == 5
    assert f'{MAX_WAITING} messages wait already' in rig.warnings()[0]


def test_never_more_than_the_most_objects(tmp_path):
    with running(Rig(tmp_path, max_objects=1)) as rig:
        rig.play(5)
        for number in range(5):
            rig.detect(number, CAT, DOG)
        rig.wait_for_object(1)
        rig.play(2, start=5)
        assert len(rig.listed().objects) == 1


def test_an_object_that_stays_lost_goes_and_peoples_own_stay(tmp_path):
    with running(Rig(tmp_path, remove_lost=0.5, lost_after_s=0.3)) as rig:
        rig.play(3)
        rig.detect(1, DOG)
        rig.detect(2, DOG)
        rig.wait_for_object(1)
        answer(rig.prompt(Prompt(label='cup', box_xyxy=np.array(CAT, np.float32))))
        for number in range(3, 20):
            before = len(rig.results)
            rig.send(number, empty=True)
            rig.wait_until(lambda seen=before: len(rig.results) > seen)
        rig.wait_for_line('object 1 (dog) came from a detector and is removed: LOST for 0.5 s')
        assert [each.label for each in rig.listed().objects] == ['cup']


def test_a_hidden_object_is_refined_on_the_frame_that_shows_it_again(tmp_path):
    with running(Rig(tmp_path)) as rig:
        rig.play(3)
        rig.detect(1, DOG)
        rig.detect(2, DOG)
        rig.wait_for_object(1)
        for number in range(3, 6):
            before = len(rig.results)
            rig.send(number, empty=True)
            rig.wait_until(lambda seen=before: len(rig.results) > seen)
        assert rig.shown(1).state is ObjectState.OCCLUDED
        rig.detect(4, tuple(edge + 1 for edge in DOG))
        rig.wait_for_line('detected on frame 100.400000000: object 1 (dog) is prompted again')
        rig.play(1, start=6)
        assert len(rig.listed().objects) == 1


def test_an_object_that_somebody_prompts_again_is_no_longer_the_detectors(tmp_path):
    with running(Rig(tmp_path, remove_lost=0.1, lost_after_s=0.1)) as rig:
        rig.play(3)
        rig.detect(1, DOG)
        rig.detect(2, DOG)
        rig.wait_for_object(1)
        answer(rig.prompt(Prompt(1, 'rex')))
        for number in range(3, 10):
            before = len(rig.results)
            rig.send(number, empty=True)
            rig.wait_until(lambda seen=before: len(rig.results) > seen)
        assert [(each.label, each.state) for each in rig.listed().objects] == [
            ('rex', ObjectState.LOST)]


def test_what_comes_while_others_are_looked_at_needs_no_further_frame(rig):
    rig.play(8)
    rig.predictor.gate.clear()
    rig.predictor.entered.clear()
    answer_later = rig.prompt(Prompt(box_xyxy=np.array(CAT, np.float32)), stamp_s=100.0)
    assert rig.predictor.entered.wait(10)
    rig.detect(6, DOG)
    rig.detect(7, DOG)
    rig.predictor.gate.set()
    answer(answer_later)
    rig.wait_for_line('new object 2 ')
    for number in range(100):
        rig.detect(number % 8, DOG)
    answer(rig.worker.call(lambda _: None))
    rig.wait_until_caught_up()
    answer(rig.worker.call(lambda _: None))
    assert rig.counts().waiting == 0


def test_an_object_that_somebody_removed_is_not_made_again_though_the_detector_shows_it(rig):
    rig.play(10)
    rig.detect(0, DOG)
    rig.detect(1, DOG)
    rig.wait_for_object(1)
    answer(rig.worker.remove_object(1))
    for number in range(2, 10):
        rig.detect(number, DOG, CAT)
    rig.wait_for_object(2)
    assert [each.label for each in rig.listed().objects] == ['cat']


def test_after_a_reset_things_are_confirmed_anew(rig):
    rig.play(6)
    rig.detect(0, DOG)
    answer(rig.worker.reset())
    assert rig.counts().used == 1
    rig.detect(1, DOG)
    rig.detect(2, DOG)
    rig.wait_for_object(1)
    assert rig.frame_of(1) == '100.200000000'


def test_a_stream_that_begins_again_forgets_what_waits(rig):
    rig.play(3)
    rig.detect(5, DOG)
    before = len(rig.results)
    rig.send(0, stamp_s=50)
    rig.send(1, stamp_s=50.1)
    rig.wait_until(lambda: len(rig.results) >= before + 2)
    assert rig.counts().waiting == 0


def test_while_paused_nothing_is_prompted(rig):
    rig.play(3)
    answer(rig.worker.set_paused(True))
    rig.detect(0, DOG)
    rig.detect(1, DOG)
    answer(rig.worker.call(lambda _: None))
    assert rig.listed().objects == ()
    answer(rig.worker.set_paused(False))
    rig.play(1, start=3)
    rig.wait_for_object(1)


def test_a_fault_while_prompting_ends_no_thread_and_is_not_tried_for_ever(rig):
    rig.play(3)
    rig.predictor.failures.append(RuntimeError('no luck'))
    rig.detect(0, DOG)
    rig.detect(1, DOG)
    rig.wait_for_line('no luck')
    rig.play(1, start=3)
    assert rig.worker.report().fault == ''
    assert rig.counts().waiting == 0

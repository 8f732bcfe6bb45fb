# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Cameras on one real model: each gets the masks that it would have had alone, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import threading
from typing import Any

from live_rig import answer, LiveStream, PATIENCE_S, stamp_ns
import numpy as np
import pytest
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.frames.stored_frame import RawImage
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.sharing import turns
from sam2_tracker.core.sharing.shared_model import SharedModel
from sam2_tracker.core.types import FrameHeader, TrackedFrame, UInt8Array
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from stock import disc_xy, EncodedOnce, points
from waiting import wait_until

NAMES = ('front', 'left', 'rear')
FRAMES = 10
ROUNDS = 3
# What makes the model fail on a picture: nothing in the clip is so bright.
BAD = 255


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class Touchy:
    """
    A real model that fails on white pictures, and where there is room for fewer steps at once.

    :ivar most_steps: that there is room for
    :ivar steps: of each call
    """

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor
        self.most_steps = 1000
        self.steps: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def encode(self, image_rgb: UInt8Array) -> Any:
        if image_rgb.min() == BAD:
            raise RuntimeError('a picture that no kernel can take')
        return self._predictor.encode(image_rgb)

    def track(self, steps: Sequence[TrackStep]) -> Any:
        self.steps.append(len(steps))
        if len(steps) > self.most_steps:
            raise OutOfMemoryError('no room')
        return self._predictor.track(steps)


@pytest.fixture
def model(encoded_once: Any) -> Touchy:
    return Touchy(encoded_once)


class Cameras:
    """Three streams of a clip on one model, each with another of its discs as object."""

    def __init__(self, model: Touchy, clip: Path, directory: Path) -> None:
        self.shared = SharedModel(model)
        self.streams = {name: LiveStream(self.shared.join(name), clip, directory / name)
                        for name in NAMES}

    def begin(self) -> None:
        for number, stream in enumerate(self.streams.values()):
            begin(stream, number)

    def play(self, stop: int, *names: str) -> None:
        """Let cameras send their pictures up to one, all at the same time."""
        with ThreadPoolExecutor(len(NAMES)) as pool:
            for done in [pool.submit(self.streams[name].play, stop) for name in names or NAMES]:
                done.result(PATIENCE_S)

    def play_at_once(self, stop: int) -> None:
        """Send picture after picture, each to all cameras before the model begins with any."""
        nobody = self.shared.join('nobody')
        callers = [stream.worker._predictor._caller for stream in self.streams.values()]
        with ThreadPoolExecutor(1) as pool:
            for end in range(len(self.streams['front'].results) + 1, stop + 1):
                gate = threading.Event()
                held = pool.submit(nobody._caller.call, gate.wait)
                for stream in self.streams.values():
                    stream.send_up_to(end)
                wait_until(lambda: all(caller.queue for caller in callers))
                gate.set()
                assert held.result(PATIENCE_S)
                for stream in self.streams.values():
                    stream.wait_for_results(end)
        self.shared.leave('nobody')

    def close(self) -> None:
        for stream in self.streams.values():
            stream.close()
        assert self.shared.close(PATIENCE_S)


def begin(stream: LiveStream, number: int) -> None:
    stream.play(1)
    answer(stream.prompt(0, points([disc_xy(number, 0)])))


@pytest.fixture(scope='module')
def alone(encoded_once: Any, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory
          ) -> list[list[TrackedFrame]]:
    """Give what each camera's results are with a model of its own."""
    found = []
    for number in range(len(NAMES)):
        stream = LiveStream(encoded_once, clip_folder, tmp_path_factory.mktemp('alone'))
        begin(stream, number)
        stream.play(FRAMES)
        found.append(stream.results)
        stream.close()
    return found


@pytest.fixture
def cameras(model: Touchy, clip_folder: Path, tmp_path: Path) -> Iterator[Cameras]:
    made = Cameras(model, clip_folder, tmp_path)
    yield made
    made.close()


def assert_equal(found: Sequence[TrackedFrame], expected: Sequence[TrackedFrame]) -> None:
    assert len(found) == len(expected) == FRAMES
    for one, other in zip(found, expected, strict=True):
        assert one.objects == other.objects
        assert all(map(np.array_equal, one.masks, other.masks))
    assert sum(result.masks[0].any() for result in expected if result.masks) > FRAMES // 2


def test_each_camera_has_the_masks_that_it_would_have_alone(cameras, alone):
    cameras.begin()
    cameras.play(FRAMES)
    for stream, expected in zip(cameras.streams.values(), alone, strict=True):
        assert_equal(stream.results, expected)
    counts = cameras.shared.report().cameras
    assert list(counts) == list(NAMES)
    assert all(each.calls >= 2 * (FRAMES - 1) and each.worked_s > 0 for each in counts.values())
    assert cameras.shared.report().joint_runs == 0


def stop_and_start(cameras: Cameras, stream: LiveStream, _: int) -> None:
    assert stream.worker.stop(PATIENCE_S)
    stream.worker.start()


def reset(cameras: Cameras, stream: LiveStream, _: int) -> None:
    answer(stream.worker.reset())
    answer(stream.worker.add_prompts(PromptRequest((points([disc_xy(1, 0)]),))))


def fail(cameras: Cameras, stream: LiveStream, number: int) -> None:
    stream.worker.append(RawImage(np.full((96, 144, 3), BAD, np.uint8)),
                         FrameHeader(stamp_ns(number) + 1, 'camera'), 0)


def leave_and_join(cameras: Cameras, stream: LiveStream, _: int) -> None:
    assert stream.worker.stop(PATIENCE_S)
    cameras.shared.leave('left')
    with pytest.raises(TrackerError, match='the turns of this camera are over'):
        stream.worker._predictor.encode(np.zeros((96, 144, 3), np.uint8))
    stream.worker._predictor._caller = cameras.shared.join('left')._caller
    stream.worker.start()


def play_while(cameras: Cameras, disturb: Callable[[Cameras, LiveStream, int], None]) -> None:
    """Let two cameras play, and something happen to the one between all the time."""
    left = cameras.streams['left']
    over = threading.Event()

    def disturb_all_the_time() -> int:
        number = 1
        while not over.is_set() or number <= ROUNDS:
            left.send(number)
            disturb(cameras, left, number)
            number += 1
        return number

    with ThreadPoolExecutor(1) as pool:
        disturbed = pool.submit(disturb_all_the_time)
        try:
            cameras.play(FRAMES, 'front', 'rear')
        finally:
            over.set()
        assert disturbed.result(PATIENCE_S) > ROUNDS


@pytest.mark.parametrize('disturb', [stop_and_start, reset, fail, leave_and_join])
def test_whatever_happens_to_one_camera_the_masks_of_the_others_stay_as_they_are(
        cameras, alone, disturb: Callable[[Cameras, LiveStream, int], None]):
    cameras.begin()
    play_while(cameras, disturb)
    for number, name in ((0, 'front'), (2, 'rear')):
        assert_equal(cameras.streams[name].results, alone[number])


def test_a_disk_that_hangs_holds_up_its_own_camera_only(cameras, alone, monkeypatch):
    cameras.begin()
    buffer = cameras.streams['left']._buffer
    answers, waiting, take = threading.Event(), threading.Event(), buffer.frame

    def hang(*arguments: Any) -> Any:
        waiting.set()
        assert answers.wait(PATIENCE_S)
        return take(*arguments)

    monkeypatch.setattr(buffer, 'frame', hang)
    cameras.streams['left'].send(1)
    assert waiting.wait(PATIENCE_S)
    cameras.play(FRAMES, 'front', 'rear')
    assert len(cameras.streams['left'].results) == 1
    answers.set()
    cameras.streams['left'].wait_for_results(2)
    cameras.play(FRAMES, 'left')
    for stream, expected in zip(cameras.streams.values(), alone, strict=True):
        assert_equal(stream.results, expected)


@pytest.mark.parametrize('work', ['scaled', 'summarise'])
def test_a_picture_that_takes_long_to_scale_or_to_cover_holds_up_its_own_camera_only(
        cameras, alone, model, monkeypatch, work: str):
    """As those of 40 megapixels do: a second for the one, several for the other."""
    cameras.begin()
    done, begun, do = threading.Event(), threading.Event(), getattr(model._predictor, work)
    slow = cameras.streams['left'].worker._loop._thread

    def take_long(*arguments: Any) -> Any:
        if threading.current_thread() is slow:
            begun.set()
            assert done.wait(PATIENCE_S)
        return do(*arguments)

    monkeypatch.setattr(model, work, take_long, raising=False)
    cameras.streams['left'].send(1)
    assert begun.wait(PATIENCE_S)
    cameras.play(FRAMES, 'front', 'rear')
    assert len(cameras.streams['left'].results) == 1
    done.set()
    cameras.streams['left'].wait_for_results(2)
    cameras.play(FRAMES, 'left')
    for stream, expected in zip(cameras.streams.values(), alone, strict=True):
        assert_equal(stream.results, expected)


@pytest.fixture(scope='module')
def batched(predictor: Predictor) -> EncodedOnce:
    return EncodedOnce(Predictor(predictor.model, batched=True))


@pytest.fixture
def joined(batched: EncodedOnce, clip_folder: Path, tmp_path: Path,
           monkeypatch: pytest.MonkeyPatch) -> Iterator[Cameras]:
    """Give cameras on a model that tracks objects in batches: none is late, none was idle."""
    monkeypatch.setattr(turns, 'FOLLOW_UP_S', 1.0)
    monkeypatch.setattr(turns, 'CREDIT_S', 0.0)
    made = Cameras(Touchy(batched), clip_folder, tmp_path)
    yield made
    made.close()


def assert_nearly_equal(found: Sequence[TrackedFrame], expected: Sequence[TrackedFrame]) -> None:
    assert len(found) == len(expected) == FRAMES
    for one, other in zip(found, expected, strict=True):
        assert [each.id for each in one.objects] == [each.id for each in other.objects]
        for mask, wanted in zip(one.masks, other.masks, strict=True):
            # Random weights give flat logits: single pixels lie as near to zero as rounding.
            assert (mask & wanted).sum() >= 0.999 * (mask | wanted).sum()


def test_where_objects_are_batched_those_of_cameras_that_wait_are_tracked_together(joined, alone):
    joined.begin()
    joined.play_at_once(FRAMES)
    for stream, expected in zip(joined.streams.values(), alone, strict=True):
        assert_nearly_equal(stream.results, expected)
    report = joined.shared.report()
    assert report.joint_runs == FRAMES - 1 and report.joint_failures == 0
    assert max(joined.shared.predictor.steps) == len(NAMES)


def test_what_is_too_much_for_the_memory_together_is_tracked_camera_by_camera(joined, alone):
    """One object a camera and no joint batch: bit for bit what each has alone."""
    joined.shared.predictor.most_steps = 1
    joined.begin()
    joined.play_at_once(FRAMES)
    report = joined.shared.report()
    assert report.joint_failures == report.joint_runs == FRAMES - 1
    for stream, expected in zip(joined.streams.values(), alone, strict=True):
        assert_equal(stream.results, expected)
        assert not stream.worker.report().fault


def test_an_error_that_a_joint_batch_has_from_one_camera_is_that_cameras_alone(
        joined, alone, monkeypatch):
    joined.begin()
    left = joined.streams['left']
    bad = answer(left.worker.call(lambda tracker: tracker._roster.known(1).memory))
    track = joined.shared.predictor.track

    def touchy(steps: Sequence[TrackStep]) -> Any:
        if any(step.memory is bad for step in steps):
            raise RuntimeError('a memory that no kernel can take')
        return track(steps)

    monkeypatch.setattr(joined.shared.predictor, 'track', touchy)
    # A frame that failed is not waited for before the next.
    monkeypatch.setattr(left.worker._loop._frame_turn.backoff, 'wait_s', lambda _: 0.0)
    play_while(joined, lambda *_: wait_until(lambda: not left._buffer.statistics.waiting))
    assert joined.shared.report().joint_failures > 0
    for number, name in ((0, 'front'), (2, 'rear')):
        assert_nearly_equal(joined.streams[name].results, alone[number])
        assert not joined.streams[name].worker.report().fault
    assert 'a memory that no kernel can take' in left.worker.report().fault

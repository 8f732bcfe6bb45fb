# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""When a state is kept that an interrupted run can go on from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.tracking.visibility import Visibility
from sam2_tracker.core.types import (
    Frame,
    FrameHeader,
    ObjectState,
    TrackedFrame,
    TrackedObject,
    Wanted,
)
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.run import saved_progress
from sam2_tracker.offline.run.clip import ClipState, KnownObject
from sam2_tracker.offline.run.saved_progress import SavedProgress
from sam2_tracker.offline.sinks.sink import Result
from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.offline.sources.timeline import TimedFrame
import torch


class Recording:
    """A clip and its results, of which only the numbers matter, and the time that passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, every_s: float) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(saved_progress, 'time',
                            SimpleNamespace(monotonic=lambda: self.now_s))
        self.saved = SavedProgress(folder, every_s)

    def states(self, seconds: int, ahead: int = 0) -> list[int]:
        """Return after which of so many results, one a second, a state was kept."""
        return [second for second in range(seconds) if self._state_after(second, ahead)]

    def _state_after(self, second: int, ahead: int) -> bool:
        self.now_s = 100.0 + second
        frame = SimpleNamespace(stamp_ns=second)
        result = SimpleNamespace(number=second,
                                 tracked=SimpleNamespace(frame=frame, objects=()))
        clip = SimpleNamespace(tracker=SimpleNamespace(next_index=second + 1 + ahead),
                               state=lambda hidden: object())
        return self.saved.due_state(clip, result) is not None


def test_states_come_soon_and_then_at_growing_intervals(monkeypatch, tmp_path):
    assert Recording(monkeypatch, tmp_path, 60).states(280) == [5, 15, 35, 75, 135, 195, 255]


def test_states_are_never_farther_apart_than_asked_for(monkeypatch, tmp_path):
    assert Recording(monkeypatch, tmp_path, 2).states(9) == [2, 4, 6, 8]


def test_no_state_is_kept_if_none_is_asked_for(monkeypatch, tmp_path):
    assert Recording(monkeypatch, tmp_path, 0).states(100) == []


def test_no_state_is_kept_while_the_tracker_is_ahead_of_the_results(monkeypatch, tmp_path):
    assert Recording(monkeypatch, tmp_path, 1).states(100, ahead=1) == []


def test_a_state_to_go_on_from_stays_as_it_was_when_its_file_is_written_over(tmp_path):
    maps = torch.randn(1, 8, 4, 4)
    known = KnownObject(3, 'cup', Visibility(ObjectState.VISIBLE), {'maps': maps})
    SavedProgress(tmp_path, 1).keep(ClipState(7, (known,)))
    resumed = SavedProgress(tmp_path, 1).resumed
    (file,) = tmp_path.iterdir()
    with file.open('r+b') as opened:
        opened.write(bytes(file.stat().st_size))
    assert resumed.index == 7 and torch.equal(resumed.objects[0].memory['maps'], maps)


@pytest.mark.parametrize('label', ['red\x1b[31m', 'a\nb', 'a' * 257])
def test_a_state_with_a_label_that_nobody_could_have_given_is_refused(tmp_path, label):
    known = KnownObject(3, label, Visibility(ObjectState.VISIBLE), {'maps': torch.zeros(1)})
    SavedProgress(tmp_path, 1).keep(ClipState(7, (known,)))
    with pytest.raises(OutputError, match=r'state\.safetensors is damaged, .*: a label .*has'):
        SavedProgress(tmp_path, 1)


def test_a_state_that_this_version_cannot_read_says_what_to_do(tmp_path):
    def restore(state: ClipState, source_hw: tuple[int, int]) -> None:
        raise ModelError('tracked.0.3 has no relied_on')

    resumed = SavedProgress(tmp_path, 1)
    resumed.resumed = ClipState(0, ())
    frame = Frame(0, 0, FrameHeader(0, 'camera'), np.zeros((8, 8, 3), np.uint8), (8, 8))
    clip = SimpleNamespace(pass_over=lambda timed: None, restore=restore)
    timed = TimedFrame(frame, SourceFrame(0, 0, 'camera', frame.image_rgb), None)
    with pytest.raises(OutputError, match=r'state\.safetensors is damaged or of another version, '
                       r'.* start it without --resume: tracked\.0\.3 has no relied_on'):
        next(iter(resumed.track_on(clip, [timed], Wanted())))


def test_a_result_with_a_label_that_nobody_could_have_given_is_refused(tmp_path):
    header = FrameHeader(0, 'camera')
    frame = Frame(0, 0, header, np.zeros((8, 8, 3), np.uint8), (8, 8))
    shown = TrackedObject(3, 'red\x1b[31m', ObjectState.LOST, 0.0)
    SavedProgress(tmp_path, 1).keep(Result(0, 0, TrackedFrame(frame, (shown,))))
    resumed = SavedProgress(tmp_path, 1)
    resumed.resumed = ClipState(0, ())
    clip = SimpleNamespace(pass_over=lambda timed: None, restore=lambda *_: None)
    timed = TimedFrame(frame, SourceFrame(0, 0, 'camera', frame.image_rgb), None)
    results = resumed.track_on(clip, [timed], Wanted())
    with pytest.raises(OutputError, match=r'00000000\.npz is damaged, .*: a label .*\\x1b'):
        next(iter(results))

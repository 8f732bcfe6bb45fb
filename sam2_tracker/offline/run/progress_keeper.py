# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Keep on disk what a run has found, now and then with a state from which it can go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
import shutil
import time

from sam2_tracker.core.tracking.visibility import Visibility
from sam2_tracker.core.types import ObjectState, Wanted
from sam2_tracker.offline.result_log import ResultLog
from sam2_tracker.offline.run.clip import Clip, result_of
from sam2_tracker.offline.run.clip_state import ClipState, load_state, save_state
from sam2_tracker.offline.sink import Result
from sam2_tracker.offline.sources.timeline import Shot

STATE = 'state.safetensors'
# A run that is interrupted early goes on too: the pause before a state doubles from here.
FIRST_PAUSE_S = 5.0


class ProgressKeeper:
    """
    The results of one recording, and the newest state.

    :param folder: theirs
    :param every_s: most seconds between two states, 0 to keep nothing
    """

    def __init__(self, folder: Path, every_s: float) -> None:
        self._folder = folder
        self._every_s = every_s
        self._log: ResultLog | None = None
        self._kept_s = time.monotonic()
        self._pause_s = min(FIRST_PAUSE_S, every_s)
        self._hidden: dict[int, Visibility] = {}
        self.resumed = load_state(folder / STATE) if (folder / STATE).exists() else None

    @property
    def replayed_frames(self) -> int:
        """Return how many frames an earlier run has done."""
        return 0 if self.resumed is None else self.resumed.index + 1

    def keep(self, item: Result | ClipState) -> None:
        """
        Keep a result, unless it came from here; or a state, all results up to it being kept.

        :raises OutputError: if it cannot be written
        """
        if isinstance(item, ClipState):
            save_state(self._folder / STATE, item)
        elif self._every_s > 0 and item.number >= self.replayed_frames:
            if self._log is None:
                self._log = ResultLog(self._folder / 'results')
            self._log.write(item)

    def due_state(self, clip: Clip, result: Result) -> ClipState | None:
        """
        Return the state after a result if it is time to keep one.

        :param result: of the frame that the clip has come to, or of one before it
        """
        self._observe(result)
        is_due = self._every_s > 0 and time.monotonic() - self._kept_s >= self._pause_s
        if not is_due or clip.tracker.next_index != result.number + 1:
            return None
        state = clip.state(self._hidden)
        if state is not None:
            self._kept_s = time.monotonic()
            self._pause_s = min(2 * self._pause_s, self._every_s)
        return state

    def _observe(self, result: Result) -> None:
        """Remember since when objects are hidden: the tracker says only that they are."""
        stamp_ns = result.tracked.frame.stamp_ns
        for item in result.tracked.objects:
            before = self._hidden.get(item.id)
            since_ns = stamp_ns if before is None or before.hidden_since_ns is None else (
                before.hidden_since_ns)
            is_visible = item.state is ObjectState.VISIBLE
            self._hidden[item.id] = Visibility(item.state, None if is_visible else since_ns)

    def track_on(self, clip: Clip, shots: Iterable[Shot], wanted: Wanted) -> Iterator[Result]:
        """
        Yield the results of the interrupted run, then go on where it was.

        :raises TrackerError: if what was kept is damaged, or a frame or prompt is at fault
        """
        assert self.resumed is not None
        log = ResultLog(self._folder / 'results')
        for shot in shots:
            if shot.frame.index <= self.resumed.index:
                clip.pass_over(shot)
                if shot.frame.index == self.resumed.index:
                    clip.restore(self.resumed, shot.frame.source_hw)
                yield log.result(shot)
                continue
            clip.step(shot)
            yield result_of(shot, clip.tracker.result(wanted))
        clip.finish()

    def clear(self) -> None:
        """Forget everything: the recording is complete."""
        shutil.rmtree(self._folder, ignore_errors=True)

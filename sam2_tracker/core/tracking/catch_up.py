# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts on past frames, replayed up to the live one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.errors import FrameError, PromptError
from sam2_tracker.core.frames.source import FrameLookup
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.protocols import (
    FrameFeatures,
    MaskSummary,
    PredictorProtocol,
    TrackStep,
)
from sam2_tracker.core.tracking.cuts import Cuts
from sam2_tracker.core.tracking.drafting import ObjectDraft
from sam2_tracker.core.tracking.given_prompts import GivenPrompt, Redoing
from sam2_tracker.core.tracking.look_back import FeatureCache, LookBack
from sam2_tracker.core.tracking.results import summaries_of
from sam2_tracker.core.tracking.sightings import Sightings
from sam2_tracker.core.tracking.taking_back import TakingBack
from sam2_tracker.core.tracking.track import Replay, shown_object, state_on, Track
from sam2_tracker.core.tracking.visibility import announce, Sighting

# With the pauses that the worker makes in between, half a minute. Until then, what a replay needs
# is kept: frames, and all that is tracked meanwhile.
_MAX_TRIES = 10


class CatchUp:
    """Begins replays and takes them forward, one frame of every object at a time."""

    def __init__(
        self,
        predictor: PredictorProtocol,
        features: FeatureCache,
        frames: FrameLookup,
        look_back: LookBack,
        sightings: Sightings,
        cuts: Cuts,
        log: Log,
    ) -> None:
        self._predictor = predictor
        self._cuts = cuts
        self._features = features
        self._frames = frames
        self._look_back = look_back
        self._sightings = sightings
        self._log = log
        self._tries = 0

    def begin(self, track: Track, draft: ObjectDraft, newest_index: int) -> None:
        """Replay an object from its oldest prompt that has not caught up yet."""
        before = track.replay
        if draft.taking_back is not None:
            self._redo(track, draft, draft.taking_back)
        elif before is not None and before.redoing is not None:
            self._queue(track, draft, before, before.redoing)
        else:
            self._replay(track, draft)
        track.shown = replace(track.shown, catching_up=True)
        assert track.replay is not None
        if track.replay.position == newest_index and not track.replay.agenda:
            track.settle()

    @staticmethod
    def _replay(track: Track, draft: ObjectDraft) -> None:
        assert draft.memory is not None
        before = track.replay
        start = draft.place if before is None else min(before.start, draft.place)
        memory = draft.memory.fork()
        memory.rewind(start)
        track.replay = Replay(
            draft.memory, draft.history, memory, draft.history.fork(), start, start, draft.shown
        )
        track.remember(draft.given, in_one_go=track.is_fresh)
        track.is_fresh = True

    @staticmethod
    def _redo(track: Track, draft: ObjectDraft, taking_back: TakingBack) -> None:
        redoing, history = taking_back.redoing, taking_back.history
        track.replay = Replay(
            taking_back.base, history, taking_back.memory, history.fork(), redoing.start - 1,
            taking_back.position, draft.shown, redoing, deque(redoing.agenda)
        )
        track.pictures.pop(taking_back.place, None)
        track.given, track.is_fresh = redoing.kept, False

    @staticmethod
    def _queue(track: Track, draft: ObjectDraft, before: Replay, redoing: Redoing) -> None:
        """Let a prompt wait until all that is done again before it has been done."""
        assert draft.memory is not None
        given = track.remember(draft.given, in_one_go=False)
        before.base, before.base_history = draft.memory, draft.history
        before.start = min(before.start, draft.place)
        before.redoing = replace(
            redoing, kept=track.given, again=redoing.again + 1,
            start=min(redoing.start, draft.place))
        before.agenda.append((given,))

    def hold(self, tracks: Iterable[Track], starting_at: int | None = None) -> None:
        """
        Hold the frames that replays need, or may need again for a further prompt.

        :param starting_at: where one that is about to begin starts
        :raises FrameError: if one of them is gone already
        """
        starts = [track.replay.start for track in tracks if track.replay is not None]
        if starting_at is not None:
            starts.append(starting_at)
        self._frames.keep_from(min(starts) + 1 if starts else None)

    def advance(
        self,
        tracks: Iterable[Track],
        newest_index: int,
        source_hw: tuple[int, int],
        config: TrackingConfig,
    ) -> bool:
        """
        Replay one frame of each object that is behind; return whether any still is.

        An object whose frames are gone gives up: it keeps the track that it had, or is lost. So do
        all where this has raised too often in a row.
        """
        self._tries += 1
        if self._tries > _MAX_TRIES:
            for track in tracks:
                if track.replay is not None:
                    self._give_up(track, f'{_MAX_TRIES} tries failed')
        steps = [
            (track, step)
            for track in tracks
            if track.replay is not None and (step := self._step(track, track.replay)) is not None
        ]
        outputs = self._predictor.track([step for _, step in steps])
        summaries = summaries_of(
            self._predictor, outputs, [track.id for track, _ in steps], source_hw, config
        )
        for (track, step), summary in zip(steps, summaries, strict=True):
            replay = track.replay
            assert replay is not None
            self._take_in(replay, step.frame_index, summary, newest_index, config)
            if replay.position == newest_index and not replay.agenda:
                before = track.shown.state
                track.settle()
                track.is_fresh = False
                announce(track.shown, before, config.lost_after_s, self._log)
        self._tries = 0
        self.hold(tracks)
        return any(track.replay is not None for track in tracks)

    def _take_in(
        self,
        replay: Replay,
        index: int,
        summary: MaskSummary,
        newest_index: int,
        config: TrackingConfig,
    ) -> None:
        seen = Sighting(index, self._frames.stamp_ns(index), summary,
                        replay.memory.believes(index))
        visibility = state_on(replay.history, seen, config.lost_after_s)
        replay.position = index
        replay.shown = shown_object(replay.shown.id, replay.shown.label, summary, visibility)
        self._sightings.record(index, [replay.shown])
        replay.memory.prune(index, newest_index - self._look_back.oldest_index)

    def _step(self, track: Track, replay: Replay) -> TrackStep | None:
        """Return what is to be tracked next; None where prompts were given, or it gave up."""
        index = replay.position + 1
        try:
            if replay.due:
                self._give_again(replay)
                return None
            self._frames.stamp_ns(index)
            features = self._features.of_index(index)
            return TrackStep(replay.memory, index, features, self._cuts.shots(index))
        except (FrameError, PromptError) as error:
            self._give_up(track, str(error))
            return None

    def _give_again(self, replay: Replay) -> None:
        """Give the prompts whose turn has come; what was tracked after them is tracked again."""
        group = replay.due
        for given in group:
            features = self._features_of(given)
            is_prompted = given.place in replay.memory.cond_indices
            if given.picture is not None and replay.memory.cond_indices and not is_prompted:
                self._predictor.track([TrackStep(replay.memory, given.place, features,
                                                 self._cuts.shots(given.place))])
            self._predictor.prompt(
                replay.memory, given.place, features, given.prompt, given.clear_previous)
        start = min(given.place for given in group)
        replay.memory.rewind(start)
        # The frame's own turn comes next: it gives the prompts' result and lets them settle.
        replay.position = start - 1
        replay.agenda.popleft()

    def _features_of(self, given: GivenPrompt) -> FrameFeatures:
        if given.picture is not None:
            return self._features.of_frame(given.picture)
        return self._features.of_index(given.place)

    def _give_up(self, track: Track, reason: str) -> None:
        track.forget_prompts()
        if track.memory is None:
            track.lose()
            outcome = 'it is lost'
        else:
            track.replay = None
            track.shown = replace(track.shown, catching_up=False)
            outcome = 'it keeps the track that it had'
        self._log(
            Level.ERROR, f'object {track.id} cannot catch up with its prompt, {outcome}: {reason}'
        )

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""An object's prompts on a frame taken back: worked out in full before anything is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.protocols import (
    FrameFeatures,
    MaskOutput,
    Memory,
    PredictorProtocol,
    TrackStep,
)
from sam2_tracker.core.tracking.cuts import Cuts
from sam2_tracker.core.tracking.given_prompts import Redoing, taken_back
from sam2_tracker.core.tracking.look_back import FeatureCache, LookBack
from sam2_tracker.core.tracking.track import Track
from sam2_tracker.core.tracking.visibility import VisibilityHistory
from sam2_tracker.core.types import Frame


@dataclass(frozen=True, eq=False)
class TakingBack:
    """
    What taking prompts back would do.

    :param place: the number of their frame in the object's own sequence
    :param memory: where doing it again begins
    :param position: the newest frame that this memory was tracked on
    :param history: the states that go with it
    :param base: a memory for prompts that come meanwhile: what they show is nearly what it will be
    """

    place: int
    redoing: Redoing
    memory: Memory
    position: int
    history: VisibilityHistory
    base: Memory


@dataclass(frozen=True, eq=False)
class TakingBackDrafter:
    """Works out an object without its prompts on a frame, on forks of its memory."""

    predictor: PredictorProtocol
    features: FeatureCache
    look_back: LookBack
    cuts: Cuts

    def draft(
        self,
        track: Track,
        frame: Frame,
        place: int | None,
        features: Callable[[], FrameFeatures],
    ) -> tuple[TakingBack, MaskOutput | None]:
        """
        Return what taking an object's prompts back would do, and its result on that frame.

        The result is None where it takes more than that frame to tell.

        :param frame: that of the prompts
        :param place: its number in the object's own sequence, None if it has no place there
        :param features: makes the frame's features
        :raises PromptError: there are none, or they cannot be taken back
        :raises FrameError: the frame is gone
        """
        newest = track.newest_memory
        unfinished = None if track.replay is None else track.replay.redoing
        redoing = None if place is None else taken_back(track.given, place, unfinished)
        if place is None or redoing is None or newest is None:
            raise PromptError(self._not_there(track, frame))
        memory = newest.fork()
        for index in redoing.forgotten:
            memory.forget_prompts(index)
        memory.rewind(redoing.start - 1)
        self._refuse_impossible(track, frame, redoing, memory)
        history = track.newest_history.fork()
        history.rewind(redoing.start - 1)
        base = newest.fork()
        base.forget_prompts(place)
        position, output = redoing.start - 1, None
        if not memory.cond_indices:
            memory = self.predictor.new_memory(memory.video_hw)
        elif place == redoing.start:
            position, output = place, self._result(track, frame, place, memory, features)
            base.adopt(place, memory)
        return TakingBack(place, redoing, memory, position, history, base), output

    def _result(
        self,
        track: Track,
        frame: Frame,
        place: int,
        memory: Memory,
        features: Callable[[], FrameFeatures],
    ) -> MaskOutput:
        """Track an object on a frame whose prompts were forgotten; return what is seen there."""
        own = self.features.of_index(place)
        shots = self.cuts.shots(place)
        output = self.predictor.track([TrackStep(memory, place, own, shots)])[0]
        if track.pictures.get(place) != frame.stamp_ns:
            return output
        return self.predictor.track([TrackStep(memory.fork(), place, features(), shots)])[0]

    def _refuse_impossible(
        self, track: Track, frame: Frame, redoing: Redoing, memory: Memory
    ) -> None:
        """
        Raise PromptError if prompts cannot be taken back.

        :param memory: without them, and without those that would be given again
        """
        stamp = format_stamp(frame.stamp_ns)
        if not redoing.again and not memory.cond_indices:
            raise PromptError(
                f'object {track.id} has prompts on no other frame than that of stamp {stamp}: '
                'without these nothing is known of it; remove it (remove_object), or give others '
                'in their place (clear_previous)'
            )
        is_old = redoing.start < self.look_back.oldest_index
        if is_old or any(index >= redoing.start for index in memory.cond_indices):
            raise PromptError(
                f'object {track.id}: its prompts on the frame of stamp {stamp} cannot be taken '
                'back any more: prompts that were given with them or later are on frames further '
                f'back than {self.look_back.frames} (tracking.look_back_frames)'
            )

    def _not_there(self, track: Track, frame: Frame) -> str:
        stamps = self.look_back.stamps_by_index
        places = {each.place for each in track.given if not each.carried} & stamps.keys()
        prompted = [
            format_stamp(track.pictures.get(index, stamps[index])) for index in sorted(places)
        ]
        where = f'it has some on those of {", ".join(prompted)}' if prompted else 'it has none'
        return (
            f'object {track.id} has no prompts that can be taken back on the frame of stamp '
            f'{format_stamp(frame.stamp_ns)}: {where}'
        )

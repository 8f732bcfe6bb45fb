# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Tracks every object of one stream, frame by frame; no threads, clocks or randomness."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence

from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.frames.source import FrameLookup
from sam2_tracker.core.log import Log, silent
from sam2_tracker.core.prompts.validation import check_room, is_renaming, validate_prompts
from sam2_tracker.core.protocols import Memory, PredictorProtocol, StageTimer, TrackStep, untimed
from sam2_tracker.core.tracking.carry_over import carry_over, take_up_carried
from sam2_tracker.core.tracking.catch_up import CatchUp
from sam2_tracker.core.tracking.cuts import Cuts
from sam2_tracker.core.tracking.drafting import Drafter, ObjectDraft, PromptDraft, PromptTarget
from sam2_tracker.core.tracking.look_back import FeatureCache, LookBack
from sam2_tracker.core.tracking.results import show, without_masks
from sam2_tracker.core.tracking.sightings import Sightings
from sam2_tracker.core.tracking.track import Roster
from sam2_tracker.core.tracking.visibility import announce, Visibility
from sam2_tracker.core.types import (
    Frame,
    IdAllocator,
    Prompt,
    TrackedFrame,
    TrackedObject,
    UInt8Array,
    Wanted,
)


class Tracker:
    """
    The objects of one stream; not thread-safe.

    :param frames: pixels of processed frames, for replays from beyond the look-back
    :param ids: shared by all trackers of a process, so that no id is used twice
    :param stages: measures 'encode', 'track' and 'summarise'
    :param first_index: number of the first frame; above 0 to go on where another tracker was
    :param cuts: the shots up to there
    :ivar sightings: the objects on past frames, for whoever wants them
    """

    def __init__(
        self,
        predictor: PredictorProtocol,
        frames: FrameLookup,
        config: TrackingConfig,
        ids: IdAllocator,
        log: Log = silent,
        stages: StageTimer = untimed,
        first_index: int = 0,
        cuts: Cuts | None = None,
    ) -> None:
        self._predictor = predictor
        self._config = config
        self._log = log
        self._stages = stages
        self._roster = Roster(ids)
        self._look_back = LookBack(config.look_back_frames)
        self._features = FeatureCache(predictor, frames)
        self._cuts = cuts or Cuts(frames)
        self._drafter = Drafter(predictor, self._features, self._look_back, self._cuts)
        self.sightings = Sightings(self._cuts)
        self._catch_up = CatchUp(
            predictor, self._features, frames, self._look_back, self.sightings, self._cuts, log)
        self._newest: Frame | None = None
        self._next_index = first_index

    @property
    def newest(self) -> Frame | None:
        """Return the newest processed frame, None before the first."""
        return self._newest

    @property
    def next_index(self) -> int:
        """Return the number that the next frame must have."""
        return self._next_index

    @property
    def config(self) -> TrackingConfig:
        """Return the settings."""
        return self._config

    @config.setter
    def config(self, config: TrackingConfig) -> None:
        self._config = config
        self._look_back.fixed_frames = config.look_back_frames

    @property
    def cuts(self) -> Cuts:
        """Return the shots of the stream; with `cuts` off it is one."""
        return self._cuts

    @property
    def state_bytes(self) -> int:
        """Return the bytes held for objects and features on the device."""
        return self._features.nbytes + sum(track.nbytes for track in self._roster)

    @property
    def oldest_refinable_ns(self) -> int | None:
        """Return the stamp of the oldest frame that takes a refinement, None before the first."""
        return self._look_back.oldest_stamp_ns

    @property
    def catching_up(self) -> bool:
        """Return whether there is something to replay."""
        return any(track.replay is not None for track in self._roster)

    def objects(self) -> tuple[TrackedObject, ...]:
        """Return every object as it is on the newest frame, in the order of the ids."""
        return self._roster.shown

    def advance(self, frame: Frame,
                following: Callable[[], UInt8Array | None] = lambda: None) -> None:
        """
        Track every object on a frame; `result` makes masks of that.

        While there is no object the frame is not even encoded: an idle robot pays nothing.
        If this raises nothing has moved on: try the next frame under the same number.

        :param frame: numbered `next_index`
        :param following: gives the next one's picture, if it is at hand: it is encoded meanwhile
        """
        if frame.index != self._next_index:
            raise ValueError(f'frame {frame.index} came where {self._next_index} was next')
        if self._config.cuts:
            with self._stages('cuts'):
                self._cuts.look_at(frame.index, frame.image_rgb)
        if len(self._roster):
            self._track(frame, following)
        self._newest = frame
        self._next_index += 1
        self._look_back.add(frame.index, frame.stamp_ns)
        self._features.forget_before(self._look_back.oldest_index)
        self._cuts.forget_before(self._look_back.oldest_index)
        for track in self._roster:
            if track.replay is None:
                track.is_fresh = False
            elif track.memory is not None:
                track.replay.base.adopt(frame.index, track.memory)
            track.prune(frame.index, self._look_back.oldest_index)

    def _track(self, frame: Frame, following: Callable[[], UInt8Array | None]) -> None:
        with self._stages('encode'):
            features = self._predictor.encode(frame.image_rgb)
        picture_rgb = following()
        if picture_rgb is not None:
            self._predictor.encode_ahead(picture_rgb)
        with self._stages('track'):
            take_up_carried(self._roster, frame, features, self._predictor)
            memories = [track.memory for track in self._roster if track.memory is not None]
            shots = self._cuts.shots(frame.index)
            self._predictor.track([
                TrackStep(each, frame.index, features, shots) for each in memories])
        self._features.add(frame.index, features)

    def result(self, wanted: Wanted) -> TrackedFrame:
        """Return all objects on the newest frame, prompts committed on it included."""
        frame = self._newest
        if frame is None:
            raise ValueError('no frame has been processed yet')
        with self._stages('summarise'):
            shown = show(frame, self._roster, self._predictor, wanted, self._config, self._log)
        self.sightings.record(frame.index, shown.objects)
        return shown

    def draft(
        self,
        target: PromptTarget,
        prompts: Sequence[Prompt],
        clear_previous: bool = False,
        nameable_ids: Collection[int] = (),
        with_label_image: bool = False,
    ) -> PromptDraft:
        """
        Work out what prompts would do, all of them or none; nothing is changed.

        The draft is good until the next frame is processed or another one is committed.

        :param nameable_ids: claimed ids that new objects may be given by name
        :param with_label_image: the draft's result is to have one
        :raises PromptError: if one of them is not valid
        :raises FrameError: if the frame is not there any more
        """
        steps = self.draft_in_steps(
            target, prompts, clear_previous, nameable_ids, with_label_image
        )
        while True:
            try:
                next(steps)
            except StopIteration as end:
                draft: PromptDraft = end.value
                return draft

    def draft_in_steps(
        self,
        target: PromptTarget,
        prompts: Sequence[Prompt],
        clear_previous: bool = False,
        nameable_ids: Collection[int] = (),
        with_label_image: bool = False,
    ) -> Generator[None, None, PromptDraft]:
        """
        Do as `draft`, with a step for each new object, between which frames may be processed.

        Its value is the draft; where that is older than the newest frame it is a preview only.
        """
        valid = self.validate(target.frame.source_hw, prompts, nameable_ids, clear_previous)

        def ids() -> list[int]:
            new_ids = iter(self._roster.next_ids(sum(each.object_id == 0 for each in valid)))
            return [each.object_id or next(new_ids) for each in valid]

        ids()  # There must be as many left before the work begins.
        return (yield from self._drafter.steps(
            self._known(target, valid), self._next_index - 1, self._roster.by_id, valid, ids,
            clear_previous, with_label_image, self._config
        ))

    def _known(self, target: PromptTarget, prompts: Sequence[Prompt]) -> PromptTarget:
        """Return the newest frame instead of one on which nothing is known of what is renamed."""
        tracks = [self._roster.by_id[each.object_id] for each in prompts if is_renaming(each)]
        is_known = all(track.output(target.index) is not None for track in tracks)
        if self._newest is None or is_known or len(tracks) < len(prompts):
            return target
        return PromptTarget(self._newest.index, self._newest)

    def validate(
        self,
        source_hw: tuple[int, int],
        prompts: Sequence[Prompt],
        nameable_ids: Collection[int] = (),
        clear_previous: bool = False,
    ) -> tuple[Prompt, ...]:
        """
        Return the prompts with their boxes clipped.

        :param source_hw: height and width of the source image that they are for
        :raises PromptError: if one of them is not valid
        """
        return validate_prompts(
            prompts, source_hw, self._roster.by_id.keys(), self._config.max_objects, nameable_ids,
            clear_previous)

    def commit(self, draft: PromptDraft) -> None:
        """
        Do what was drafted.

        :raises FrameError: if a frame to be replayed is gone; then nothing is changed
        """
        if draft.newest_index != self._next_index - 1:
            raise ValueError('the draft is older than the newest frame')
        starts = [start for each in draft.objects if (start := each.replayed_after) is not None]
        if starts:
            self._catch_up.hold(self._roster, min(starts))
        for each in draft.objects:
            self._commit_object(each, draft.newest_index)
        self._catch_up.hold(self._roster)

    def _commit_object(self, draft: ObjectDraft, newest_index: int) -> None:
        track = self._roster.enter(draft.shown.id, draft.shown.label)
        if draft.memory is None:
            return
        before = track.shown.state
        self.sightings.record(draft.place, [draft.shown])
        self._catch_up.begin(track, draft, newest_index)
        announce(track.shown, before, self._config.lost_after_s, self._log)

    def catch_up(self) -> bool:
        """Replay one frame of each object that is behind; return whether any still is."""
        if self._newest is None or not self.catching_up:
            return False
        with self._stages('replay'):
            return self._catch_up.advance(
                self._roster, self._next_index - 1, self._newest.source_hw, self._config
            )

    def memory(self, object_id: int) -> Memory:
        """
        Return a fork of what is remembered of an object, to be saved or tracked elsewhere.

        :raises PromptError: if there is no such object, or nothing is remembered of it
        """
        memory = self._roster.known(object_id).newest_memory
        if memory is None:
            raise PromptError(
                f'object {object_id} was lost with its stream, nothing is remembered of it: '
                'prompt it again')
        return memory.fork()

    def adopt(
        self,
        memory: Memory,
        label: str = '',
        object_id: int = 0,
        visibility: Visibility | None = None,
    ) -> int:
        """
        Track an object from the next frame on by what is remembered of it; return its id.

        :param object_id: an unused one, 0 for the next
        :param visibility: as it was on the frame before, None if it is new to this stream
        :raises PromptError: if the id was used before or there are too many objects
        """
        check_room(1, len(self._roster), self._config.max_objects)
        new_id = self._roster.adopt(memory, label, object_id)
        if visibility is not None:
            self._roster.known(new_id).history.record(self._next_index - 1, visibility)
        return new_id

    def check_room(self, new_count: int) -> None:
        """
        Make sure that new objects would be taken.

        :raises PromptError: if they would be too many, or there are not so many ids left
        """
        check_room(new_count, len(self._roster), self._config.max_objects)
        self._roster.next_ids(new_count)

    def remove(self, object_id: int) -> None:
        """
        Forget one object.

        :raises PromptError: if there is no such object
        """
        del self._roster.by_id[self._roster.known(object_id).id]
        self._catch_up.hold(self._roster)

    def reset(self) -> None:
        """Forget every object; the stream goes on."""
        self._roster.by_id.clear()
        self._catch_up.hold(())

    def restart(self, wanted: Wanted) -> TrackedFrame | None:
        """
        Drop every object and begin again at frame 0: the stream went back in time.

        :returns: a last result for the newest frame with every object LOST; None if there was no
            object
        """
        lost = None
        for track in self._roster:
            track.lose()
        if self._newest is not None and len(self._roster):
            lost = without_masks(self._newest, self.objects(), wanted)
        self.reset()
        self._begin_session()
        return lost

    def resize(self, source_hw: tuple[int, int]) -> None:
        """
        Begin again at frame 0 with pictures of another size.

        Objects are carried over by their last masks, or LOST if the aspect changed too.
        """
        if self._newest is not None:
            carry_over(
                self._roster, self._next_index - 1, self._newest.source_hw, source_hw,
                self._predictor, self._config, self._log)
        self._catch_up.hold(())
        self._begin_session()

    def _begin_session(self) -> None:
        self._next_index = 0
        self._look_back.clear()
        self._features.clear()
        self.sightings.clear()
        self._cuts.clear()

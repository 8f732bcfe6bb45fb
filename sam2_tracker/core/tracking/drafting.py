# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts worked out in full before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
import functools

from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.prompts.validation import is_bare, is_renaming, label_after
from sam2_tracker.core.protocols import (
    FrameFeatures,
    MaskOutput,
    MaskSummary,
    Memory,
    PredictorProtocol,
    TrackStep,
)
from sam2_tracker.core.tracking.cuts import Cuts
from sam2_tracker.core.tracking.given_prompts import GivenPrompt
from sam2_tracker.core.tracking.look_back import FeatureCache, LookBack
from sam2_tracker.core.tracking.results import summaries_of, summarised
from sam2_tracker.core.tracking.taking_back import TakingBack, TakingBackDrafter
from sam2_tracker.core.tracking.track import nothing_shown, shown_object, state_on, Track
from sam2_tracker.core.tracking.visibility import Sighting, Visibility, VisibilityHistory
from sam2_tracker.core.types import (
    Frame,
    ObjectState,
    Prompt,
    TrackedFrame,
    TrackedObject,
    UInt16Array,
    Wanted,
)

_LABEL_IMAGE = Wanted(label_image=True, masks=False)


@dataclass(frozen=True, eq=False)
class PromptTarget:
    """
    The frame that prompts are for.

    :param index: its number among the processed frames; one more than the newest for a preview on
        a frame that is still to be processed
    :param frame: its picture
    :param stands_in: it was skipped, and takes the place of the processed frame `index` in the
        prompted objects' own sequences
    """

    index: int
    frame: Frame
    stands_in: bool = False


@dataclass(frozen=True, eq=False)
class ObjectDraft:
    """
    What one prompt would do.

    :param place: the number of the prompted frame in this object's own sequence
    :param memory: a fork with the prompt in it, None for a renaming
    :param history: its states, up to the prompted frame
    :param shown: the object on the prompted frame
    :param given: the prompt as it is to be remembered, None for a renaming
    :param taking_back: instead of a prompt: those on the frame are taken back
    """

    place: int
    memory: Memory | None
    history: VisibilityHistory
    shown: TrackedObject
    given: GivenPrompt | None = None
    taking_back: TakingBack | None = None

    @property
    def replayed_after(self) -> int | None:
        """Return the frame after which the object is replayed, None for a renaming."""
        if self.taking_back is not None:
            return self.taking_back.redoing.start - 1
        return None if self.memory is None else self.place


@dataclass(frozen=True, eq=False)
class PromptDraft:
    """
    What a request would do; `Tracker.commit` does it.

    :param newest_index: the newest processed frame at the time
    :param result: the prompted objects on the prompted frame, in the order of the prompts
    """

    newest_index: int
    objects: tuple[ObjectDraft, ...]
    result: TrackedFrame


@dataclass(frozen=True, eq=False)
class _Prompted:
    """A prompt's raw result; a new object has no id yet, one that is renamed is known."""

    label: str
    place: int
    memory: Memory | None
    history: VisibilityHistory
    output: MaskOutput | None = None
    seen: tuple[MaskSummary, Visibility] | None = None
    given: GivenPrompt | None = None
    taking_back: TakingBack | None = None
    renamed: TrackedObject | None = None


class Drafter:
    """Works prompts out on forks of the objects' memories."""

    def __init__(
        self,
        predictor: PredictorProtocol,
        features: FeatureCache,
        look_back: LookBack,
        cuts: Cuts,
    ) -> None:
        self._predictor = predictor
        self._features = features
        self._look_back = look_back
        self._cuts = cuts
        self._taking_back = TakingBackDrafter(predictor, features, look_back, cuts)

    def steps(
        self,
        target: PromptTarget,
        newest_index: int,
        tracks: Mapping[int, Track],
        prompts: Sequence[Prompt],
        ids: Callable[[], Sequence[int]],
        clear_previous: bool,
        with_label_image: bool,
        config: TrackingConfig,
    ) -> Generator[None, None, PromptDraft]:
        """
        Work out what prompts would do, the generator's value, step by step.

        All objects that are tracked are in the first step, each new one is a step of its own:
        frames that are processed between two steps make no difference to it.

        :param target: for renamings alone, the newest frame if not all results on it are known
        :param prompts: valid
        :param ids: asked in the last step for the ids that the prompted objects are to have
        :raises PromptError: if an object cannot be refined on that frame
        :raises FrameError: if the frame is gone
        """
        if target.stands_in:
            target = replace(target, index=self._cuts.place(target.index, target.frame))
        known = [tracks.get(prompt.object_id) for prompt in prompts]
        for track, prompt in zip(known, prompts, strict=True):
            self._check_look_back(target, track, prompt)
        features = functools.cache(lambda: self._features_of(target, newest_index))
        prompted: dict[int, _Prompted] = {}
        tracked_first = sorted(range(len(prompts)), key=lambda position: known[position] is None)
        for position in tracked_first:
            if prompted and known[position] is None:
                yield
            prompted[position] = self._prompt(
                target, newest_index, known[position], prompts[position], clear_previous,
                features, config
            )
        in_order = [prompted[position] for position in range(len(prompts))]
        return self._draft(target, newest_index, in_order, ids(), with_label_image, config)

    def _draft(
        self,
        target: PromptTarget,
        newest_index: int,
        prompted: Sequence[_Prompted],
        ids: Sequence[int],
        with_label_image: bool,
        config: TrackingConfig,
    ) -> PromptDraft:
        labels = self._label_image(target, prompted, ids, config) if with_label_image else None
        objects = tuple(
            _object_draft(each, object_id, newest_index)
            for each, object_id in zip(prompted, ids, strict=True)
        )
        shown = tuple(each.shown for each in objects)
        return PromptDraft(newest_index, objects, TrackedFrame(target.frame, shown, (), labels))

    def _check_look_back(self, target: PromptTarget, track: Track | None, prompt: Prompt) -> None:
        if track is None or track.newest_memory is None or is_renaming(prompt):
            return
        oldest_ns = self._look_back.oldest_stamp_ns
        if oldest_ns is not None and target.index < self._look_back.oldest_index:
            raise PromptError(
                f'object {track.id}: a refinement can go back {self._look_back.frames} processed '
                f'frames (tracking.look_back_frames), to stamp {format_stamp(oldest_ns)}; '
                f'{format_stamp(target.frame.stamp_ns)} is older: prompt a newer frame, and '
                'raise that parameter to go back further from now on'
            )

    def _prompt(
        self,
        target: PromptTarget,
        newest_index: int,
        track: Track | None,
        prompt: Prompt,
        clear_previous: bool,
        features: Callable[[], FrameFeatures],
        config: TrackingConfig,
    ) -> _Prompted:
        label = label_after(prompt, track.shown.label if track is not None else '')
        history = (VisibilityHistory() if track is None else track.newest_history).fork()
        if track is not None and is_renaming(prompt):
            return self._renamed(
                target, track,
                _Prompted(label, target.index, None, history, renamed=track.shown), config)
        if track is not None and is_bare(prompt):
            return self._take_back(target, track, features, config)
        place, memory = self._fork(target, newest_index, track, features)
        picture = target.frame if target.stands_in or place != target.index else None
        output = self._predictor.prompt(memory, place, features(), prompt, clear_previous)
        seen = self._seen(target, output, history, place, memory, config)
        given = GivenPrompt(place, prompt, clear_previous, picture)
        return _Prompted(label, place, memory, history, output, seen, given)

    def _renamed(
        self, target: PromptTarget, track: Track, prompted: _Prompted, config: TrackingConfig
    ) -> _Prompted:
        output = track.output(target.index)
        if track.memory is None or output is None:
            return prompted
        seen = self._seen(
            target, output, prompted.history, target.index, track.memory, config)
        return replace(prompted, output=output, seen=seen)

    def _take_back(
        self,
        target: PromptTarget,
        track: Track,
        features: Callable[[], FrameFeatures],
        config: TrackingConfig,
    ) -> _Prompted:
        taking_back, output = self._taking_back.draft(
            track, target.frame, _place_held(target, track), features)
        history, place, memory = taking_back.history, taking_back.place, taking_back.memory
        return _Prompted(
            track.shown.label,
            place,
            memory,
            history,
            output,
            None if output is None else self._seen(target, output, history, place, memory, config),
            taking_back=taking_back,
        )

    def _seen(
        self,
        target: PromptTarget,
        output: MaskOutput,
        history: VisibilityHistory,
        place: int,
        memory: Memory,
        config: TrackingConfig,
    ) -> tuple[MaskSummary, Visibility]:
        """Return a mask in numbers, and the state of its object, which the history remembers."""
        # The number given to it means nothing without a label image.
        summary, = summaries_of(self._predictor, [output], [1], target.frame.source_hw, config)
        sighting = Sighting(place, target.frame.stamp_ns, summary, memory.believes(place))
        return summary, state_on(history, sighting, config.lost_after_s)

    def _features_of(self, target: PromptTarget, newest_index: int) -> FrameFeatures:
        if target.stands_in or target.index > newest_index:
            return self._features.of_frame(target.frame)
        return self._features.of_index(target.index, target.frame)

    def _fork(
        self,
        target: PromptTarget,
        newest_index: int,
        track: Track | None,
        features: Callable[[], FrameFeatures],
    ) -> tuple[int, Memory]:
        """Return where a prompt goes and a memory to change, tracked up to that picture."""
        before = None if track is None else track.newest_memory
        if track is None or before is None:
            return target.index, self._predictor.new_memory(target.frame.source_hw)
        memory = before.fork()
        place = self._place(target, track, before)
        is_tracked = place <= newest_index and (
            track.pictures.get(place) == target.frame.stamp_ns
            or (place == target.index and not target.stands_in)
        )
        waits = track.replay is not None and track.replay.redoing is not None
        # An imported memory has its prompted frames before frame 0.
        is_behind = not is_tracked and min(memory.cond_indices, default=place) < place
        # When the turn of one that waits comes, the prompts there before it will have settled.
        if is_behind or (waits and place in memory.cond_indices):
            shots = self._cuts.shots(place)
            self._predictor.track([TrackStep(memory, place, features(), shots)])
        return place, memory

    def _place(self, target: PromptTarget, track: Track, memory: Memory) -> int:
        """
        Return the index at which an object's own sequence has, or can take, a picture.

        A place is the nearest in time that does not hold a prompt on another picture, one of the
        same shot if there is any.
        """
        held = _place_held(target, track)
        if held is not None:
            return held
        stamps = self._look_back.stamps_by_index
        free = stamps.keys() - set(memory.cond_indices)
        if not free:
            raise PromptError(
                f'object {track.id}: all {len(stamps)} frames that a refinement '
                'can go back to hold prompts on other pictures'
            )
        shot = self._cuts.shot(target.index)
        return min(free, key=lambda index: (
            self._cuts.shot(index) != shot, abs(stamps[index] - target.frame.stamp_ns), index))

    def _label_image(
        self,
        target: PromptTarget,
        prompted: Sequence[_Prompted],
        ids: Sequence[int],
        config: TrackingConfig,
    ) -> UInt16Array | None:
        shown = [
            (each.output, object_id)
            for each, object_id in zip(prompted, ids, strict=True)
            if each.output is not None and each.seen is not None
            and each.seen[1].state is ObjectState.VISIBLE
        ]
        return summarised(
            self._predictor,
            [output for output, _ in shown],
            [object_id for _, object_id in shown],
            target.frame.source_hw,
            _LABEL_IMAGE,
            config,
        ).label_image


def _place_held(target: PromptTarget, track: Track) -> int | None:
    """Return the index at which an object's own sequence has a picture, None if it has not."""
    stamp_ns = target.frame.stamp_ns
    for index, picture_stamp_ns in track.pictures.items():
        if picture_stamp_ns == stamp_ns:
            return index
    is_own = not target.stands_in and target.index not in track.pictures
    return target.index if is_own else None


def _object_draft(prompted: _Prompted, object_id: int, newest_index: int) -> ObjectDraft:
    redone = prompted.taking_back is not None and prompted.taking_back.redoing.again > 0
    catching_up = redone or (prompted.memory is not None and prompted.place < newest_index)
    if prompted.renamed is not None:
        catching_up = prompted.renamed.catching_up
    if prompted.seen is not None:
        shown = shown_object(object_id, prompted.label, *prompted.seen, catching_up)
    elif prompted.renamed is not None:
        shown = replace(prompted.renamed, label=prompted.label)
    else:
        shown = nothing_shown(object_id, prompted.label, ObjectState.UNKNOWN, catching_up)
    return ObjectDraft(
        prompted.place, prompted.memory, prompted.history, shown, prompted.given,
        prompted.taking_back
    )

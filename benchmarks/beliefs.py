# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What `tracking.cuts` and `tracking.doubt` make of films: which objects are not called visible.

The demo's video is a montage of six shots; in each some things were boxed by eye. The development
sequences have the truth that a doubt is held against.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from benchmarks.davis import region_overlap
from benchmarks.results import markdown
from benchmarks.sequences import DAVIS, load_sequence, make_prompt, Mask
from benchmarks.tracking import read_rgb
from demo.fetch_clip import VIDEO
import numpy as np
from sam2_tracker.core.config import ModelConfig, TrackingConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import (
    Frame,
    FrameHeader,
    IdAllocator,
    ObjectState,
    Prompt,
    Wanted,
)
from sam2_tracker.models.loader import build_tracking_predictor
from sam2_tracker.offline.run.clip import NoFrames
from sam2_tracker.offline.sources.video import VideoSource

#: The frames on which shots begin, but for the first.
CUTS = (30, 76, 137, 187, 242)
#: What was boxed on which frame: left, top, right, bottom.
BOXED = (
    ('roof', 0, (190, 0, 460, 272)), ('hatch', 0, (302, 0, 362, 85)),
    ('man', 30, (165, 0, 380, 272)), ('black car', 30, (380, 20, 640, 272)),
    ('van', 76, (40, 60, 315, 272)), ('cyclist', 76, (372, 45, 510, 260)),
    ('car', 137, (0, 70, 285, 220)), ('small car', 137, (340, 100, 410, 150)),
    ('bag', 187, (295, 54, 364, 138)), ('bollard', 187, (243, 98, 313, 272)),
    ('walker', 187, (33, 0, 239, 232)),
)
# A mask that overlaps with the truth by less is on something else; by more it is the object.
WRONG, RIGHT = 0.1, 0.5
_NUMBERS = Wanted(label_image=False, masks=False)


@dataclass
class Followed:
    """
    What became of the things in the montage.

    :ivar cuts: the frames on which the tracker saw a shot begin
    :ivar own: for each object on how many frames of its own shot it was called visible
    :ivar next_shot: the same of the shot after it
    """

    cuts: list[int] = field(default_factory=list)
    own: Counter[str] = field(default_factory=Counter)
    next_shot: Counter[str] = field(default_factory=Counter)


def follow_montage(memory: str, cuts: bool, names: frozenset[str]) -> Followed:
    """
    Follow things of the montage by nano, each to the end of the shot after its own.

    :param names: which of BOXED
    """
    predictor = build_tracking_predictor(ModelConfig(), memory=memory, cuts=cuts)
    config = TrackingConfig(memory=memory, cuts=cuts, look_back_frames=1)
    tracker = Tracker(predictor, NoFrames(), config, IdAllocator())
    found, ids = Followed(), {}
    for index, shown in enumerate(VideoSource(VIDEO).frames()):
        rgb = shown.image_rgb
        frame = Frame(index, index * 40_000_000, FrameHeader(0, ''), rgb, rgb.shape[:2])
        tracker.advance(frame)
        before, shot = tracker.cuts.shots(index)
        if shot != before:
            found.cuts.append(index)
        for name, start, box in BOXED:
            if start == index and name in names:
                prompt = Prompt(label=name, box_xyxy=np.array(box, np.float32))
                draft = tracker.draft(PromptTarget(index, frame), [prompt])
                tracker.commit(draft)
                ids[name] = draft.result.objects[0].id
            if name in ids and _shot(index) > _shot(start) + 1:
                tracker.remove(ids.pop(name))
        _count(found, index, tracker)
    return found


def _shot(index: int) -> int:
    return sum(index >= cut for cut in CUTS)


def _count(found: Followed, index: int, tracker: Tracker) -> None:
    starts = {name: start for name, start, _ in BOXED}
    for each in tracker.result(_NUMBERS).objects:
        if each.state is ObjectState.VISIBLE:
            shots_on = _shot(index) - _shot(starts[each.label])
            found.own[each.label] += shots_on == 0
            found.next_shot[each.label] += shots_on == 1


def cuts_report(memory: str) -> str:
    """Lay out on how many frames of other shots objects are called visible."""
    names = frozenset(name for name, _, _ in BOXED)
    off, on = (follow_montage(memory, cuts, names) for cuts in (False, True))
    ends = (*CUTS, 250)
    rows = []
    for name, start, _ in BOXED:
        shot = _shot(start)
        length, following = ends[shot] - start, ends[shot + 1] - ends[shot]
        rows.append([name, f'{off.own[name]} / {on.own[name]} of {length}',
                     f'{off.next_shot[name]} / {on.next_shot[name]} of {following}'])
    totals = [f'{sum(getattr(off, which).values())} / {sum(getattr(on, which).values())}'
              for which in ('own', 'next_shot')]
    headers = ['frames on which it is VISIBLE, cuts off / on', 'in its own shot', 'in the next']
    return (f'Cuts found on frames {", ".join(map(str, on.cuts))} of `bikes.mp4`, with '
            f'`--memory {memory}`.\n\n{markdown(headers, [*rows, ["in all", *totals]])}')


@dataclass
class Doubts:
    """
    What became of one object.

    :ivar wrong: frames on which it was called visible, and its mask was on something else
    :ivar hits: those of them that were doubted
    :ivar partly: doubted frames on which the mask overlapped with the truth a little
    :ivar false_alarms: doubted frames on which the mask was right
    """

    frames: int = 0
    wrong: int = 0
    hits: int = 0
    partly: int = 0
    false_alarms: int = 0

    def add(self, mask: Mask, truth: Mask, believed: bool) -> None:
        """Take in a frame on which the model calls the object visible."""
        overlap = region_overlap(mask, truth)
        self.wrong += overlap < WRONG
        self.hits += not believed and overlap < WRONG
        self.partly += not believed and WRONG <= overlap < RIGHT
        self.false_alarms += not believed and overlap >= RIGHT


def doubts_of(predictor: Predictor, name: str, kind: str) -> list[Doubts]:
    """Follow every object of a sequence, and hold what is doubted against the truth."""
    sequence = load_sequence(name)
    found = [Doubts() for _ in sequence.masks]
    memories = []
    for index, path in enumerate(sequence.frames):
        rgb = read_rgb(path)
        size = rgb.shape[0], rgb.shape[1]
        features = predictor.encode(rgb)
        if index == 0:
            memories = [predictor.new_memory(size) for _ in found]
            for memory, masks in zip(memories, sequence.masks, strict=True):
                predictor.prompt(memory, 0, features, make_prompt(masks[0], kind), False)
        outputs = predictor.track([TrackStep(memory, index, features) for memory in memories])
        shown = predictor.summarise(outputs, range(1, len(found) + 1), size,
                                    Wanted(label_image=False))
        for number, (doubts, memory) in enumerate(zip(found, memories, strict=True)):
            doubts.frames += 1
            if shown.objects[number].visible:
                doubts.add(shown.masks[number], sequence.masks[number][index],
                           memory.believes(index))
            memory.prune(index, 0)
    return found


def doubt_report(memory: str, kinds: tuple[str, ...] = ('mask', 'box')) -> str:
    """Lay out hits and false alarms by sequence."""
    predictor = build_tracking_predictor(ModelConfig(), memory=memory, doubt=True)
    rows = []
    for name in (*DAVIS, 'chair', 'dogs-jump'):
        for kind in kinds:
            for number, each in enumerate(doubts_of(predictor, name, kind), 1):
                rows.append([f'{name} {number}' if name == 'dogs-jump' else name, kind,
                             str(each.frames), str(each.wrong), str(each.hits),
                             str(each.partly), str(each.false_alarms)])
    headers = ['sequence', 'prompt', 'frames', f'mask elsewhere (J < {WRONG})', 'doubted of them',
               f'doubted at J of {WRONG} to {RIGHT}', f'doubted at J from {RIGHT}: false alarms']
    return markdown(headers, rows)

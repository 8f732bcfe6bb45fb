# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Memory policies under everything that a tracker does, with what they see made up.

The network is left out of frames that are only tracked: instead each result depends on every token
that is read and on the order of all, so that one map or pointer that is missing, or in another
place, changes all that comes after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
import enum
import random

from fakes import FakeFrames
import numpy as np
from sam2_tracker.core.config import ModelConfig, TrackingConfig
from sam2_tracker.core.engine.batching import StepInputs, StepOutputs
from sam2_tracker.core.engine.features import EncodedFrame
from sam2_tracker.core.engine.memory.belief import BeliefRule
from sam2_tracker.core.engine.memory.entry import Lesson, Seen
from sam2_tracker.core.engine.memory.object_memory import LowResMask, MemoryPolicy, ObjectMemory
from sam2_tracker.core.engine.memory.transfer import state_of
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.engine.stream_predictor import StreamPredictor
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.tracking.drafting import PromptTarget
from sam2_tracker.core.tracking.tracker import Tracker
from sam2_tracker.core.types import (
    BoolArray,
    Frame,
    FrameHeader,
    IdAllocator,
    Prompt,
    UInt8Array,
    Wanted,
)
from sam2_tracker.models.loader import build_predictor
from stock import CLIP_FRAMES, CLIP_HW, disc_mask, points, Stream
import torch

LOOK_BACK = 5
SIDE = 64
_HIDDEN = Seen(-3.0, 0.2, 0)


def small_model(max_cond_frames: int = 4) -> StreamPredictor:
    """Build nano with random weights, and with the memory of the large ones: 7 maps."""
    config = ModelConfig('nano', device='cpu', image_size=SIDE)
    return build_predictor(config, max_cond_frames, random_weights=True)


@dataclass(frozen=True)
class MadeUp:
    """A lesson that no model gave: a mask of 10 x 10, and a look-alike beside it or none."""

    seen: Seen
    look_alike: bool = False

    def masks(self) -> BoolArray:
        masks = np.zeros((4, 32, 32), np.bool_)
        masks[0, 4:14, 4:14] = True
        masks[1] = masks[0]
        if self.look_alike:
            masks[2, 4:14, 20:30] = True
        return masks


def lessons_in_runs(seed: int, frames: int, longest: int = 60) -> list[MadeUp]:
    """Return one lesson a frame: visible or hidden in runs of 1 to so many frames."""
    rng = random.Random(seed)
    lessons: list[MadeUp] = []
    visible = True
    while len(lessons) < frames:
        for _ in range(rng.choice([1, 2, 3, 8, 20, longest])):
            seen = Seen(3.0, rng.choice([0.3, 0.5, 0.9]), rng.choice([95, 100, 105, 160]))
            look_alike = rng.random() < 0.4
            lessons.append(MadeUp(seen, look_alike) if visible else MadeUp(_HIDDEN))
        visible = not visible
    return lessons


class Keeps(enum.Enum):
    """How much a policy keeps."""

    WHAT_IT_SAYS = enum.auto()
    ALL = enum.auto()
    ONE_LESS = enum.auto()


def taught(policy: MemoryPolicy, lessons: Callable[[int], Lesson],
           keeps: Keeps = Keeps.WHAT_IT_SAYS) -> MemoryPolicy:
    """Return a policy that is given lessons of our own, and that may have to keep more or less."""
    kind = type(policy)

    class Taught(kind):
        """The policy, but for lessons and what is kept."""

        def learn(self, memory: ObjectMemory, frame_index: int, lesson: Lesson) -> None:
            del lesson
            super().learn(memory, frame_index, lessons(frame_index))

        def forget(self, memory: ObjectMemory, oldest_index: int) -> None:
            if keeps is not Keeps.ALL:
                super().forget(memory, oldest_index)
            oldest = min(memory.tracked, default=oldest_index)
            if keeps is Keeps.ONE_LESS and oldest < oldest_index - 20:
                del memory.tracked[oldest]

    return Taught(**{each.name: getattr(policy, each.name) for each in fields(policy)})


def track_one(predictor: Recorder, encoded: Callable[[int], EncodedFrame], policy: MemoryPolicy,
              frames: int, prompted: tuple[int, ...], look_back: int = 0) -> ObjectMemory:
    """Track one object over the clip, as often as it takes, prompted on some frames."""
    stream = Stream(predictor, lambda index: encoded(index % CLIP_FRAMES), look_back)
    stream.policy = policy
    for index in range(frames):
        if index in prompted:
            stream.add(1, index, disc_mask(0, index % CLIP_FRAMES))
        stream.track(index, index + 1)
    memory = stream.memories[1]
    memory.take_in()
    return memory


def mixed(inputs: StepInputs) -> StepOutputs:
    """Make results of all that is read, without a network."""
    tokens = inputs.memory.float() + inputs.memory_position.float()
    weights = torch.sin(torch.arange(1.0, len(tokens) + 1) * 1.7)
    own = torch.sin(3 * torch.einsum('t,tbc->bc', weights, tokens))
    last = inputs.maps[-1]
    count, hidden, height, width = last.shape
    own_map = own[:, :, None, None].expand(-1, -1, height, width)
    picture = torch.sin(last[:, :own.shape[1]] + own_map)
    logits = picture.mean(1, keepdim=True).repeat_interleave(4, 2).repeat_interleave(4, 3)
    pointers = torch.sin(last.mean((2, 3)) + own.repeat(1, hidden // own.shape[1]))
    # Seen surely on about every other frame, hardly on some, now and then of another size.
    numbers = torch.cat([4 + 4 * own[:, :1], 0.8 + 0.2 * own[:, 1:2], 60 + 50 * own[:, 2:3],
                         20 + 20 * own[:, 3:5], 40 + 20 * own[:, 3:5]], dim=1)
    masks = torch.zeros(count, 4, 4, 4, dtype=torch.bool)
    masks[:, 0, :2, :2] = masks[:, 2, :2, 3] = True
    return StepOutputs(logits, own[:, :1], pointers, picture.to(torch.bfloat16), numbers, masks)


class Recorder(Predictor):
    """A predictor that writes down every result, in the order in which they come."""

    def __init__(self, model: StreamPredictor, memory: str, with_network: bool = False,
                 beliefs: BeliefRule | None = None) -> None:
        # Stock's own code is not what is replaced.
        batched = None if memory != 'stock' or with_network else True
        super().__init__(model, batched=batched, memory=memory, beliefs=beliefs)
        self.results: list[torch.Tensor] = []
        self._encoded: dict[bytes, EncodedFrame] = {}
        if not with_network:
            self._batches.step = mixed

    def encode(self, image_rgb: UInt8Array) -> EncodedFrame:
        key = image_rgb.tobytes()
        if key not in self._encoded:
            self._encoded[key] = super().encode(image_rgb)
        return self._encoded[key]

    def prompt(self, *args: object) -> LowResMask:
        output = super().prompt(*args)
        self.results.append(output.logits)
        return output

    def track(self, steps: list[TrackStep]) -> list[LowResMask]:
        outputs = super().track(steps)
        self.results.extend(output.logits for output in outputs)
        return outputs


@dataclass
class Life:
    """Objects of one tracker through random requests, which depend on the seed alone."""

    predictor: Recorder
    pictures: list[UInt8Array]
    seed: int
    tracker: Tracker = field(init=False)
    frames: FakeFrames = field(default_factory=FakeFrames)
    refined_in_replay: int = 0
    taken_back: int = 0
    prompted: dict[int, int] = field(default_factory=dict)
    with_forks: bool = False
    cuts: bool = False
    states: list[tuple[int, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        config = TrackingConfig(look_back_frames=LOOK_BACK, cuts=self.cuts)
        self.tracker = Tracker(self.predictor, self.frames, config, IdAllocator())

    def live(self, frames: int) -> Life:
        """Let that many frames pass."""
        for _ in range(frames):
            self._advance()
            ids = [each.id for each in self.tracker.objects()]
            if len(ids) < 2 or (len(ids) < 4 and self.rng.random() < 0.02):
                self._prompt(self.newest, 0)
            elif self.rng.random() < 0.08:
                self._refine(self.rng.choice(ids))
            elif self.rng.random() < 0.03:
                self._copy(self.rng.choice(ids))
            if len(ids) > 4:
                # The first stays, to grow old.
                self.tracker.remove(ids[1])
            for _ in range(self.rng.choice([0, 1, 4])):
                self.tracker.catch_up()
        while self.tracker.catch_up():
            pass
        return self

    def shown(self) -> tuple[int, ...]:
        """Return the states of all objects on the newest frame."""
        numbers_only = Wanted(label_image=False, masks=False)
        return tuple(each.state for each in self.tracker.result(numbers_only).objects)

    @property
    def newest(self) -> int:
        return self.tracker.next_index - 1

    def _advance(self) -> None:
        index = self.tracker.next_index
        picture = self.pictures[index % len(self.pictures)]
        self.frames.frames[index] = Frame(index, index * 10**8, FrameHeader(0, ''), picture,
                                          picture.shape[:2])
        self.tracker.advance(self.frames.frames[index])
        if self.cuts:
            self.states.append(self.shown())
        if self.with_forks:
            for each in self.tracker.objects():
                self.tracker.memory(each.id)
            self.tracker.result(Wanted())

    def _refine(self, object_id: int) -> None:
        """Correct an object on a past frame, and often again before that has caught up."""
        self._prompt(self.rng.randint(max(0, self.newest - LOOK_BACK), self.newest), object_id)
        if self.rng.random() < 0.5:
            self.tracker.catch_up()
            self._advance()
            self.refined_in_replay += self.tracker.catching_up
            self._prompt(self.rng.randint(max(0, self.newest - LOOK_BACK), self.newest),
                         object_id)
        if self.rng.random() < 0.3:
            self._take_back(object_id)

    def _prompt(self, index: int, object_id: int) -> None:
        xy = self.rng.uniform(0, CLIP_HW[1]), self.rng.uniform(0, CLIP_HW[0])
        prompt: Prompt = replace(points([xy], [self.rng.choice([0, 1, 1])]), object_id=object_id)
        target = PromptTarget(index, self.frames.frames[index])
        draft = self.tracker.draft(target, [prompt], clear_previous=self.rng.random() < 0.3)
        self.tracker.commit(draft)
        self.prompted[draft.result.objects[0].id] = index

    def _take_back(self, object_id: int) -> None:
        """Take an object's newest prompt back, if it is not too old."""
        index = self.prompted.get(object_id, 0)
        target = PromptTarget(index, self.frames.frames[index])
        try:
            draft = self.tracker.draft(target, [Prompt(object_id)], clear_previous=True)
        except PromptError:
            return
        self.tracker.commit(draft)
        self.taken_back += 1

    def _copy(self, object_id: int) -> None:
        """Track another object on by what one is: all of it, a file of it, or its prompts."""
        memory = self.tracker.memory(object_id)
        way = self.rng.choice(['fork', 'state', 'prompts'])
        if way == 'state' and (state := state_of(memory)) is not None:
            memory = self.predictor.restored(CLIP_HW, state)
        elif way == 'prompts':
            bank = self.predictor.export_cond(memory)
            memory = self.predictor.new_memory(CLIP_HW)
            self.predictor.import_cond(memory, bank)
        self.tracker.adopt(memory)


def made_up(score: float = 3.0, iou: float = 0.9, area: int = 100,
            look_alike: bool = True) -> MadeUp:
    """Return a lesson on which an anchor is learnt, but for what is given."""
    return MadeUp(Seen(score, iou, area if score > 0 else 0), look_alike and score > 0)


def hidden_in(*spans: range, look_alike: bool = False) -> Callable[[int], MadeUp]:
    """Return lessons of an object that is visible but on some frames."""
    return lambda index: made_up(-3.0 if any(index in span for span in spans) else 3.0,
                                 look_alike=look_alike)

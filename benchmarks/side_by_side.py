# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
One clip under several memory policies at the cost of little more than one.

Apart: pictures are encoded once for all policies and clips, and where policies read the same of a
frame, as they do until an object is hidden, one pass is for all of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import hashlib

from benchmarks.sequences import make_prompt, Mask, Picture
from sam2_tracker.core.engine.features import EncodedFrame
from sam2_tracker.core.engine.memory.object_memory import LowResMask, ObjectMemory, Reading
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep

# 1.8 MB each with nano: all pictures of the development films, open and covered, fit in.
_KEPT_PICTURES = 2000


class EncodedPictures:
    """
    Encode each picture once, however often it comes.

    :param kept: pictures that are remembered at most, those that came last
    """

    def __init__(self, predictor: Predictor, kept: int = _KEPT_PICTURES) -> None:
        self._predictor = predictor
        self._kept = kept
        self._known: OrderedDict[bytes, EncodedFrame] = OrderedDict()

    def __call__(self, rgb: Picture) -> EncodedFrame:
        """Return the features of a (H, W, 3) picture."""
        key = hashlib.blake2b(repr(rgb.shape).encode() + rgb.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._predictor.encode(rgb)
        self._known.move_to_end(key)
        if len(self._known) > self._kept:
            self._known.popitem(last=False)
        return self._known[key]


@dataclass(frozen=True, eq=False)
class Followed:
    """
    What all policies make of one frame.

    :ivar outputs: the results that differ
    :ivar places: for each object, and each policy by its name, where in `outputs` its result is
    """

    outputs: Sequence[LowResMask]
    places: Sequence[Mapping[str, int]]


class SideBySide:
    """
    Several objects, each with a memory for every policy, through one clip.

    Nothing is pruned, which changes no result.

    :param predictors: by policy, all of one model
    """

    def __init__(self, predictors: Mapping[str, Predictor]) -> None:
        # What a policy reads is the memory's affair: any predictor that learns can track all.
        self._predictors = dict(sorted(predictors.items(), key=lambda each: _learnt(each[0])))
        self._runner = next(iter(self._predictors.values()))
        self.memories: list[dict[str, ObjectMemory]] = []

    @property
    def policies(self) -> tuple[str, ...]:
        """Return the names of the policies."""
        return tuple(self._predictors)

    def begin(self, features: EncodedFrame, truths: Sequence[Mask]) -> None:
        """Forget the clip before, and prompt each object of another by its mask."""
        self.memories = []
        for truth in truths:
            size = truth.shape[0], truth.shape[1]
            first = self._runner.new_memory(size)
            self._runner.prompt(first, 0, features, make_prompt(truth, 'mask'), False)
            # This encodes the prompted frame's memory, which forks then share.
            self._runner.track([TrackStep(first, 0, features)])
            forks = {name: first.fork() for name in self._predictors}
            for name, memory in forks.items():
                memory.policy = self._predictors[name].new_memory(size).policy
            self.memories.append(forks)

    def track(self, index: int, features: EncodedFrame) -> Followed:
        """Track all objects onto a frame."""
        leaders: list[ObjectMemory] = []
        places: list[dict[str, int]] = []
        followers: list[tuple[ObjectMemory, ObjectMemory]] = []
        for memories in self.memories:
            found: dict[frozenset[tuple[int, int]], int] = {}
            own = {}
            for name, memory in memories.items():
                memory.take_in()
                read = _what_is_read(memory.policy.read(self._runner.model, memory, index))
                if read in found:
                    followers.append((memory, leaders[found[read]]))
                else:
                    found[read] = len(leaders)
                    leaders.append(memory)
                own[name] = found[read]
            places.append(own)
        self._runner.track([TrackStep(memory, index, features) for memory in leaders])
        for memory, leader in followers:
            memory.adopt(index, leader)
            # Only the policy that learns them leads with any.
            memory.anchors.pop(index, None)
        return Followed([_result(memory, index) for memory in leaders], places)


def _learnt(policy: str) -> int:
    """Return the order in which policies lead: what one learns, those after it need not."""
    return ('distractor', 'selective', 'stock').index(policy)


def _what_is_read(reading: Reading) -> frozenset[tuple[int, int]]:
    """Return which tensors are read as how old; in what order changes only the rounding."""
    tensors, times = reading.maps + reading.pointers, reading.map_times + reading.ages
    return frozenset((tensor.data_ptr(), time)
                     for tensor, time in zip(tensors, times, strict=True))


def _result(memory: ObjectMemory, index: int) -> LowResMask:
    found = memory.output(index)
    assert found is not None
    return found

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
Tracking back from a prompt, as stock SAM 2 does with `reverse=True` after its forward pass.

Backward at frame f SAM 2 reads frames f+1, f+2, ... where forward it reads f-1, f-2, ...: it is
the same on frame numbers that are counted from the other end. So the memory of the forward pass
is mirrored, and tracked on as any other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
import math
from typing import Any

from sam2_tracker.core.engine.memory.belief import Beliefs
from sam2_tracker.core.engine.memory.entry import Entry
from sam2_tracker.core.engine.memory.object_memory import (
    LowResMask,
    ObjectMemory,
    own_memory,
)
from sam2_tracker.core.protocols import MaskOutput, Memory
from sam2_tracker.core.types import Float32Array
import torch

# Frames 0, 1, 2, ... become ORIGIN, ORIGIN - 1, ORIGIN - 2, ...: positive, as SAM 2 wants them. It
# reads memories at multiples of its stride, which are the same frames counted from either end only
# where the stride divides ORIGIN: all up to 16 do.
ORIGIN = math.lcm(*range(1, 17)) * 1024


def mirrored_index(frame_index: int) -> int:
    """Return the number that a frame has in a mirrored memory."""
    return ORIGIN - frame_index


class ForwardTrace:
    """
    What a pass back from an object's first prompt reads of the pass forward.

    It is gathered on the way, because the forward pass forgets it: the frames shortly after the
    first prompt, what a policy learnt there, and all prompted frames.

    :param first_index: the frame of the first prompt
    """

    def __init__(self, first_index: int) -> None:
        self.first_index = first_index
        self._cond: dict[int, Entry] = {}
        self._tracked: dict[int, Entry] = {}
        self._anchors: dict[int, Entry] = {}
        self._newest: ObjectMemory | None = None

    def observe(self, memory: Memory) -> None:
        """
        Take in the object's memory after a frame.

        :param memory: a fork, which is not changed any more
        """
        own = own_memory(memory)
        reach = self.first_index + own.policy.longest
        for index, entry in own.cond.items():
            self._cond.setdefault(index, entry)
            # A prompt on a tracked frame takes its place.
            self._tracked.pop(index, None)
            self._anchors.pop(index, None)
        for found, entries in ((self._tracked, own.tracked), (self._anchors, own.anchors)):
            for index, entry in entries.items():
                if self.first_index < index <= reach and index not in self._cond:
                    found.setdefault(index, entry)
        self._newest = own

    def reaches(self, frame_index: int) -> bool:
        """Return whether frames after this one are of no use to the pass back."""
        newest = self._newest
        return newest is not None and frame_index >= self.first_index + newest.policy.longest

    def mirrored(self) -> ObjectMemory:
        """Return a memory to track back with, from the frame before the first prompt on."""
        if self._newest is None:
            raise ValueError(f'nothing was observed after frame {self.first_index}')
        memory = self._newest.fork()
        prompted = memory.unsettled.keys()
        outputs = {
            'cond_frame_outputs': _mirrored(self._cond),
            'non_cond_frame_outputs': _mirrored(_but(self._tracked, prompted)),
        }
        state = memory.state
        state['output_dict_per_obj'] = {0: outputs}
        state['temp_output_dict_per_obj'] = {
            0: {
                kind: _mirrored(entries)
                for kind, entries in state['temp_output_dict_per_obj'][0].items()
            }
        }
        for name in ('point_inputs_per_obj', 'mask_inputs_per_obj', 'frames_tracked_per_obj'):
            state[name] = {0: _mirrored(state[name][0])}
        state['cached_features'] = _mirrored(state['cached_features'])
        anchors = _mirrored(_but(self._anchors, prompted))
        return ObjectMemory(state, memory.policy, anchors=anchors,
                            beliefs=Beliefs(memory.beliefs.rule))


def _but(by_index: dict[int, Entry], left_out: Collection[int]) -> dict[int, Entry]:
    return {index: entry for index, entry in by_index.items() if index not in left_out}


def _mirrored(by_index: dict[int, Any]) -> dict[int, Any]:
    """Return a dictionary with its frames counted from the other end, in the same order."""
    return {mirrored_index(index): value for index, value in by_index.items()}


@dataclass(frozen=True, eq=False)
class StoredMask:
    """
    A result off the device, exact, to be written to disk.

    :param logits: (side / 4, side / 4) float32
    :param score_logit: the object score before the sigmoid
    :param device: where it was computed: pixels are made of it there, so that they are the same
    """

    logits: Float32Array
    score_logit: float
    device: str

    @classmethod
    def of(cls, output: MaskOutput | None) -> StoredMask:
        """Copy a result to the host."""
        if not isinstance(output, LowResMask):
            raise TypeError(f'a result of SAM 2 was expected, not {type(output).__name__}')
        return cls(
            output.logits[0, 0].float().cpu().numpy(),
            float(output.score_logits.float()),
            str(output.logits.device),
        )

    def output(self) -> LowResMask:
        """Return the result as the model gave it."""
        return LowResMask(
            torch.from_numpy(self.logits)[None, None].to(self.device),
            torch.tensor([[self.score_logit]], device=self.device),
        )

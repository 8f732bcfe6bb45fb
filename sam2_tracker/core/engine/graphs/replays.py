# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Which work is recorded, and when; what is replayed, and what has to go."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
import threading
import time

from sam2_tracker.core.engine.graphs.recorder import Recorder, Recording, Tensors
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.protocols import GraphCounts
import torch

Work = Callable[[Tensors], Tensors]
Replay = Callable[[Hashable, Work, Tensors], Tensors]
_Key = tuple[Hashable, ...]

MIB = 1024 ** 2


@dataclass(frozen=True)
class Limits:
    """
    How much is recorded.

    :param nbytes: of all pools and fixed inputs of a predictor together
    :param recordings: in one pool
    :param times: how often work of one layout comes before it is recorded
    :param recent: one that was used in so many of the last calls is not evicted for another
    :param rest: times as long as a recording took is none made
    """

    nbytes: int = 1024 * MIB
    recordings: int = 32
    times: int = 3
    recent: int = 200
    rest: float = 20.0


class Graphs:
    """
    All recordings of one predictor: those of the encoder and those of tracking.

    They have a pool each, because the encoder runs ahead while objects are tracked.

    :param make_recorder: with a pool of its own; None where nothing is recorded
    :param clock: seconds that only go forward
    """

    def __init__(self, make_recorder: Callable[[], Recorder] | None = None, log: Log = silent,
                 limits: Limits = Limits(),
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._conditions: list[Callable[[], bool]] = []
        self._pools: list[Replays] = []
        for name in ('encoder', 'tracking'):
            recorder = None if make_recorder is None else make_recorder()
            self._pools.append(Replays(name, recorder, self, limits, log, clock))
        self.encoder, self.tracking = self._pools
        self.are_recorded = make_recorder is not None

    def record_only_if(self, condition: Callable[[], bool]) -> None:
        """Record nothing while a condition does not hold; it is asked from any thread."""
        self._conditions.append(condition)

    @property
    def may_record(self) -> bool:
        """Tell whether there is time for a recording now."""
        return all(condition() for condition in self._conditions)

    @property
    def nbytes(self) -> int:
        """Return the bytes of all pools and fixed inputs."""
        return sum(pool.nbytes for pool in self._pools)

    @property
    def counts(self) -> GraphCounts | None:
        """Return what was done so far, None where nothing is recorded."""
        if not self.are_recorded:
            return None
        one, other = (pool.counts for pool in self._pools)
        return GraphCounts(one.recorded + other.recorded, one.replayed + other.replayed,
                           one.evicted + other.evicted, one.eager + other.eager)


class Replays:
    """
    The recordings of one pool.

    Each fits one kind of work on inputs of exactly the same layout; all else is done as it is.
    From any thread, one at a time.

    :param name: what is recorded, in a word
    :param recorder: None where nothing is recorded
    """

    def __init__(self, name: str, recorder: Recorder | None, graphs: Graphs, limits: Limits,
                 log: Log, clock: Callable[[], float]) -> None:
        self.counts = GraphCounts()
        self._name = name
        self._recorder = recorder
        self._graphs = graphs
        self._limits = limits
        self._log = log
        self._clock = clock
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._seen: Counter[_Key] = Counter()
        self._refused: set[_Key] = set()
        self._too_large: dict[Hashable, int] = {}
        self._calls = 0
        self._ready_at_s = -float('inf')
        self._has_warned = False
        self._lock = threading.RLock()

    def __call__(self, kind: Hashable, work: Work, inputs: Tensors) -> Tensors:
        """
        Do some work, from a recording where there is one.

        :param kind: equal for work that does the same with inputs of the same layout
        :param work: tensors to tensors, on the inputs' device, without waiting for it
        :returns: tensors of their own, that no replay spoils
        """
        if self._recorder is None:
            return work(inputs)
        with self._lock:
            self._calls += 1
            key = _key(kind, inputs)
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                kept.used_at = self._calls
                self._count(replayed=1)
                return kept.replay(inputs)
            self._count(eager=1)
            outputs = work(inputs)
            if self._is_due(key, inputs):
                self._record(key, work, inputs, outputs)
            return outputs

    def prepare(self, kind: Hashable, work: Work, inputs: Tensors) -> Tensors:
        """Record work that is sure to come, after doing it once as it is."""
        outputs = work(inputs)
        if self._recorder is not None:
            with self._lock:
                key = _key(kind, inputs)
                if key not in self._kept and key not in self._refused and self._fits(key, inputs):
                    self._record(key, work, inputs, outputs)
        return outputs

    @property
    def nbytes(self) -> int:
        """Return the bytes of the pool and of the fixed inputs."""
        if self._recorder is None:
            return 0
        inputs = {flat.data_ptr(): flat.nbytes for flat in self._flats()}
        return self._recorder.nbytes + sum(inputs.values())

    def _count(self, **more: int) -> None:
        self.counts = replace(self.counts, **{
            name: getattr(self.counts, name) + number for name, number in more.items()})

    def _is_due(self, key: _Key, inputs: Tensors) -> bool:
        if key in self._refused or not self._fits(key, inputs):
            return False
        if len(self._seen) > 10 * self._limits.recordings:
            self._seen.clear()
        self._seen[key] += 1
        return (self._seen[key] >= self._limits.times and self._clock() >= self._ready_at_s
                and self._has_room() and self._graphs.may_record)

    def _fits(self, key: _Key, inputs: Tensors) -> bool:
        too_large = self._too_large.get(key[0])
        return too_large is None or _nbytes(inputs) < too_large

    def _has_room(self) -> bool:
        """Tell whether there is room for one more, or one that was not used lately."""
        if len(self._kept) < self._limits.recordings:
            return True
        oldest = next(iter(self._kept.values()))
        return self._calls - oldest.used_at > self._limits.recent

    def _record(self, key: _Key, work: Work, inputs: Tensors, expected: Tensors) -> None:
        """Record work, and keep that if it gives the very same as what was done before."""
        begun_s = self._clock()
        try:
            kept = self._made(work, inputs)
            found = kept.replay(inputs)
            fault = '' if _are_equal(found, expected) else 'its replay gives other results'
        except RuntimeError as error:
            fault = (str(error).splitlines() or [type(error).__name__])[0]
        self._ready_at_s = self._clock() + self._limits.rest * (self._clock() - begun_s)
        if fault:
            self._refuse(key, fault)
            return
        self._evict_down_to(self._limits.recordings - 1)
        self._kept[key] = kept
        self._count(recorded=1)
        if self._graphs.nbytes > self._limits.nbytes:
            self._too_large[key[0]] = _nbytes(inputs)
            self._empty_pool()

    def _made(self, work: Work, inputs: Tensors) -> _Kept:
        assert self._recorder is not None
        flats = tuple(self._flat(slot, tensor) for slot, tensor in enumerate(inputs))
        fixed = tuple(_like(tensor, flat) for tensor, flat in zip(inputs, flats, strict=True))
        for target, source in zip(fixed, inputs, strict=True):
            target.copy_(source)
        device = inputs[0].device.type
        with torch.autocast(device, torch.get_autocast_dtype(device), cache_enabled=False,
                            enabled=torch.is_autocast_enabled(device)):
            recording = self._recorder.record(lambda: work(fixed))
        return _Kept(recording, work, flats, fixed, self._calls)

    def _flat(self, slot: int, like: torch.Tensor) -> torch.Tensor:
        """Return memory for an input: recordings share it, as one is replayed at a time."""
        fitting = [kept.flats[slot] for kept in self._kept.values()
                   if slot < len(kept.flats) and kept.flats[slot].dtype == like.dtype
                   and kept.flats[slot].numel() >= like.numel()]
        return min(fitting, key=torch.numel) if fitting else like.new_empty(like.numel())

    def _flats(self) -> Iterator[torch.Tensor]:
        for kept in list(self._kept.values()):
            yield from kept.flats

    def _evict_down_to(self, count: int) -> None:
        while len(self._kept) > count:
            self._kept.popitem(last=False)
            self._count(evicted=1)

    def _empty_pool(self) -> None:
        """Drop all recordings: a pool shrinks by no less."""
        assert self._recorder is not None
        self._evict_down_to(0)
        self._seen.clear()
        self._recorder.begin_new_pool()

    def _refuse(self, key: _Key, fault: str) -> None:
        self._refused.add(key)
        if not self._kept:
            # What a recording that failed has taken is free again.
            assert self._recorder is not None
            self._recorder.begin_new_pool()
        if not self._has_warned:
            self._has_warned = True
            self._log(Level.WARN, f'a recording of the {self._name} is not used, which is slower '
                                  f'but gives the same masks: {fault}')


@dataclass
class _Kept:
    """
    A recording with its inputs.

    :param work: what was recorded: a graph reads what it has captured, but does not hold it
    :param flats: the memory of each input
    :param inputs: each input in it
    :param used_at: the number of the last call
    """

    recording: Recording
    work: Work
    flats: Tensors
    inputs: Tensors
    used_at: int

    def replay(self, inputs: Sequence[torch.Tensor]) -> Tensors:
        """Replay with other numbers; the results are copies."""
        for target, source in zip(self.inputs, inputs, strict=True):
            target.copy_(source)
        self.recording.replay()
        return tuple(each.clone() for each in self.recording.outputs)


def _key(kind: Hashable, inputs: Tensors) -> _Key:
    """Return what a recording fits: kernels are chosen by shapes, strides and types."""
    return (kind, *((each.shape, each.stride(), each.dtype) for each in inputs))


def _like(tensor: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    """Lay a tensor of the same layout into flat memory."""
    return flat[:tensor.numel()].as_strided(tensor.shape, _strides(tensor))


def _strides(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return the strides that a copy of a tensor has: its own if it is dense."""
    return torch.empty_like(tensor, device='meta').stride()


def _nbytes(tensors: Tensors) -> int:
    return sum(each.nbytes for each in tensors)


def _are_equal(found: Tensors, expected: Tensors) -> bool:
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Track a recording forward and, from each object's first prompt, back to its beginning.

As with stock SAM 2: forward first, then `reverse=True` from the object's first prompted frame, in
the same session. Results are written in the order of the frames, so the recording's head, up to
the last prompt of such an object, waits on disk until the pass back is done; the rest streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.protocols import MaskOutput, TrackStep
from sam2_tracker.core.tracking.results import (
    hidden_ids,
    shown_only,
    summaries_of,
    summarised,
    tracked_frame,
)
from sam2_tracker.core.tracking.track import shown_object
from sam2_tracker.core.tracking.visibility import next_visibility, Visibility
from sam2_tracker.core.types import Frame, FrameHeader, ObjectState, TrackedFrame, Wanted
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.run.clip import Clip, result_of
from sam2_tracker.offline.run.threads import ReadAhead
from sam2_tracker.offline.sinks.sink import Result
from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.offline.sources.timeline import TimedFrame

if TYPE_CHECKING:
    from sam2_tracker.core.engine.backward import ForwardTrace, StoredMask
    from sam2_tracker.core.engine.memory.object_memory import ObjectMemory
    from sam2_tracker.core.engine.predictor import Predictor

_FORWARD, _BACKWARD = 'forward', 'backward'
_READ_AHEAD = 4
_NUMBERS = Wanted(label_image=False, masks=False)


class BothWays:
    """
    Tracks a clip in both directions.

    :param folder: does not exist yet; there the head of the recording waits
    :param progress: given the number of frames of the pass back, returns what is called after
        each
    """

    def __init__(
        self,
        clip: Clip,
        predictor: Predictor,
        config: TrackingConfig,
        folder: Path,
        progress: Callable[[int], Callable[[], None]],
    ) -> None:
        self._clip = clip
        self._predictor = predictor
        self._config = config
        self._waiting = _WaitingFrames(folder)
        self._progress = progress
        self._traces: dict[int, ForwardTrace] = {}
        self._labels: dict[int, str] = {}
        self._head = 0
        self._shots: dict[int, int] = {}

    def track(self, frames: Iterable[TimedFrame], wanted: Wanted) -> Iterator[Result]:
        """
        Yield the result of every frame, in the order of the frames.

        :raises TrackerError: if a frame or a prompt is at fault
        """
        remaining = iter(frames)
        for timed in remaining:
            self._clip.step(timed)
            if timed.frame.index == 0 and self._is_head_complete(0):
                yield result_of(timed, self._clip.tracker.result(wanted))
                break
            self._keep(timed)
            if self._is_head_complete(timed.frame.index):
                break
        else:
            self._clip.finish()
        yield from self._head_results(wanted)
        for timed in remaining:
            self._clip.step(timed)
            yield result_of(timed, self._clip.tracker.result(wanted))
        self._clip.finish()

    def _is_head_complete(self, index: int) -> bool:
        """Return whether all that the pass back reads has been tracked."""
        pending = self._clip.pending_ids - self._clip.ids_from_start
        return not pending and all(trace.reaches(index) for trace in self._traces.values())

    def _keep(self, timed: TimedFrame) -> None:
        """Let a frame and its raw results wait, and gather what the pass back reads."""
        from sam2_tracker.core.engine.backward import ForwardTrace, StoredMask

        tracker, index = self._clip.tracker, timed.frame.index
        tracked, stored = tracker.result(_NUMBERS), []
        self._shots[index] = tracker.cuts.shot(index)
        for item in tracked.objects:
            memory = tracker.memory(item.id)
            stored.append(
                _StoredObject(item.id, item.label, item.state, StoredMask.of(memory.output(index)))
            )
            if item.id not in self._clip.ids_from_start:
                trace = self._traces.setdefault(item.id, ForwardTrace(index))
                trace.observe(memory)
            self._labels[item.id] = item.label
        self._waiting.put_frame(timed)
        self._waiting.put_objects(_FORWARD, index, stored)
        self._head = index + 1

    def _head_results(self, wanted: Wanted) -> Iterator[Result]:
        if self._head == 0:
            return
        self._track_back()
        for index in range(self._head):
            timed = self._waiting.frame(index)
            yield result_of(timed, self._joined(timed, wanted))

    def _track_back(self) -> None:
        """Track every object from the frame before its first prompt to frame 0."""
        first = {object_id: trace.first_index for object_id, trace in self._traces.items()}
        start = max(first.values(), default=0)
        done = self._progress(start)
        memories = {object_id: trace.mirrored() for object_id, trace in self._traces.items()}
        seen: dict[int, Visibility] = {}
        frames = (self._waiting.frame(index) for index in range(start - 1, -1, -1))
        with ReadAhead(frames, _READ_AHEAD) as ahead:
            for timed in ahead:
                under_way = {
                    object_id: memory
                    for object_id, memory in memories.items()
                    if timed.frame.index < first[object_id]
                }
                self._step_back(timed, under_way, seen)
                done()

    def _step_back(
        self, timed: TimedFrame, memories: dict[int, ObjectMemory], seen: dict[int, Visibility]
    ) -> None:
        from sam2_tracker.core.engine.backward import mirrored_index, StoredMask

        index, frame = mirrored_index(timed.frame.index), timed.frame
        features = self._predictor.encode(frame.image_rgb)
        shots = self._shots[frame.index + 1], self._shots[frame.index]
        outputs = self._predictor.track(
            [TrackStep(memory, index, features, shots) for memory in memories.values()]
        )
        summaries = summaries_of(
            self._predictor, outputs, list(memories), frame.source_hw, self._config
        )
        stored = []
        for object_id, output, summary in zip(memories, outputs, summaries, strict=True):
            # Time runs back here, and so does the clock after which an object is lost.
            visible = summary.visible and memories[object_id].believes(index)
            seen[object_id] = next_visibility(
                seen.get(object_id), visible, -frame.stamp_ns, self._config.lost_after_s
            )
            stored.append(
                _StoredObject(
                    object_id,
                    self._labels[object_id],
                    seen[object_id].state,
                    StoredMask.of(output),
                )
            )
            memories[object_id].prune(index, 0)
        self._waiting.put_objects(_BACKWARD, timed.frame.index, stored)

    def _joined(self, timed: TimedFrame, wanted: Wanted) -> TrackedFrame:
        """Make one result of what both passes found on a frame."""
        index, frame = timed.frame.index, timed.frame
        stored = sorted(
            (*self._waiting.objects(_FORWARD, index), *self._waiting.objects(_BACKWARD, index)),
            key=lambda each: each.object_id,
        )
        ids = [each.object_id for each in stored]
        outputs: list[MaskOutput] = [each.mask.output() for each in stored]
        masks = summarised(self._predictor, outputs, ids, frame.source_hw, wanted, self._config)
        objects = [
            shown_object(each.object_id, each.label, summary, Visibility(each.state))
            for each, summary in zip(stored, masks.objects, strict=True)
        ]
        if hidden := hidden_ids(objects, ids, masks):
            ids, masks = shown_only(
                self._predictor, outputs, ids, hidden, frame.source_hw, wanted, self._config)
        return tracked_frame(frame, objects, ids, masks, wanted)


@dataclass(frozen=True, eq=False)
class _StoredObject:
    """One object on one frame, without its pixels: those are made of the mask."""

    object_id: int
    label: str
    state: ObjectState
    mask: StoredMask


class _WaitingFrames:
    """
    Frames, lossless, and raw results that wait on disk until the pass back has reached them.

    :param folder: does not exist yet; whoever names it removes it
    :raises OutputError: wherever the disk is full
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise self._refusal(error) from error

    def put_frame(self, timed: TimedFrame) -> None:
        """Keep a frame."""
        frame, source = timed.frame, timed.source
        if source.payload is not None:
            self._write(self._path('jpeg', frame.index, 'jpg'), source.payload)
        else:
            self._save(self._path('pixels', frame.index, 'npy'), frame.image_rgb)
        times = np.array(
            [
                frame.stamp_ns,
                frame.header.stamp_ns,
                source.recorded_ns,
                -1 if timed.next_stamp_ns is None else timed.next_stamp_ns,
            ],
            np.int64,
        )
        self._save(self._path('times', frame.index, 'npy'), times)
        words = json.dumps([frame.header.frame_id, source.file_name])
        self._write(self._path('names', frame.index, 'json'), words.encode())

    def frame(self, index: int) -> TimedFrame:
        """Return a frame that was kept."""
        payload_path = self._path('jpeg', index, 'jpg')
        payload = payload_path.read_bytes() if payload_path.exists() else None
        pixels = (
            np.load(self._path('pixels', index, 'npy'))
            if payload is None
            else jpeg.decode(payload)
        )
        times = [int(time) for time in np.load(self._path('times', index, 'npy'))]
        frame_id, file_name = json.loads(self._path('names', index, 'json').read_bytes())
        hw = (pixels.shape[0], pixels.shape[1])
        frame = Frame(index, times[0], FrameHeader(times[1], frame_id), pixels, hw)
        source = SourceFrame(times[1], times[2], frame_id, pixels, payload, file_name)
        return TimedFrame(frame, source, None if times[3] < 0 else times[3])

    def put_objects(self, way: str, index: int, objects: Sequence[_StoredObject]) -> None:
        """
        Keep a frame's results.

        :param way: _FORWARD or _BACKWARD
        """
        logits = [each.mask.logits for each in objects]
        path = self._path(way, index, 'npz')
        try:
            np.savez(
                path,
                ids=[each.object_id for each in objects],
                labels=[each.label for each in objects],
                devices=[each.mask.device for each in objects],
                states=[int(each.state) for each in objects],
                scores=np.array([each.mask.score_logit for each in objects], np.float64),
                logits=np.stack(logits) if logits else np.zeros((0, 0, 0), np.float32),
            )
        except OSError as error:
            raise self._refusal(error) from error

    def objects(self, way: str, index: int) -> list[_StoredObject]:
        """Return a frame's results, none if none were kept."""
        from sam2_tracker.core.engine.backward import StoredMask

        path = self._path(way, index, 'npz')
        if not path.exists():
            return []
        with np.load(path) as kept:
            columns = zip(
                kept['ids'],
                kept['labels'],
                kept['states'],
                kept['scores'],
                kept['logits'],
                kept['devices'],
                strict=True,
            )
            return [
                _StoredObject(
                    int(object_id),
                    str(label),
                    ObjectState(int(state)),
                    StoredMask(logits, float(score), str(device)),
                )
                for object_id, label, state, score, logits, device in columns
            ]

    def _path(self, kind: str, index: int, suffix: str) -> Path:
        return self._folder / f'{index:08d}_{kind}.{suffix}'

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.write_bytes(content)
        except OSError as error:
            raise self._refusal(error) from error

    def _save(self, path: Path, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
        try:
            np.save(path, array)
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> OutputError:
        return OutputError(
            f'{self._folder}, where frames wait for the pass back, cannot be written: {error}'
        )

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Frames and results that wait on disk until the pass back has reached them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.types import Frame, FrameHeader, ObjectState
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.sources.source import SourceFrame
from sam2_tracker.offline.sources.timeline import Shot

if TYPE_CHECKING:
    from sam2_tracker.core.engine.backward import StoredMask

FORWARD, BACKWARD = 'forward', 'backward'


@dataclass(frozen=True, eq=False)
class StoredObject:
    """One object on one frame, without its pixels: those are made of the mask."""

    object_id: int
    label: str
    state: ObjectState
    mask: StoredMask


class Spool:
    """
    A folder with frames, lossless, and raw results.

    :param folder: does not exist yet; whoever made the spool removes it
    :raises OutputError: wherever the disk is full
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)

    def put_shot(self, shot: Shot) -> None:
        """Keep a frame."""
        frame, source = shot.frame, shot.source
        if source.payload is not None:
            self._write(self._path('jpeg', frame.index, 'jpg'), source.payload)
        else:
            self._save(self._path('pixels', frame.index, 'npy'), frame.image_rgb)
        times = np.array(
            [
                frame.stamp_ns,
                frame.header.stamp_ns,
                source.recorded_ns,
                -1 if shot.next_stamp_ns is None else shot.next_stamp_ns,
            ],
            np.int64,
        )
        self._save(self._path('times', frame.index, 'npy'), times)
        self._write(self._path('camera', frame.index, 'txt'), frame.header.frame_id.encode())

    def shot(self, index: int) -> Shot:
        """Return a frame that was kept."""
        payload_path = self._path('jpeg', index, 'jpg')
        payload = payload_path.read_bytes() if payload_path.exists() else None
        pixels = (
            np.load(self._path('pixels', index, 'npy'))
            if payload is None
            else jpeg.decode(payload)
        )
        times = [int(time) for time in np.load(self._path('times', index, 'npy'))]
        frame_id = self._path('camera', index, 'txt').read_text(encoding='utf-8')
        hw = (pixels.shape[0], pixels.shape[1])
        frame = Frame(index, times[0], FrameHeader(times[1], frame_id), pixels, hw)
        source = SourceFrame(times[1], times[2], frame_id, pixels, payload)
        return Shot(frame, source, None if times[3] < 0 else times[3])

    def put_objects(self, way: str, index: int, objects: Sequence[StoredObject]) -> None:
        """
        Keep a frame's results.

        :param way: FORWARD or BACKWARD
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
            raise self._refusal(path, error) from error

    def objects(self, way: str, index: int) -> list[StoredObject]:
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
                StoredObject(
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
            raise self._refusal(path, error) from error

    def _save(self, path: Path, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
        try:
            np.save(path, array)
        except OSError as error:
            raise self._refusal(path, error) from error

    def _refusal(self, path: Path, error: OSError) -> OutputError:
        return OutputError(
            f'{path.parent}, where frames wait for the pass back, cannot be written: {error}'
        )

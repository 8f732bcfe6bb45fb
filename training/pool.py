# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Read a data file into memory: every frame as a square picture on the device that trains.

Where each object is on each frame is tabulated on the host, so that composing can plan without
asking the device.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import io
import json
import lzma
import os
from pathlib import Path
import zipfile
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray
import torch
from training.pack import decode, measured_clips, MOST_OBJECTS, UInt8, unpack_labels

Floats = NDArray[np.float32]
SIDE = 352          # pixels; the clips' own short side
STILL_SIDE = 272
TABLE_STEP = 2      # areas and centres are measured on every second pixel


@dataclass(frozen=True)
class Source:
    """
    A clip, or a still, in a pool.

    :ivar start: number of its first frame in the pool
    :ivar stride: largest step between frames that still shows the same motion
    """

    name: str
    start: int
    frames: int
    stride: int
    still: bool


@dataclass(frozen=True)
class Pictures:
    """Pictures of one size: colours (N, S, S, 3) and object numbers (N, S, S), both uint8."""

    rgb: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Pool:
    """
    Clips' frames and, numbered after them, stills.

    :ivar areas: (N, 9) share of the picture by object number
    :ivar centres: (N, 9, 2) x and y of each object's mean, -1 to 1
    """

    clips: Pictures
    stills: Pictures
    sources: tuple[Source, ...]
    areas: Floats
    centres: Floats

    @property
    def device(self) -> torch.device:
        """Where the pictures are."""
        return self.clips.rgb.device


def load_pool(path: Path, device: torch.device, held_back: bool = False, side: int = SIDE,
              still_side: int = STILL_SIDE) -> Pool:
    """
    Read what is trained on, or the held-back clips that are measured.

    :param side: clips are stored as squares of so many pixels
    :raises ValueError: if the file is not there, has nothing of that kind, or is damaged
    """
    if not path.is_file():
        raise ValueError(f'there is no file {path}')
    try:
        return _read_pool(path, device, held_back, side, still_side)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, json.JSONDecodeError, KeyError,
            TypeError) as error:
        raise ValueError(f'{path} is damaged, or was not written by training.pack: '
                         f'{error}') from error


def _read_pool(path: Path, device: torch.device, held_back: bool, side: int,
               still_side: int) -> Pool:
    with zipfile.ZipFile(path) as file, ThreadPoolExecutor(os.cpu_count()) as workers:
        index = json.loads(file.read('index.json'))
        chosen = [clip for clip in index['clips'] if clip['held_back'] == held_back]
        if held_back:
            named = [clip for clip in chosen if clip['name'] in measured_clips()]
            chosen = named or chosen
        numbers = [] if held_back else range(index['stills'])
        if not chosen and not numbers:
            raise ValueError(f'{path} has no {"held-back clips" if held_back else "pictures"}')
        packed = [(file.read(f'clips/{clip["name"]}.mp4'), file.read(f'clips/{clip["name"]}.xz'),
                   tuple(clip['shape']), side) for clip in chosen]
        clips = list(workers.map(_unpack_clip, packed))
        stills = list(workers.map(_unpack_still, (
            (file.read(f'stills/{number:05d}.webp'), file.read(f'stills/{number:05d}.png'),
             still_side) for number in numbers)))
    sources, start = [], 0
    for clip, (_, labels) in zip(chosen, clips, strict=True):
        sources.append(Source(clip['name'], start, len(labels), clip['stride'], still=False))
        start += len(labels)
    sources += [Source(f'still {number}', start + number, 1, 1, still=True)
                for number in numbers]
    areas, centres = tabulate(labels for _, stack in (*clips, *stills) for labels in stack)
    return Pool(_pictures(clips, side, device), _pictures(stills, still_side, device),
                tuple(sources), areas, centres)


def _unpack_clip(packed: tuple[bytes, bytes, tuple[int, int, int], int]) -> tuple[UInt8, UInt8]:
    video, masks, shape, side = packed
    labels = unpack_labels(masks, shape)
    return (np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
                      for frame in decode(io.BytesIO(video))]).astype(np.uint8),
            _resize_labels(labels, side))


def _unpack_still(packed: tuple[bytes, bytes, int]) -> tuple[UInt8, UInt8]:
    picture, mask, side = packed
    rgb = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    labels = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    return (cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)[None].astype(np.uint8),
            _resize_labels(labels[None].astype(np.uint8), side))


def _resize_labels(labels: UInt8, side: int) -> UInt8:
    return np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_NEAREST)
                     for frame in labels]).astype(np.uint8)


def _pictures(stacks: list[tuple[UInt8, UInt8]], side: int, device: torch.device) -> Pictures:
    """Move stacks of frames and labels to the device, one after the other."""
    count = sum(len(labels) for _, labels in stacks)
    rgb = torch.empty(count, side, side, 3, dtype=torch.uint8, device=device)
    numbers = torch.empty(count, side, side, dtype=torch.uint8, device=device)
    start = 0
    while stacks:
        frames, labels = stacks.pop(0)
        rgb[start:start + len(labels)] = torch.from_numpy(frames)
        numbers[start:start + len(labels)] = torch.from_numpy(labels)
        start += len(labels)
    return Pictures(rgb, numbers)


def tabulate(pictures: Iterable[UInt8]) -> tuple[Floats, Floats]:
    """Measure the area and centre of each object in each (S, S) label picture."""
    areas, centres = [], []
    for labels in pictures:
        thin = labels[::TABLE_STEP, ::TABLE_STEP]
        place = np.linspace(-1, 1, len(thin), dtype=np.float32)
        flat, count = thin.ravel(), MOST_OBJECTS + 1
        area = np.bincount(flat, minlength=count)
        x = np.bincount(flat, np.broadcast_to(place, thin.shape).ravel(), count)
        y = np.bincount(flat, np.broadcast_to(place[:, None], thin.shape).ravel(), count)
        areas.append(area / flat.size)
        centres.append(np.stack([x, y], 1) / np.maximum(area, 1)[:, None])
    return np.stack(areas).astype(np.float32), np.stack(centres).astype(np.float32)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Keep a store of composed clips with their trunk features, and draw batches from it.

The trunk is frozen, so its features are computed once a clip and used several times, each
time with other objects, frames and prompts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.queues import Queue
import os
from pathlib import Path
from queue import Full

import cv2
import numpy as np
from numpy.typing import NDArray
from sam2_tracker.models.nano.trunk import NanoTrunk
import torch
from training.clips import Clip, compose_clip, fair_objects
from training.data import load_library, UInt8
from training.pretrained import load_imagenet_weights
from training.tracking import Batch

IMAGENET_MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
IMAGENET_STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
QUEUED = 24
FEWEST_STORED = 12


@dataclass(frozen=True)
class FeedRecipe:
    """
    How clips are made and drawn.

    :ivar size: side of the frames in pixels
    :ivar length: frames that are composed for a clip
    :ivar frames: frames of a clip that are used in one step
    :ivar clips: clips a batch
    :ivar objects: prompted objects a clip
    :ivar stored: clips that are kept
    :ivar fresh: new clips a step; each is used ``clips / fresh`` times on average
    """

    size: int = 256
    length: int = 8
    frames: int = 4
    clips: int = 4
    objects: int = 3
    stored: int = 300
    fresh: int = 1


@dataclass(frozen=True)
class StoredClip:
    """A clip as trunk features, (T, C, H, W) in bfloat16 at each stride, with its labels."""

    maps: tuple[torch.Tensor, ...]
    labels: UInt8
    objects: tuple[int, ...]


def describe(trunk: NanoTrunk, clip: Clip) -> StoredClip:
    """Compute a clip's trunk features."""
    images = torch.from_numpy(clip.frames).permute(0, 3, 1, 2) / 255
    with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16):
        maps = trunk((images - IMAGENET_MEAN) / IMAGENET_STD)
    return StoredClip(tuple(level.bfloat16().contiguous() for level in maps), clip.labels,
                      clip.objects)


def stored_clips(root: Path, recipe: FeedRecipe, seed: int) -> Iterator[StoredClip]:
    """Compose clips without end, the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    library = load_library(root)
    trunk = NanoTrunk().eval()
    load_imagenet_weights(trunk)
    while True:
        yield describe(trunk, compose_clip(rng, library, recipe.size, recipe.length))


def _work(queue: Queue, root: Path, recipe: FeedRecipe, seed: int) -> None:
    os.nice(5)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for clip in stored_clips(root, recipe, seed):
        # as integers: numpy, and so a plain pipe, knows no bfloat16
        item = ([level.view(torch.int16).numpy() for level in clip.maps], clip.labels,
                clip.objects)
        while not _put(queue, item):
            parent = parent_process()
            if parent is None or not parent.is_alive():
                return


def _put(queue: Queue, item: object) -> bool:
    """Put an item into a queue, unless that is full for some seconds."""
    try:
        queue.put(item, timeout=5)
    except Full:
        return False
    return True


class Feed:
    """
    A store that a worker process fills, clip by clip.

    :param root: folder of the training pictures
    """

    def __init__(self, root: Path, recipe: FeedRecipe, seed: int) -> None:
        self.recipe = recipe
        self.store: deque[StoredClip] = deque(maxlen=recipe.stored)
        context = get_context('spawn')
        self._queue: Queue = context.Queue(QUEUED)
        self._worker = context.Process(target=_work, args=(self._queue, root, recipe, seed),
                                       daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Stop the worker."""
        self._worker.terminate()
        self._worker.join()

    def draw(self, rng: np.random.Generator) -> Batch:
        """Take new clips in and draw a batch."""
        self._take_in()
        return make_batch(rng, self._choose(rng, self.recipe.clips), self.recipe)

    def _take_in(self) -> None:
        wanted = max(self.recipe.fresh, FEWEST_STORED - len(self.store))
        for _ in range(wanted):
            maps, labels, objects = self._queue.get()
            levels = tuple(torch.from_numpy(level).view(torch.bfloat16) for level in maps)
            self.store.append(StoredClip(levels, labels, objects))

    def draw_stills(self, rng: np.random.Generator, clips: int, objects: int) -> Batch:
        """Take new clips in and draw single frames."""
        self._take_in()
        return make_stills(rng, self._choose(rng, clips), objects)

    def _choose(self, rng: np.random.Generator, clips: int) -> list[StoredClip]:
        return [self.store[i] for i in rng.choice(len(self.store), clips, replace=False)]


def make_batch(rng: np.random.Generator, clips: list[StoredClip],
               recipe: FeedRecipe) -> Batch:
    """Choose frames and objects of clips and lay them out frame by frame."""
    maps, masks = [], []
    for clip in clips:
        # only the first frame is known to show its objects
        later = np.sort(rng.choice(np.arange(1, len(clip.labels)), recipe.frames - 1,
                                   replace=False))
        picked = np.concatenate([[0], later])
        objects = rng.permutation(clip.objects[:recipe.objects + 2])
        maps.append([level[picked].float() for level in clip.maps])
        masks.append(_object_masks(clip.labels[picked], objects, recipe.objects))
    return _lay_out(maps, masks)


def make_stills(rng: np.random.Generator, clips: list[StoredClip], objects: int) -> Batch:
    """Choose one frame of each clip and any objects on it, for prompts alone."""
    maps, masks = [], []
    for clip in clips:
        frame = int(rng.integers(len(clip.labels)))
        seen = fair_objects(clip.labels[frame])
        if not seen:
            frame, seen = 0, list(clip.objects)
        picked = slice(frame, frame + 1)
        maps.append([level[picked].float() for level in clip.maps])
        masks.append(_object_masks(clip.labels[picked], rng.permutation(seen), objects))
    return _lay_out(maps, masks)


def _object_masks(labels: UInt8, objects: NDArray[np.int_], count: int) -> NDArray[np.bool_]:
    """Separate (T, S, S) labels into (T, count, S, S) masks, going round if there are fewer."""
    return labels[:, None] == np.resize(objects, count)[None, :, None, None]


def _lay_out(maps: list[list[torch.Tensor]], masks: list[NDArray[np.bool_]]) -> Batch:
    levels = tuple(torch.stack(level, 1).flatten(0, 1) for level in zip(*maps, strict=True))
    return Batch(levels, torch.from_numpy(np.concatenate(masks, 1)), len(masks))

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Compose clips with exact masks out of real clips and stills, in torch.

A crop of a real clip, or of a still that is moved and bent, gets objects of other clips pasted
over it, each with its own motion and on a way of its own, look-alikes of its own objects among
them; then light, noise, blur and covers. All choices that shape the work are made on the host,
so a GPU is never waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
from numpy.typing import NDArray
import torch
from torch.nn import functional
from training.pack import MOST_OBJECTS
from training.pool import Pictures, Pool, Source
from training.tracking import Batch

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
LAYERS = 2
PASTED = 20             # number of the first layer's object; real ones have up to MOST_OBJECTS
SMALLEST, LARGEST = 0.002, 0.55     # share of the frame of objects that are prompted
STRIDES = (1, 1, 2, 3, 4, 6)
ATTEMPTS = 8


@dataclass(frozen=True)
class Recipe:
    """
    What composed clips are like.

    :ivar size: side of the frames in pixels
    :ivar real: share of clips that are real video
    :ivar pasted: share of clips that get an object pasted, by layer
    :ivar alike: share of pasted objects that are copies of one of the clip's own
    :ivar whole: share of clips in which two touching objects count as one
    """

    size: int = 384
    real: float = 0.65
    pasted: tuple[float, float] = (0.75, 0.4)
    alike: float = 0.4
    whole: float = 0.15


@dataclass(frozen=True)
class Scene:
    """Where one composed clip comes from: frames (T,) in the pool, objects seen on the first."""

    source: Source
    frames: Ints
    objects: tuple[int, ...]


def wander(rng: np.random.Generator, clips: int, frames: int, speed: float) -> Floats:
    """Draw ways of a drift and slow wobble, (clips, frames) from 0."""
    steps = rng.normal(0, speed, (clips, 1)) + np.cumsum(
        rng.normal(0, 0.35 * speed, (clips, frames)), 1)
    steps[:, 0] = 0
    return np.cumsum(steps, 1)


def back_and_forth(places: Ints, frames: int) -> Ints:
    """Fold places on a line into a clip's frames: past its end it is played backward."""
    period = max(1, 2 * (frames - 1))
    folded = places % period
    return np.minimum(folded, period - folded)


def normalise(rgb: torch.Tensor) -> torch.Tensor:
    """Bring (N, 3, S, S) colours of 0 to 255 to the values that ImageNet's weights know."""
    images = torch.empty_like(rgb, memory_format=torch.channels_last)
    for channel, (mean, deviation) in enumerate(zip(MEAN, DEVIATION, strict=True)):
        images[:, channel] = rgb[:, channel] / (255 * deviation) - mean / deviation
    return images


class Composer:
    """
    Draws batches from a pool; the same ones for the same states of its two generators.

    :param rng: decides what is composed, on the host
    :param noise: a generator on the pool's device
    """

    def __init__(self, pool: Pool, recipe: Recipe, rng: np.random.Generator,
                 noise: torch.Generator) -> None:
        self.pool, self.recipe, self.rng, self.noise = pool, recipe, rng, noise
        self.clips = [source for source in pool.sources if not source.still]
        self.stills = [source for source in pool.sources if source.still]
        weights = np.sqrt([source.frames for source in self.clips])
        self.shares = weights / weights.sum() if len(weights) else weights
        labels = [*range(1, MOST_OBJECTS + 1), *range(PASTED, PASTED + LAYERS)]
        self.labels = torch.tensor(labels, dtype=torch.uint8, device=pool.device)

    @torch.no_grad()
    def draw(self, clips: int, objects: int, numbers: tuple[int, ...]) -> Batch:
        """
        Compose clips of frames that lie so many frames from the first, with objects to prompt.

        :param numbers: ascending, from 0
        """
        scenes = [self.choose_scene(np.array(numbers)) for _ in range(clips)]
        maps, zooms = self._crops(scenes, len(numbers))
        rgb, labels = self._look(np.stack([scene.frames for scene in scenes]), maps,
                                 self._bends(scenes, len(numbers)))
        labels = self._unite(scenes, labels)
        for layer in range(LAYERS):
            self._paste(layer, scenes, zooms, np.array(numbers), rgb, labels)
        self._disturb(rgb)
        self._cover(rgb, labels)
        masks, weights = self._choose_objects(labels, objects)
        images = normalise(rgb.clamp_(0, 255).transpose(0, 1).flatten(0, 1))
        return Batch(images, masks, weights, clips)

    def choose_scene(self, numbers: Ints) -> Scene:
        """Draw a clip or a still in which an object is seen on the first frame."""
        rng, pool = self.rng, self.pool
        real = bool(self.clips) and (not self.stills or rng.random() < self.recipe.real)
        for _ in range(ATTEMPTS):
            source = (self.clips[rng.choice(len(self.clips), p=self.shares)] if real
                      else self.stills[rng.integers(len(self.stills))])
            stride = min(int(rng.choice(STRIDES)), source.stride)
            stride = max(1, min(stride, (source.frames - 1) // max(1, int(numbers[-1]))))
            places = (rng.integers(source.frames) + stride * numbers * rng.choice([-1, 1]))
            frames = source.start + back_and_forth(places, source.frames)
            areas = pool.areas[frames[0], 1:]
            objects = np.flatnonzero((areas > SMALLEST / 2) & (areas < LARGEST)) + 1
            if len(objects):
                break
        return Scene(source, frames, tuple(int(label) for label in objects))

    def _send(self, values: NDArray[np.generic] | list[int]) -> torch.Tensor:
        """Move host values to the device without waiting for it."""
        tensor = torch.as_tensor(np.asarray(values))
        tensor = tensor.float() if tensor.is_floating_point() else tensor
        if self.pool.device.type == 'cuda':
            tensor = tensor.pin_memory()
        return tensor.to(self.pool.device, non_blocking=True)

    def _crops(self, scenes: list[Scene], frames: int) -> tuple[Floats, Floats]:
        """Plan (B, T, 2, 3) maps from frame to picture, -1 to 1; and (B,) zooms."""
        rng, count = self.rng, len(scenes)
        zoom = np.exp(rng.uniform(math.log(0.6), 0.0, count))
        room = 1 - zoom
        centre = rng.uniform(-1, 1, (count, 2)) * room[:, None]
        for row, scene in enumerate(scenes):
            if scene.objects:       # keep one of them inside
                wanted = self.pool.centres[scene.frames[0], rng.choice(scene.objects)]
                reach = 0.75 * zoom[row]
                centre[row] = np.clip(np.clip(centre[row], wanted - reach, wanted + reach),
                                      -room[row], room[row])
        still = np.array([scene.source.still for scene in scenes])
        calm = np.where(still, rng.choice([0.3, 1.0, 2.0], count), rng.choice([0.0, 0.3], count))
        return self._maps(zoom, centre, frames, calm), zoom

    def _maps(self, zoom: Floats, centre: Floats, frames: int, calm: Floats) -> Floats:
        """Let crops zoom, turn and wander; a fixed half of them is mirrored."""
        rng, count = self.rng, len(zoom)
        calm = calm[:, None]
        z = zoom[:, None] * np.exp(wander(rng, count, frames, 0.02) * calm)
        turn = np.deg2rad(rng.normal(0, 7, (count, 1)) + wander(rng, count, frames, 1.5) * calm)
        stretch = np.exp(rng.normal(0, 0.12, (count, 1)))
        mirror = rng.choice([-1, 1], (count, 1))
        x = centre[:, :1] + wander(rng, count, frames, 0.03) * calm
        y = centre[:, 1:] + wander(rng, count, frames, 0.02) * calm
        return np.stack([
            np.stack([mirror * z * np.cos(turn) * stretch, -z * np.sin(turn), x], -1),
            np.stack([mirror * z * np.sin(turn), z * np.cos(turn) / stretch, y], -1)], -2)

    def _bends(self, scenes: list[Scene], frames: int) -> torch.Tensor | None:
        """Bend stills from frame to frame: (B, T, S, S, 2) displacements, or None."""
        strength = np.array([self.rng.choice([0, 0.006, 0.015]) * scene.source.still
                             for scene in scenes])
        if not strength.any():
            return None
        shape = (len(scenes), frames, 2, 5, 5)
        coarse = torch.randn(shape, device=self.pool.device, generator=self.noise)
        coarse = coarse.cumsum(1) * self._send(strength)[:, None, None, None, None]
        size = self.recipe.size
        fine = functional.interpolate(coarse.flatten(0, 1), size=(size, size), mode='bicubic',
                                      align_corners=True)
        return fine.permute(0, 2, 3, 1).unflatten(0, shape[:2])

    def _look(self, frames: Ints, maps: Floats, bends: torch.Tensor | None = None,
              objects: Ints | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Sample pictures through maps.

        :param frames: (B, T) in the pool
        :param objects: (B,) give the cover of this object, 0 to 1, instead of the labels
        :returns: colours (B, T, 3, S, S), labels (B, T, S, S)
        """
        size, shape = self.recipe.size, frames.shape
        grids = functional.affine_grid(self._send(maps).flatten(0, 1),
                                       [frames.size, 1, size, size], align_corners=False)
        if bends is not None:
            grids = grids + bends.flatten(0, 1)
        wanted = None if objects is None else np.repeat(objects, shape[1])
        rgb = torch.empty(frames.size, 3, size, size, device=grids.device)
        kind = torch.uint8 if objects is None else torch.float32
        labels = torch.empty(frames.size, size, size, dtype=kind, device=grids.device)
        border = len(self.pool.clips.rgb)
        flat = frames.ravel()
        for pictures, rows, first in ((self.pool.clips, np.flatnonzero(flat < border), 0),
                                      (self.pool.stills, np.flatnonzero(flat >= border), border)):
            if len(rows):
                place = self._send(rows)
                rgb[place], labels[place] = _sample(
                    pictures, self._send(flat[rows] - first), grids[place],
                    None if wanted is None else self._send(wanted[rows]))
        return rgb.unflatten(0, shape), labels.unflatten(0, shape)

    def _unite(self, scenes: list[Scene], labels: torch.Tensor) -> torch.Tensor:
        """Count two touching objects as one in some clips: a whole instead of its parts."""
        table = np.tile(np.arange(PASTED, dtype=np.uint8), (len(scenes), 1))
        for row, scene in enumerate(scenes):
            if len(scene.objects) > 1 and self.rng.random() < self.recipe.whole:
                one, other = self.rng.choice(scene.objects, 2, replace=False)
                areas, centres = (values[scene.frames[0], [one, other]]
                                  for values in (self.pool.areas, self.pool.centres))
                if np.linalg.norm(centres[0] - centres[1]) < 1.3 * np.sqrt(areas).sum():
                    table[row, other] = one
        if (table == np.arange(PASTED)).all():
            return labels
        known = self._send(table).gather(1, labels.flatten(1).long())
        return known.view_as(labels)

    def _paste(self, layer: int, scenes: list[Scene], zooms: Floats, numbers: Ints,
               rgb: torch.Tensor, labels: torch.Tensor) -> None:
        """Paste one object over some of the clips, in place, with soft edges."""
        rng = self.rng
        rows, pasted, alike = [], [], []
        for row, scene in enumerate(scenes):
            if rng.random() < self.recipe.pasted[layer]:
                own = rng.random() < self.recipe.alike
                other = scene if own else self.choose_scene(numbers)
                if other.objects:
                    rows.append(row)
                    pasted.append(other)
                    alike.append(own)
        if not rows:
            return
        objects = np.array([rng.choice(scene.objects) for scene in pasted])
        maps = self._ways(pasted, objects, zooms[rows], np.array(alike), len(numbers))
        colours, cover = self._look(np.stack([scene.frames for scene in pasted]), maps,
                                    objects=objects)
        place = self._send(np.array(rows))
        soft = functional.avg_pool2d(cover, 3, 1, 1)[:, :, None]
        rgb[place] = soft * colours + (1 - soft) * rgb[place]
        labels[place] = torch.where(cover > 0.5, PASTED + layer, labels[place])

    def _ways(self, scenes: list[Scene], objects: Ints, zooms: Floats, alike: NDArray[np.bool_],
              frames: int) -> Floats:
        """Plan maps that put objects somewhere on the frame, some of them leaving it."""
        rng, count = self.rng, len(scenes)
        first = [scene.frames[0] for scene in scenes]
        sides = np.sqrt(self.pool.areas[first, objects])
        zoom = sides / np.exp(rng.uniform(math.log(0.06), math.log(0.45), count))
        zoom = np.where(alike, zooms * np.exp(rng.normal(0, 0.15, count)), zoom.clip(0.5, 4))
        maps = self._maps(zoom, np.zeros((count, 2)), frames,
                          rng.choice([0.3, 1.0, 2.0], count))
        linear, shift = maps[:, :1, :, :2], maps[..., 2]
        place = rng.uniform(-0.75, 0.75, (count, 1, 2, 1))
        # a point of the picture is linear @ point of the frame + shift
        start = self.pool.centres[first, objects][:, None] - (linear @ place)[..., 0]
        speed = rng.normal(0, 0.08, (count, 1, 2, 1)) * np.where(
            rng.random((count, 1, 1, 1)) < 0.25, 4, 1)
        way = (linear @ (speed * np.arange(frames)[:, None, None]))[..., 0]
        maps[..., 2] = shift - shift[:, :1] + start - way
        return maps

    def _disturb(self, rgb: torch.Tensor) -> None:
        """Change light and colour, add noise and blur some frames, in place."""
        rng = self.rng
        clips, frames = rgb.shape[:2]
        gain = np.exp(rng.normal(0, 0.06, (clips, 1, 3)) + rng.normal(0, 0.15, (clips, 1, 1))
                      + wander(rng, clips, frames, 0.02)[..., None])
        rgb *= self._send(gain)[..., None, None]
        for row in np.flatnonzero(rng.random(clips) < 0.4):
            grain = torch.randn(rgb[row].shape, device=rgb.device, generator=self.noise)
            rgb[row] += grain * float(rng.choice([2, 4, 8]))
        for row, frame in np.argwhere(rng.random((clips, frames)) < 0.1):
            rgb[row, frame] = functional.avg_pool2d(rgb[row, frame], 3, 1, 1)

    def _cover(self, rgb: torch.Tensor, labels: torch.Tensor) -> None:
        """Hide the whole frame, or a board's part of it, for some frames of some clips."""
        rng, (clips, frames, size, _) = self.rng, labels.shape
        if frames < 4:
            return
        for row in np.flatnonzero(rng.random(clips) < 0.15):
            start = int(rng.integers(1, frames - 1))
            end = min(frames - 1, start + int(rng.integers(1, 4)))
            low, high = (0, size) if rng.random() < 0.5 else sorted(
                int(edge) for edge in rng.integers(0, size, 2))
            colour = self._send(rng.uniform(0, 255, 3))[:, None, None]
            rgb[row, start:end, :, :, low:high] = colour
            labels[row, start:end, :, low:high] = 0

    def _choose_objects(self, labels: torch.Tensor, objects: int
                        ) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose objects of a fair size on the first frame: masks (T, N, S, S), weights (N,)."""
        share = torch.stack([(labels[:, 0] == label).float().mean((1, 2))
                             for label in self.labels], 1)
        fair = (share > SMALLEST) & (share < LARGEST)
        order = fair * (1 + torch.rand(fair.shape, device=fair.device, generator=self.noise))
        chosen = order.topk(objects, 1).indices
        wanted = self.labels[chosen]
        masks = labels[:, :, None] == wanted[:, None, :, None, None]
        return masks.transpose(0, 1).flatten(1, 2), fair.gather(1, chosen).flatten().float()


def _sample(pictures: Pictures, frames: torch.Tensor, grids: torch.Tensor,
            objects: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample colours, and labels or the cover of one object each, at grids' places."""
    colours = pictures.rgb[frames].permute(0, 3, 1, 2).float()
    labels = pictures.labels[frames]
    rgb = functional.grid_sample(colours, grids, padding_mode='reflection', align_corners=False)
    if objects is None:
        found = functional.grid_sample(labels[:, None].float(), grids, mode='nearest',
                                       padding_mode='zeros', align_corners=False)
        return rgb, found[:, 0].to(torch.uint8)
    cover = (labels == objects[:, None, None]).float()[:, None]
    return rgb, functional.grid_sample(cover, grids, padding_mode='zeros',
                                       align_corners=False)[:, 0]

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Is a batch of objects the same as one after the other? Largest difference of logits, lowest IoU.

    python -m benchmarks.exactness [--objects 2 5 16] [--device cuda]

Objects are prompted on different frames, so their memories have different ages and layouts. Both
engines go on from their own memories, so differences may add up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from benchmarks.clips import boxes, overlap, scene
from benchmarks.machine import parser_for, prepare
from benchmarks.results import markdown, Result, save
import numpy as np
from sam2_tracker.core.command_line import positive_int
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.memory.object_memory import LowResMask, ObjectMemory
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import FrameFeatures, TrackStep
from sam2_tracker.core.types import Prompt, UInt8Array, Wanted
from sam2_tracker.models.loader import build_predictor

HW = (240, 320)
# New objects come on every third of the first frames.
_BIRTHS = (0, 3, 6, 9)
# An absent object's mask is -1024 everywhere.
_ABSENT = -1000
NOTE = (
    'Logits are those of the masks as the model makes them, before they are scaled to the '
    'picture; float32; the worst of all frames and objects. "of the whole run": each goes on from '
    'its own memory. "of one pass": the batch is given the memory of the loop on every frame. '
    'Between frames SAM 2 rounds memory maps to bfloat16: where the last digit of a float32 tips '
    'one entry over to the neighbouring value, the next frame differs by more; it does not add up.'
    )


@dataclass(frozen=True)
class Row:
    """
    So many objects of one model, batched against looped.

    :param difference: largest of any two logits, each from its own memory
    :param one_pass: the same with equal memories before each frame
    :param logit: largest logit of an object that is there, for scale
    """

    model: str
    objects: int
    frames: int
    difference: float
    one_pass: float
    logit: float
    iou: float


class Engine:
    """A predictor with objects that come one after the other."""

    def __init__(self, predictor: Predictor, prompts: Sequence[Prompt]) -> None:
        births = sorted(_BIRTHS[place % len(_BIRTHS)] for place in range(len(prompts)))
        self._waiting = list(zip(births, prompts, strict=True))
        self._predictor = predictor
        self._memories: list[ObjectMemory] = []

    def prompt(self, index: int, features: FrameFeatures) -> None:
        """Prompt whoever comes on this frame."""
        while self._waiting and self._waiting[0][0] <= index:
            memory = self._predictor.new_memory(HW)
            _, prompt = self._waiting.pop(0)
            self._predictor.prompt(memory, index, features, prompt, clear_previous=False)
            self._memories.append(memory)

    def forks(self) -> list[ObjectMemory]:
        """Return copies of what is remembered."""
        return [memory.fork() for memory in self._memories]

    def track(self, index: int, features: FrameFeatures) -> list[LowResMask]:
        """Track all objects on this frame."""
        found = track(self._predictor, self._memories, index, features)
        for memory in self._memories:
            memory.prune(index, 0)
        return found


def track(predictor: Predictor, memories: Sequence[ObjectMemory], index: int,
          features: FrameFeatures) -> list[LowResMask]:
    """Track objects on a frame."""
    return predictor.track([TrackStep(memory, index, features) for memory in memories])


def compare(looped: Predictor, batched: Predictor, objects: int,
            pictures: Sequence[UInt8Array]) -> Iterator[tuple[float, float, float, float]]:
    """Yield each frame's largest differences (own memory, equal memory), logit, lowest IoU."""
    engines = [Engine(predictor, boxes(objects, HW)) for predictor in (looped, batched)]
    for index, picture in enumerate(pictures):
        features = looped.encode(picture)
        for engine in engines:
            engine.prompt(index, features)
        equal = track(batched, engines[0].forks(), index, features)
        one, other = (engine.track(index, features) for engine in engines)
        shown = [looped.summarise(outputs, range(1, len(outputs) + 1), HW,
                                  Wanted(label_image=False)).masks for outputs in (one, other)]
        yield (difference(one, other), difference(one, equal),
               max((float(a.logits.abs().max()) for a in one if a.logits.max() > _ABSENT),
                   default=0.0),
               min(overlap(a, b) for a, b in zip(*shown, strict=True)))


def difference(one: Sequence[LowResMask], other: Sequence[LowResMask]) -> float:
    """Return the largest difference of any two logits."""
    return max(float((a.logits - b.logits).abs().max())
               for a, b in zip(one, other, strict=True))


def measure(config: ModelConfig, random_weights: bool, counts: Sequence[int], frames: int
            ) -> list[Row]:
    """Compare batches of each size."""
    model = build_predictor(config, 4, random_weights=random_weights)
    looped, batched = (Predictor(model, batched=batched) for batched in (False, True))
    name = f'{config.name} at {looped.image_size}{", random weights" if random_weights else ""}'
    pictures = scene(frames, HW)
    rows = []
    for count in counts:
        worst = np.array(list(compare(looped, batched, count, pictures)))
        rows.append(Row(name, count, frames, *worst[:, :3].max(0).tolist(),
                        iou=float(worst[:, 3].min())))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the figures as Markdown."""
    lines = [[row.model, str(row.objects), str(row.frames), f'{row.difference:.1e}',
              f'{row.one_pass:.1e}', f'{row.logit:.1f}', f'{row.iou:.6f}'] for row in rows]
    return markdown(['model', 'objects', 'frames', 'largest difference of the whole run',
                     'of one pass', 'largest logit', 'lowest IoU'], lines) + '\n\n' + NOTE


def figures_of(rows: Sequence[Row]) -> dict[str, float]:
    """Return the worst of all models, as the targets name it."""
    found = {}
    for count in sorted({row.objects for row in rows}):
        same = [row for row in rows if row.objects == count]
        found[f'difference, {count}'] = max(row.difference for row in same)
        found[f'one pass, {count}'] = max(row.one_pass for row in same)
        found[f'iou, {count}'] = min(row.iou for row in same)
    return found


def remarks_of(rows: Sequence[Row]) -> dict[str, str]:
    """Say for each model what its worst difference is a part of."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[f'difference, {row.objects}'].append(
            f'{row.model}: {row.difference:.1e}, logits up to {row.logit:.1f}')
        found[f'one pass, {row.objects}'].append(f'{row.model}: {row.one_pass:.1e}')
        found[f'iou, {row.objects}'].append(f'{row.model}: {row.iou:.6f}')
    return {name: '; '.join(said) for name, said in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures."""
    parser = parser_for(__doc__)
    parser.add_argument('--objects', type=positive_int, nargs='+', default=[2, 5, 16])
    parser.add_argument('--frames', type=positive_int, default=32)
    parser.add_argument('--image-size', type=int, default=0,
                        help="of both models; 0: nano's own, and 128 for the other")
    options = parser.parse_args(arguments)
    machine = prepare(options)
    rows = measure(ModelConfig('nano', device=options.device, image_size=options.image_size),
                   False, options.objects, options.frames)
    rows += measure(ModelConfig('sam2.1_hiera_tiny', device=options.device,
                                image_size=options.image_size or 128), True, options.objects,
                    options.frames)
    device = options.device.partition(':')[0]
    return save(Result(f'exactness_{device}', 'exactness', f'Batched against looped, {device}',
                       machine, tuple(asdict(row) for row in rows), table(rows),
                       figures_of(rows), remarks_of(rows)), options.results)


if __name__ == '__main__':
    raise SystemExit(main())

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Frames a second against the number of objects: stock SAM 2, and this engine looped and batched.

    python -m benchmarks.objects [--model nano] [--objects 1 2 4 8] [--random-weights]

All see the same 640x480 frames, with the same weights and prompts, in the same run. A row is
refused unless its masks agree with stock's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import contextlib
from dataclasses import asdict, dataclass
import io
import json
import os
from pathlib import Path
import platform
import tempfile
import time

import numpy as np
from PIL import Image
from sam2.sam2_video_predictor import SAM2VideoPredictor
import torch

from benchmarks.tracking import Mask, run_engine
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.engine.stream_predictor import StreamPredictor
from sam2_tracker.core.types import Prompt, UInt8Array
from sam2_tracker.models.loader import build_predictor, build_stock_predictor

RESULTS = Path(__file__).parent / 'results'
# Until then the memory is not full: 6 maps and 15 pointers.
WARM_UP = 17
# Batching changes the order of sums, so single pixels on the border may differ.
AGREED_IOU = 0.999


@dataclass(frozen=True)
class Row:
    """
    One way to track so many objects.

    :param frame_ms: median time of a frame once the memory is full, encoder included
    :param iou: lowest IoU of any mask with stock's
    """

    objects: int
    way: str
    frame_ms: float
    iou: float

    @property
    def fps(self) -> float:
        """Return frames a second."""
        return 1000 / self.frame_ms


def scene(frames: int) -> list[UInt8Array]:
    """Return pictures of a pattern that drifts."""
    rng = np.random.default_rng(0)
    pattern = rng.integers(0, 256, (60, 80 + frames, 3)).astype(np.uint8)
    large = pattern.repeat(8, 0).repeat(8, 1)
    return [np.ascontiguousarray(large[:, 2 * i:2 * i + 640]) for i in range(frames)]


def prompts_for(objects: int) -> list[Prompt]:
    """Return as many boxes, spread over the picture."""
    corners = [(40 + 150 * (i % 4), 30 + 110 * (i // 4 % 4)) for i in range(objects)]
    return [Prompt(box_xyxy=np.array([x, y, x + 120, y + 90], np.float32)) for x, y in corners]


def run_stock(model: SAM2VideoPredictor, folder: Path, prompts: Sequence[Prompt]
              ) -> tuple[list[list[Mask]], list[float]]:
    """Track with stock's own functions on the finished clip; masks by frame, and seconds."""
    masks, seconds = [], []
    with contextlib.redirect_stderr(io.StringIO()), torch.inference_mode():
        state = model.init_state(str(folder))
        for number, prompt in enumerate(prompts, 1):
            model.add_new_points_or_box(state, 0, number, box=prompt.box_xyxy)
        start = time.perf_counter()
        for index, _, logits in model.propagate_in_video(state):
            masks.append([np.asarray((one[0] > 0).cpu()) for one in logits])
            if index:
                seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
    return masks, seconds


def lowest_iou(ours: Sequence[Sequence[Mask]], stock: Sequence[Sequence[Mask]]) -> float:
    """Return the worst agreement over all frames and objects; two empty masks agree."""
    pairs = [(a, b) for row, other in zip(ours, stock, strict=True)
             for a, b in zip(row, other, strict=True)]
    return min(float((a & b).sum() / max(1, (a | b).sum())) if (a | b).any() else 1.0
               for a, b in pairs)


def measure(stock: SAM2VideoPredictor, model: StreamPredictor, objects: int,
            pictures: list[UInt8Array], folder: Path) -> list[Row]:
    """Measure every way to track so many objects."""
    prompts = prompts_for(objects)
    stock_masks, stock_s = run_stock(stock, folder, prompts)
    rows = [Row(objects, 'stock, finished clip', _median_ms(stock_s), 1.0)]
    for way, batched in (('looped', False), ('batched', True)):
        run = run_engine(Predictor(model, batched=batched), pictures, prompts)
        by_frame = list(zip(*(track.masks for track in run.tracks), strict=True))
        rows.append(Row(objects, way, _median_ms(run.seconds),
                        lowest_iou(by_frame, stock_masks)))
    return rows


def _median_ms(seconds: Sequence[float]) -> float:
    return 1000 * float(np.median(seconds[WARM_UP:]))


def table(rows: Sequence[Row]) -> str:
    """Return the figures as Markdown."""
    stock_ms = {row.objects: row.frame_ms for row in rows if row.way.startswith('stock')}
    lines = ['| objects | way | ms a frame | frames a second | against stock | lowest IoU |',
             '|---|---|---|---|---|---|']
    for row in rows:
        gain = f'{stock_ms[row.objects] / row.frame_ms:.2f}x'
        if row.iou < AGREED_IOU:
            gain = 'refused: other masks than stock'
        lines.append(f'| {row.objects} | {row.way} | {row.frame_ms:.1f} | {row.fps:.1f} | {gain} '
                     f'| {row.iou:.6f} |')
    return '\n'.join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures; 1 if a row had to be refused."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').strip().split('\n')[0])
    parser.add_argument('--model', default='nano')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--image-size', type=int, default=0)
    parser.add_argument('--objects', type=int, nargs='+', default=[1, 2, 4, 8])
    parser.add_argument('--frames', type=int, default=WARM_UP + 13)
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument('--random-weights', action='store_true',
                        help='speed does not depend on them, and no checkpoint is needed')
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    config = ModelConfig(options.model, device=options.device, image_size=options.image_size)
    stock = build_stock_predictor(config, random_weights=options.random_weights)
    model = build_predictor(config, 4, random_weights=options.random_weights)
    pictures = scene(options.frames)
    with tempfile.TemporaryDirectory() as folder:
        for index, picture in enumerate(pictures):
            path = Path(folder, f'{index:05d}.jpg')
            Image.fromarray(picture).save(path, quality=95)
            pictures[index] = np.asarray(Image.open(path).convert('RGB'))
        rows = [row for count in options.objects
                for row in measure(stock, model, count, pictures, Path(folder))]
    print(f'{options.model} at {model.image_size} px on {options.device}, '
          f'{options.threads} thread(s), torch {torch.__version__}, {platform.machine()}')
    print(table(rows))
    RESULTS.mkdir(exist_ok=True)
    name = f'objects_{options.model}_{model.image_size}_{options.device}.json'
    (RESULTS / name).write_text(json.dumps([asdict(row) for row in rows], indent=1) + '\n')
    return int(any(row.iou < AGREED_IOU for row in rows))


if __name__ == '__main__':
    raise SystemExit(main())

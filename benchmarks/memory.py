# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Memory of an endless stream: engine, worker and frame buffer over 5,000 frames, stock beside it.

    python -m benchmarks.memory [--frames 5000] [--stock-frames 150] [--device cuda]

Each runs in a process of its own over the same frames, smaller than a camera's so that thousands
fit into minutes; what grows with every frame grows with these too. The slope is that of a line
fitted by least squares to the process's own resident memory after the warm-up; pages of files that
it has mapped, as libraries, do not count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
import gc
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import threading
import time

from benchmarks import stock
from benchmarks.clips import boxes, jpeg, scene, write_clip
from benchmarks.machine import parser_for, prepare, ROOT
from benchmarks.results import markdown, Result, save
from benchmarks.spread import slope
import numpy as np
from sam2_tracker.core.command_line import positive_int
from sam2_tracker.core.config import BufferConfig, CoreConfig, FramePolicy, ModelConfig
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import EncodedImage
from sam2_tracker.core.types import FrameHeader, IdAllocator, TrackedFrame
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.models.loader import build_tracking_predictor
import torch

HW = (240, 320)
PERIOD_NS = 33_333_333
_PICTURES = 64
_PATIENCE_S = 60.0
_KIB = 1024
_POINTS_SHOWN = 9
NOTE = (
    '{objects} object(s), {hw} pictures, nano at {size} px. Ours: JPEGs through frame buffer (300 '
    'frames on disk), worker and engine; the line is fitted from frame {warm_up} on, when buffer, '
    'look-back and memory are full. Stock: the same frames appended to its state, the line from '
    'frame {stock_warm_up} on.')


@dataclass(frozen=True)
class Point:
    """Memory after so many frames; `device_kib` is 0 on a CPU."""

    frame: int
    process_kib: float
    device_kib: float


@dataclass(frozen=True)
class Curve:
    """
    Memory of one way.

    :param slope_kib: growth of the process a frame after the warm-up
    """

    way: str
    points: tuple[Point, ...]
    slope_kib: float
    device_slope_kib: float


def now(frame: int, device: str) -> Point:
    """Weigh this process, what it has mapped of files left out, and its device."""
    fields = dict(line.split(':', 1) for line in
                  Path('/proc/self/status').read_text().splitlines())
    # Of files' pages the system drops and fetches what it likes.
    process_kib = sum(float(fields[name].split()[0]) for name in ('RssAnon', 'RssShmem'))
    on_device = 0
    if torch.device(device).type == 'cuda':
        on_device = torch.cuda.memory_allocated(device)
    return Point(frame, process_kib, on_device / _KIB)


def to_curve(way: str, points: Sequence[Point], warm_up: int) -> Curve:
    """
    Fit a line to what comes after the warm-up.

    :raises ValueError: if fewer than two points do
    """
    late = [point for point in points if point.frame >= warm_up]
    frames = [point.frame for point in late]
    return Curve(way, tuple(points), slope(frames, [point.process_kib for point in late]),
                 slope(frames, [point.device_kib for point in late]))


class Camera:
    """A worker with a frame buffer; frame after frame is put in and its result awaited."""

    def __init__(self, config: ModelConfig, folder: Path) -> None:
        self._came = threading.Semaphore(0)
        self._buffer = FrameBuffer(BufferConfig(folder), FramePolicy.EVERY)
        self._worker = Worker(build_tracking_predictor(config), self._buffer, CoreConfig(config),
                              IdAllocator(), self._on_result)
        self._payloads = [jpeg(picture) for picture in scene(_PICTURES, HW)]
        self._worker.start()

    def _on_result(self, _: TrackedFrame) -> None:
        self._came.release()

    def play(self, index: int) -> None:
        """
        Do one frame; the scene is played forwards and backwards for ever.

        :raises TimeoutError: if its result does not come
        """
        place = index % (2 * _PICTURES - 2)
        payload = self._payloads[min(place, 2 * _PICTURES - 2 - place)]
        header = FrameHeader(10 ** 9 + index * PERIOD_NS, 'camera')
        self._worker.append(EncodedImage(payload), header, time.monotonic_ns())
        if not self._came.acquire(timeout=_PATIENCE_S):
            raise TimeoutError(f'no result for frame {index} within {_PATIENCE_S:.0f} s: '
                               f'{self._worker.report().fault}')

    def prompt(self, objects: int) -> None:
        """Prompt so many objects on the newest frame."""
        ticket = self._worker.add_prompts(PromptRequest(tuple(boxes(objects, HW))))
        ticket.wait(_PATIENCE_S)
        ticket.result()

    def close(self) -> None:
        """Stop and remove the frames."""
        self._worker.stop()
        self._buffer.close()


def measure_ours(config: ModelConfig, objects: int, frames: int) -> list[Point]:
    """Track through the whole of what a stream goes through."""
    with tempfile.TemporaryDirectory() as folder:
        camera = Camera(config, Path(folder))
        camera.play(0)
        camera.prompt(objects)
        points = _weigh(camera.play, frames, config.device)
        camera.close()
    return points


def measure_stock(config: ModelConfig, objects: int, frames: int) -> list[Point]:
    """Track with stock on a stream: its state grows by every frame."""
    model = stock.build(config, random_weights=False)
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder, 'first'), 1, HW)
        pictures = scene(_PICTURES, HW)
        stream = stock.GrowingStream(model, clip.folder, boxes(objects, HW))
        stream.track(0, pictures[0])

        def play(index: int) -> None:
            place = index % (2 * _PICTURES - 2)
            stream.track(index, pictures[min(place, 2 * _PICTURES - 2 - place)])
        return _weigh(play, frames, config.device)


def weighed(frames: int) -> range:
    """Return the frames after which memory is weighed, from 1: 100 of them or more, or all."""
    every = max(1, frames // 100)
    return range(every, frames + 1, every)


def warm_up_of_stock(frames: int) -> int:
    """Return how many of stock's frames its curve is not fitted to."""
    return frames // 3


def _weigh(play: Callable[[int], None], frames: int, device: str) -> list[Point]:
    points = []
    for index in range(1, frames + 1):
        play(index)
        if index in weighed(frames):
            gc.collect()
            points.append(now(index, device))
    return points


def in_own_process(way: str, options: list[str]) -> list[Point]:
    """Measure in a process of its own: what another left would be weighed too."""
    done = subprocess.run([sys.executable, '-m', 'benchmarks.memory', '--only', way, *options],
                          cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [Point(**point) for point in json.loads(done.stdout.splitlines()[-1])]


def table(curves: Sequence[Curve], note: str) -> str:
    """Return some points of the curves and their slopes as Markdown."""
    lines = []
    for curve in curves:
        places = np.linspace(0, len(curve.points) - 1, min(_POINTS_SHOWN, len(curve.points)))
        shown = [curve.points[int(place)] for place in places]
        first = curve.points[0]
        lines += [[curve.way, str(point.frame), f'{point.process_kib / 1024:.1f}',
                   f'{(point.process_kib - first.process_kib) / 1024:+.1f}',
                   f'{point.device_kib / 1024:.1f}'] for point in shown]
    slopes = '. '.join(f'{curve.way}: {curve.slope_kib:+.3f} KiB of the process and '
                       f'{curve.device_slope_kib:+.3f} KiB of the device a frame'
                       for curve in curves)
    head = ['way', 'frame', 'process, MiB', 'since the first point, MiB', 'device, MiB']
    return f'{markdown(head, lines)}\n\n**Slopes.** {slopes}.\n\n{note}'


def refusal(options: argparse.Namespace) -> str | None:
    """Say in one sentence why curves of so many frames can't be fitted, or None."""
    for name, frames, warm_up in (('frames', options.frames, options.warm_up),
                                  ('stock-frames', options.stock_frames,
                                   warm_up_of_stock(options.stock_frames))):
        places = [index for index in weighed(frames) if index >= warm_up]
        if len(places) < 2:
            return (f'--{name} {frames} leaves {len(places)} point(s) after a warm-up of '
                    f'{warm_up}: a line needs two')
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures."""
    parser = parser_for(__doc__)
    parser.add_argument('--frames', type=positive_int, default=5000)
    parser.add_argument('--stock-frames', type=positive_int, default=150)
    parser.add_argument('--warm-up', type=positive_int, default=1000)
    parser.add_argument('--objects', type=positive_int, default=2)
    parser.add_argument('--image-size', type=int, default=128)
    parser.add_argument('--only', choices=('ours', 'stock'), help='print one curve as JSON')
    options = parser.parse_args(arguments)
    if not options.only and (wrong := refusal(options)):
        parser.error(wrong)
    machine = prepare(options)
    config = ModelConfig('nano', device=options.device, image_size=options.image_size)
    if options.only:
        measure, frames = ((measure_ours, options.frames) if options.only == 'ours' else
                           (measure_stock, options.stock_frames))
        points = measure(config, options.objects, frames)
        print(json.dumps([asdict(point) for point in points]))
        return 0
    passed = [f'--{name}={getattr(options, name.replace("-", "_"))}' for name in (
        'frames', 'stock-frames', 'objects', 'image-size', 'device', 'threads')]
    stock_warm_up = warm_up_of_stock(options.stock_frames)
    curves = [to_curve('ours', in_own_process('ours', passed), options.warm_up),
              to_curve('stock on a stream', in_own_process('stock', passed), stock_warm_up)]
    note = NOTE.format(objects=options.objects, hw=f'{HW[1]}x{HW[0]}', size=options.image_size,
                       warm_up=options.warm_up, stock_warm_up=stock_warm_up)
    device = options.device.partition(':')[0]
    return save(Result(
        f'memory_{device}', 'memory', f'Memory over {options.frames} frames, {device}', machine,
        tuple(asdict(curve) for curve in curves), table(curves, note),
        {'slope': max(curves[0].slope_kib, curves[0].device_slope_kib),
         'stock slope': curves[1].slope_kib}), options.results)


if __name__ == '__main__':
    raise SystemExit(main())

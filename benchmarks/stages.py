# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Where a frame's time goes, stage by stage, and which part of the device's peak each stage reaches.

    python -m benchmarks.stages --model sam2.1_hiera_tiny --image-size 512 --random-weights

For one object in float32 this engine does stock SAM 2's arithmetic, and less of it in batches and
in bfloat16 on a CPU. The time that this takes at the device's peak bounds what can be gained over
stock: the table says how much that is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
import tempfile
import time
from typing import Any

from benchmarks import stock, ways
from benchmarks.clips import boxes, Clip, SHORTEST_CLIP, write_clip
from benchmarks.flops import count_ours, count_work, Work
from benchmarks.machine import parser_for, prepare, synchronise
from benchmarks.results import markdown, Result, save
import numpy as np
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2_tracker.core.command_line import positive_int
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.engine.stream_predictor import StreamPredictor
from sam2_tracker.models.loader import build_predictor
import torch

STAGES = ('preprocess', 'encode', 'memory attention', 'heads', 'memory encoder', 'summarise')
REST = 'rest'
_DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}
_LIMITED = (1, 2, 8)
_PEAK_EVERY = 4
NOTE = (
    'One object, medians; the device waits for itself after every stage. GFLOP: matrix products '
    "and convolutions of stock's arithmetic with full memory, counted on shapes by "
    '`torch.utils.flop_counter`. Peak, measured between the frames: {peak:.0f} GFLOP/s in a '
    'matrix product of {side} x {side}, {precision}. "rest" is gathering of memory, bookkeeping '
    'and, for stock, scaling masks to the picture (its preprocessing is done beforehand).')
LIMIT_NOTE = (
    "At that peak this engine's arithmetic alone, {work} GFLOP with {objects}, takes {least} ms. "
    'Stock takes {stock} ms (one object as measured, more of them by its own loop: encoder once, '
    'all else each), so the largest gain over stock that this arithmetic allows here is {gains}.')


@dataclass(frozen=True)
class Row:
    """One stage; milliseconds a frame."""

    stage: str
    gflop: float | None
    stock_ms: float
    ours_ms: float
    stock_gflops: float | None
    ours_gflops: float | None
    ours_share_of_peak: float | None


class StageClock:
    """Times parts of a model while it is used; the figures of a frame end with `frame`."""

    def __init__(self, device: str) -> None:
        self.frames: list[dict[str, float]] = []
        self._device = device
        self._now: dict[str, float] = defaultdict(float)

    def watch(self, owner: Any, attribute: str, stage: str) -> None:
        """Time every call of a method from now on."""
        method: Callable[..., Any] = getattr(owner, attribute)

        def timed(*arguments: Any, **named: Any) -> Any:
            synchronise(self._device)
            begun = time.perf_counter()
            found = method(*arguments, **named)
            synchronise(self._device)
            self._now[stage] += time.perf_counter() - begun
            return found
        setattr(owner, attribute, timed)

    def watch_model(self, model: SAM2VideoPredictor) -> None:
        """Time what stock and this engine have in common."""
        self.watch(model, 'forward_image', 'encode')
        self.watch(model.memory_attention, 'forward', 'memory attention')
        heads = 'decode' if isinstance(model, StreamPredictor) else '_forward_sam_heads'
        self.watch(model, heads, 'heads')
        self.watch(model, '_encode_new_memory', 'memory encoder')

    def frame(self, session: ways.Session) -> None:
        """Do a frame and keep its figures."""
        self._now.clear()
        synchronise(self._device)
        begun = time.perf_counter()
        next(session)
        synchronise(self._device)
        whole = time.perf_counter() - begun
        self.frames.append({**self._now, REST: whole - sum(self._now.values())})

    def median_ms(self, stage: str, warm_up: int) -> float:
        """Return a stage's time in the frames after the warm-up."""
        return 1000 * float(np.median([frame.get(stage, 0.0) for frame in self.frames[warm_up:]]))


class Peak:
    """The fastest that a device can compute, by a large matrix product."""

    def __init__(self, device: str, precision: str, side: int) -> None:
        self.side = side
        self._device = device
        self._factors = [torch.randn(side, side, device=device, dtype=_DTYPES[precision])
                         for _ in range(2)]
        self._rates: list[float] = []

    def measure(self) -> None:
        """Multiply once more."""
        synchronise(self._device)
        begun = time.perf_counter()
        torch.matmul(*self._factors)
        synchronise(self._device)
        self._rates.append(2 * self.side ** 3 / 1e9 / (time.perf_counter() - begun))

    @property
    def gflops(self) -> float:
        """Return the median rate, the first ones left out."""
        return float(np.median(self._rates[2:] or self._rates))


def run(setting: ways.Setting, clip: Clip, frames: int, peak: Peak
        ) -> tuple[StageClock, StageClock]:
    """Do frame after frame with stock and with this engine, and the peak between."""
    device = setting.model.device
    stock_clock, our_clock = StageClock(device), StageClock(device)
    model = stock.build(setting.model, setting.random_weights)
    stock_clock.watch_model(model)
    own = build_predictor(setting.model, 4, random_weights=setting.random_weights)
    predictor = Predictor(own, setting.precision)
    our_clock.watch_model(own)
    if predictor._batches is not None:
        our_clock.watch(predictor._batches.attention, 'condition', 'memory attention')
    our_clock.watch(predictor, '_preprocess', 'preprocess')
    our_clock.watch(predictor, 'summarise', 'summarise')
    prompts = boxes(1)
    theirs = ways.on_clip(setting, model, clip, prompts)
    ours = ways.track(predictor, clip, prompts)
    turns = [(stock_clock, theirs), (our_clock, ours)]
    for index in range(frames):
        if index % _PEAK_EVERY == 0:
            # Its matrices push the model's weights out of the cache: not before most frames.
            peak.measure()
            peak.measure()
        for clock, session in turns:
            clock.frame(session)
        turns.reverse()
    peak.measure()
    return stock_clock, our_clock


def to_rows(clocks: tuple[StageClock, StageClock], work: Work, peak: float, warm_up: int
            ) -> list[Row]:
    """Put times and arithmetic together."""
    rows = []
    for stage in (*STAGES, REST):
        gflop = work.of(stage)
        stock_ms, ours_ms = (clock.median_ms(stage, warm_up) for clock in clocks)
        if gflop is None or not stock_ms or not ours_ms:
            rows.append(Row(stage, None, stock_ms, ours_ms, None, None, None))
            continue
        ours = 1000 * gflop / ours_ms
        rows.append(Row(stage, gflop, stock_ms, ours_ms, 1000 * gflop / stock_ms, ours,
                        ours / peak))
    return rows


def work_of_ours(setting: ways.Setting) -> dict[int, float]:
    """Return for numbers of objects this engine's arithmetic of a frame, in GFLOP."""
    return {count: count_ours(setting.model.name, setting.model.image_size, setting.model.device,
                              setting.precision, count) for count in _LIMITED}


def limits(rows: Sequence[Row], ours: Mapping[int, float], peak: float
           ) -> dict[int, tuple[float, float]]:
    """
    Return for numbers of objects: stock's ms a frame, and the least that ours can take.

    :param ours: this engine's arithmetic in GFLOP
    """
    encode = sum(row.stock_ms for row in rows if row.stage == 'encode')
    each = sum(row.stock_ms for row in rows) - encode
    return {count: (encode + count * each, 1000 * gflop / peak) for count, gflop in ours.items()}


def table(rows: Sequence[Row], work: Work, ours: Mapping[int, float], peak: Peak, precision: str
          ) -> str:
    """Return the figures as Markdown."""
    whole = Row('whole frame', work.frame(1), sum(row.stock_ms for row in rows),
                sum(row.ours_ms for row in rows), None, None, None)
    lines = []
    for row in (*rows, whole):
        gflop, rates = ('', '') if row.gflop is None else (f'{row.gflop:.1f}', [
            1000 * row.gflop / row.stock_ms, 1000 * row.gflop / row.ours_ms])
        shown = [f'{rate:.0f} ({rate / peak.gflops:.0%})' for rate in rates] or ['', '']
        lines.append([row.stage, gflop, f'{row.stock_ms:.1f}', f'{row.ours_ms:.1f}', *shown])
    found = markdown(['stage', 'GFLOP', 'stock, ms', 'ours, ms',
                      'stock, GFLOP/s (of the peak)', 'ours, GFLOP/s (of the peak)'], lines)
    bounds = limits(rows, ours, peak.gflops)
    note = NOTE.format(peak=peak.gflops, side=peak.side, precision=precision)
    return f'{found}\n\n{note}\n\n' + LIMIT_NOTE.format(
        objects=' / '.join(f'{count}' for count in bounds) + ' object(s)',
        work=' / '.join(f'{gflop:.1f}' for gflop in ours.values()),
        least=' / '.join(f'{least:.0f}' for _, least in bounds.values()),
        stock=' / '.join(f'{taken:.0f}' for taken, _ in bounds.values()),
        gains=' / '.join(f'{taken / least:.2f}x' for taken, least in bounds.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures."""
    parser = parser_for(__doc__)
    parser.add_argument('--model', default='nano')
    parser.add_argument('--image-size', type=int, default=0, help="0: the model's own")
    parser.add_argument('--precision', choices=sorted(_DTYPES), default='float32')
    parser.add_argument('--random-weights', action='store_true')
    parser.add_argument('--warm-up', type=positive_int, default=8)
    parser.add_argument('--frames', type=positive_int, default=10, help='frames that count')
    parser.add_argument('--peak-side', type=positive_int,
                        help='of the matrix; 2048 on a CPU, else 8192')
    options = parser.parse_args(arguments)
    machine = prepare(options)
    setting = ways.Setting(ModelConfig(options.model, device=options.device,
                                       image_size=options.image_size),
                           options.random_weights, options.precision)
    side = options.peak_side or (8192 if setting.is_cuda else 2048)
    peak = Peak(options.device, options.precision, side)
    total = options.warm_up + options.frames
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder, 'clip'), max(SHORTEST_CLIP, total))
        clocks = run(setting, clip, total, peak)
    work = count_work(options.model, options.image_size)
    rows = to_rows(clocks, work, peak.gflops, options.warm_up)
    ours = work_of_ours(setting)
    bounds = limits(rows, ours, peak.gflops)
    return save(Result(
        f'stages_{setting.key}', 'stages', f'Stages: {setting.title}', machine,
        tuple(asdict(row) for row in rows), table(rows, work, ours, peak, options.precision),
        {f'limit, {count}': taken / least for count, (taken, least) in bounds.items()}),
        options.results)


if __name__ == '__main__':
    raise SystemExit(main())

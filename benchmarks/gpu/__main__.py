# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Judge this engine on a GPU within four minutes: exactness, speed, stages, prompts, memory.

    python -m benchmarks.gpu                          # on a GPU
    python -m benchmarks.gpu --device cpu             # a rehearsal at small sizes
    python -m benchmarks.gpu --only exactness speed
    python -m benchmarks.gpu --only vos_optimized --minutes 8

Each figure is printed and written to gpu.jsonl when it is known; a part that fails or runs late
does not lose the rest. On a machine without this project's environment: `benchmarks.gpu.carry`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
import sys
import tempfile

from benchmarks.gpu import parts, speed
from benchmarks.gpu.notes import Notes, Plan, plan_for
from benchmarks.machine import conditions, flush_denormals, ROOT
from sam2_tracker.core.command_line import positive_float, positive_int
import torch

Part = Callable[[Plan, Notes, Path], None]


def _without_folder(part: Callable[[Plan, Notes], None]) -> Part:
    def run(plan: Plan, notes: Notes, _: Path) -> None:
        part(plan, notes)
    return run


PARTS: dict[str, Part] = {
    'exactness': parts.measure_exactness,
    'resize': _without_folder(parts.measure_resize),
    'stages': parts.measure_stages,
    'prompts': parts.measure_prompts,
    'memory': parts.measure_memory,
    'attention': _without_folder(parts.measure_attention),
    'speed': speed.measure_speed,
    'vos_optimized': speed.measure_vos_optimized,
}
# It takes minutes to compile: a run of its own.
_ALONE = ('vos_optimized',)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 if a part failed or nothing was measured."""
    options = _options(arguments)
    plan = plan_for(options.device)
    if options.exact_frames:
        # Whole pictures, as on a GPU: a real clip means nothing at the size of a rehearsal.
        plan = replace(plan, exact_frames=options.exact_frames, image_size=0)
    notes = Notes(options.out / 'gpu.jsonl', 60 * options.minutes)
    if plan.device == 'cpu':
        torch.set_num_threads(1)
        flush_denormals()
    notes.add('conditions', **vars(conditions(plan.device)))
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            notes.run(name, partial(PARTS[name], plan, notes, Path(folder)))
    notes.add('end', seconds=round(notes.passed_s, 1))
    notes.close()
    return int(len(notes.rows) < 3 or any('failed' in row for row in notes.rows))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    lines = (__doc__ or '').strip().splitlines()
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.gpu', description=lines[0], epilog='\n'.join(lines[1:]),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cuda', help='cuda, cuda:N or cpu (%(default)s)')
    parser.add_argument('--minutes', type=positive_float, default=4.0,
                        help='for all of it (%(default)s)')
    parser.add_argument('--only', nargs='+', choices=tuple(PARTS), metavar='PART',
                        default=[name for name in PARTS if name not in _ALONE],
                        help=f'some of: {", ".join(PARTS)}')
    parser.add_argument('--exact-frames', type=positive_int, metavar='N',
                        help="of the real clip, at the model's own size")
    parser.add_argument('--out', type=Path, default=ROOT / 'benchmarks' / 'results',
                        help='folder of gpu.jsonl (%(default)s)')
    options = parser.parse_args(arguments)
    if options.device != 'cpu' and not torch.cuda.is_available():
        parser.error(f'device {options.device}: torch {torch.__version__} finds no GPU here; '
                     '--device cpu rehearses')
    return options


if __name__ == '__main__':
    sys.exit(main())

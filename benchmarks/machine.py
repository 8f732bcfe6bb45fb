# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Where and with what a table was measured, and the options that every table has."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
import datetime
import importlib.metadata
import os
from pathlib import Path
import platform
import subprocess
from typing import Any

import numpy as np
from sam2_tracker.core.command_line import positive_int, refusing
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.plain_file import is_folder, is_there
from sam2_tracker.models.checkpoints import find_checkpoint
from sam2_tracker.models.device import resolve_device
from sam2_tracker.models.loader import check_image_size
from sam2_tracker.models.zoo import model_spec
import torch

ROOT = Path(__file__).resolve().parents[1]
CARRIED_COMMIT = ROOT / 'carried_commit'


@dataclass(frozen=True)
class Conditions:
    """
    What has to be said with every figure.

    :param load_before: processes that ran or wanted to run, the mean of the minute before
    :param commit: of this repository; with a + if files were changed since
    """

    date: str
    machine: str
    cores: int
    threads: int
    load_before: float
    device: str
    versions: str
    commit: str

    @property
    def sentence(self) -> str:
        """Return all of it in one line."""
        return (f'{self.date}, {self.machine}, {self.cores} cores, {self.threads} torch '
                f'thread(s), load before {self.load_before:.1f}, device {self.device}, '
                f'{self.versions}, commit {self.commit}.')


def conditions(device: str = 'cpu') -> Conditions:
    """Describe this process's machine, as it is now."""
    versions = ', '.join(f'{name} {importlib.metadata.version(name)}'
                         for name in ('torch', 'sam2', 'numpy'))
    return Conditions(
        date=datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        machine=_processor(), cores=core_count(), threads=torch.get_num_threads(),
        load_before=os.getloadavg()[0], device=_device_name(device),
        versions=f'Python {platform.python_version()}, {versions}', commit=_commit())


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _processor() -> str:
    fields = [line.partition(':') for line in Path('/proc/cpuinfo').read_text().splitlines()]
    known = {name.strip(): value.strip() for name, _, value in fields}
    name = known.get('model name', platform.machine())
    # Virtual machines hide the name, not what tells the generation.
    return f"{name} (family {known.get('cpu family', '?')}, model {known.get('model', '?')})"


def _device_name(device: str) -> str:
    if torch.device(device).type == 'cuda':
        return f'{device} ({torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda})'
    return device


def _commit() -> str:
    if CARRIED_COMMIT.is_file():        # benchmarks.gpu.carry left it; there is no history here
        return CARRIED_COMMIT.read_text().strip()
    try:
        commit = _git('rev-parse', '--short', 'HEAD')
        changed = _git('status', '--porcelain', '--untracked-files=no')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    changes = [line for line in changed.splitlines() if 'benchmarks/results' not in line]
    return commit + ('+' if changes else '')


def _git(*arguments: str) -> str:
    done = subprocess.run(['git', *arguments], cwd=ROOT, capture_output=True, text=True,
                          check=True, timeout=30)
    return done.stdout.rstrip()


class _TableParser(argparse.ArgumentParser):
    """Refuses what would be found out after minutes, or end in a traceback."""

    def parse_args(self, *given: Any, **named: Any) -> Any:
        """Read the command line."""
        options = super().parse_args(*given, **named)
        with refusing(self.prog):
            device = resolve_device(options.device)
            if options.device == 'auto':
                options.device = str(device)
            if hasattr(options, 'model') or hasattr(options, 'image_size'):
                _refuse_model(options)
        return options


def _refuse_model(options: argparse.Namespace) -> None:
    model = ModelConfig(getattr(options, 'model', 'nano'), getattr(options, 'checkpoint', None),
                        image_size=getattr(options, 'image_size', 0))
    check_image_size(model.image_size)
    model_spec(model.name)
    if not getattr(options, 'random_weights', False):
        find_checkpoint(model)


def parser_for(doc: str | None) -> argparse.ArgumentParser:
    """
    Return a parser with what every table takes: device, threads, where results go.

    With these it also refuses a model or a size of its input, where a table has such options.
    """
    parser = _with_results(_TableParser, doc)
    parser.add_argument('--device', default='cpu', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--threads', type=_threads, default=core_count(),
                        help='threads of torch on the CPU; default: all cores')
    return parser


def parser_of_results(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser for what measures nothing, but reads results: with their folder alone."""
    return _with_results(argparse.ArgumentParser, doc)


def _with_results(kind: type[argparse.ArgumentParser],
                  doc: str | None) -> argparse.ArgumentParser:
    lines = (doc or '').strip().splitlines()
    parser = kind(description=lines[0] if lines else '', epilog='\n'.join(lines[1:]),
                  formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--results', type=_folder, default=ROOT / 'benchmarks' / 'results',
                        help='folder of the JSON')
    return parser


def _threads(text: str) -> int:
    count = positive_int(text)
    if count > core_count():
        raise argparse.ArgumentTypeError(
            f'{text} is more than the {core_count()} core(s) that there are')
    return count


def _folder(text: str) -> Path:
    """Take a folder that is there, or can be made."""
    folder = Path(text)
    there = next(path for path in (folder, *folder.absolute().parents) if is_there(path))
    if not is_folder(there):
        raise argparse.ArgumentTypeError(f'{there} is a file: a folder is expected')
    return folder


def prepare(options: argparse.Namespace) -> Conditions:
    """Set torch up as the options say, and describe the machine before it is busy."""
    torch.set_num_threads(options.threads)
    if getattr(options, 'random_weights', False):
        flush_denormals()
    return conditions(options.device)


def flush_denormals() -> None:
    """Take numbers too small for a CPU's fast arithmetic for 0; random weights make such."""
    for kind in (np.float32, np.float64):
        # numpy looks once how small they can be, and warns if that is 0.
        np.finfo(kind)
    torch.set_flush_denormal(True)


def synchronise(device: str | torch.device) -> None:
    """Wait until a CUDA device has done all that it was told to; a CPU always has."""
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Another program as one more column: any project's SAM 2, in its own environment.

    python -m benchmarks.objects --external 'theirs=/path/to/their/python their_script.py'

The command is run once for each number of objects, with a folder as its last argument. There it
finds `frames/00000.jpg` and so on, and `job.json`:

    {"frames": "frames", "masks": "masks", "height": 480, "width": 640, "warm_up": 17,
     "model": "nano", "image_size": 448, "precision": "float32", "device": "cpu", "threads": 2,
     "prompts": [{"object": 1, "frame": 0, "box": [213.3, 160.0, 341.3, 280.0]}]}

It tracks all objects through all frames and writes each mask as an 8-bit PNG of the frames' size,
0 or 255, to `masks/<frame, five digits>_<object>.png`. The last line that it prints is JSON:

    {"frame_seconds": [0.21, 0.05, 0.05], "begins_with": "rgb"}

with the seconds of every frame, synchronised, until its masks are on the host, and with what the
time begins: "tensor", "rgb" or "jpeg". Loading the model does not count; the first `warm_up`
frames are left out here. `benchmarks/external_example.py` is such a program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path
import shlex
import subprocess

from benchmarks.clips import Clip
from benchmarks.racing import Lap
from benchmarks.sequences import Mask
import numpy as np
from PIL import Image
from sam2_tracker.core.types import Prompt

BEGINS_WITH = ('tensor', 'rgb', 'jpeg')
_TIMEOUT_S = 3600.0


class ExternalError(Exception):
    """An external command broke the protocol; says what it did and what it should do."""


@dataclass(frozen=True)
class ExternalCommand:
    """A command and what its column is called."""

    name: str
    command: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> ExternalCommand:
        """Read `name=command`, or a command alone."""
        name, found, command = text.partition('=')
        if not found or ' ' in name:
            name, command = 'external', text
        return cls(name, tuple(shlex.split(command)))


@dataclass(frozen=True)
class JobSettings:
    """What an external command is told besides frames and prompts."""

    warm_up: int
    model: str
    image_size: int
    precision: str
    device: str
    threads: int


def run_external(external: ExternalCommand, clip: Clip, prompts: Sequence[Prompt], folder: Path,
                 settings: JobSettings) -> Lap:
    """
    Run a command over a clip.

    :param folder: an empty one for the job
    :raises ExternalError: it failed or its answer is not as agreed
    """
    write_job(clip, prompts, folder, settings)
    try:
        done = subprocess.run([*external.command, str(folder)], capture_output=True, text=True,
                              timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExternalError(f'{external.name} could not be run: {error}') from error
    if done.returncode:
        raise ExternalError(f'{external.name} ended with code {done.returncode}: '
                            f'{done.stderr.strip()[-500:]}')
    seconds, begins_with = _read_answer(external.name, done.stdout, len(clip.pictures))
    lap = Lap(external.name, begins_with, seconds[settings.warm_up:])
    for frame in range(len(clip.pictures)):
        lap.keep([_read_mask(external.name, folder / 'masks' / f'{frame:05d}_{number}.png',
                             clip.hw) for number in range(1, len(prompts) + 1)])
    return lap


def write_job(clip: Clip, prompts: Sequence[Prompt], folder: Path,
              settings: JobSettings) -> None:
    """Write what the command is given."""
    (folder / 'masks').mkdir(parents=True)
    (folder / 'frames').symlink_to(clip.folder.resolve(), target_is_directory=True)
    height, width = clip.hw
    told = [{'object': number, 'frame': 0, 'box': np.asarray(prompt.box_xyxy, float).tolist()}
            for number, prompt in enumerate(prompts, 1)]
    job = {'frames': 'frames', 'masks': 'masks', 'height': height, 'width': width,
           **asdict(settings), 'prompts': told}
    (folder / 'job.json').write_text(json.dumps(job, indent=1))


def _read_answer(name: str, printed: str, frames: int) -> tuple[list[float], str]:
    lines = printed.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        seconds = [float(value) for value in answer['frame_seconds']]
        begins_with = answer['begins_with']
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ExternalError(
            f'the last line that {name} printed is not the JSON that is wanted, '
            f'{{"frame_seconds": [...], "begins_with": "rgb"}}: {lines[-1:]}') from error
    if len(seconds) != frames:
        raise ExternalError(f'{name} gave {len(seconds)} times for {frames} frames')
    if begins_with not in BEGINS_WITH:
        raise ExternalError(f'{name} begins with {begins_with!r}, which is none of '
                            f'{", ".join(BEGINS_WITH)}')
    return seconds, begins_with


def _read_mask(name: str, path: Path, hw: tuple[int, int]) -> Mask:
    if not path.is_file():
        raise ExternalError(f'{name} wrote no mask {path.name}')
    mask = np.asarray(Image.open(path).convert('L')) > 127
    if mask.shape != hw:
        raise ExternalError(f'{name} wrote {path.name} with {mask.shape} rows and columns, '
                            f'wanted are {hw}')
    return mask

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The offline command against the engine alone: frames a second, and the memory it takes.

    python -m benchmarks.offline [--frames 200 2000] [--model nano] [--threads 1]

Both track one object through the same JPEGs, 640x480, in processes of their own; the command reads
them from a bag and writes a bag, masks, COCO JSON and a video meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
import io
import os
from pathlib import Path
import re
import statistics
import subprocess
import sys
import tempfile

from benchmarks.machine import core_count, parser_for, prepare, ROOT
from benchmarks.results import markdown, Result, save
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores
from sam2_tracker.core.command_line import positive_int

HW = (480, 640)
BOX = (200, 150, 400, 350)
ENGINE_FRAMES = 120
# Until then the memory is not full: 6 maps and 15 pointers.
WARM_UP = 20
GOAL = 0.9
LONG = 500
MIB = 1024.0


@dataclass(frozen=True)
class Row:
    """
    A recording's length, and medians over some runs of the command.

    :param engine_fps: the engine alone, right before and after each run
    :param share: of the engine's own frames a second
    """

    frames: int
    fps: float
    engine_fps: float
    share: float
    peak_mib: float


@dataclass(frozen=True)
class Figures:
    """What was measured, and with what."""

    model: str
    threads: int
    rows: tuple[Row, ...]


def pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield a textured square that wanders over a drifting texture."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 160, (60, 240, 3)).astype(np.uint8)
    scene = np.asarray(Image.fromarray(coarse).resize((1920, 480)))
    patch = np.asarray(Image.fromarray(coarse[:25, :25]).resize((200, 200)))[..., ::-1] + 80
    for index in range(count):
        left = int(640 + 600 * np.sin(index / 150))
        picture = scene[:, left:left + 640].copy()
        x, y = int(200 + 150 * np.sin(index / 40)), int(150 + 100 * np.sin(index / 55))
        picture[y:y + 200, x:x + 200] = patch
        yield picture


def jpegs(count: int) -> Iterator[bytes]:
    """Yield the pictures as a camera driver sends them."""
    for picture in pictures(count):
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, 'JPEG', quality=90)
        yield stream.getvalue()


def write_bag(path: Path, count: int) -> None:
    """Record the pictures."""
    types = get_typestore(Stores.ROS2_JAZZY)
    image = types.types['sensor_msgs/msg/CompressedImage']
    header, time = types.types['std_msgs/msg/Header'], types.types['builtin_interfaces/msg/Time']
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection('/camera/compressed', image.__msgtype__, typestore=types)
        for index, payload in enumerate(jpegs(count)):
            stamp_ns = 1_700_000_000_000_000_000 + index * 33_333_333
            stamp = time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
            message = image(header=header(stamp=stamp, frame_id='camera'), format='jpeg',
                            data=np.frombuffer(payload, np.uint8))
            writer.write(topic, stamp_ns, types.serialize_cdr(message, image.__msgtype__))


def run_command(bag: Path, out: Path, model: str, threads: int) -> tuple[float, float]:
    """Run the command and return its frames a second and its peak memory in MiB."""
    arguments = [str(bag), '--box', ','.join(map(str, BOX)), '--output', str(out / 'bag'),
                 '--masks', str(out / 'masks'), '--coco', str(out / 'coco.json'),
                 '--video', str(out / 'video.mp4'), '--model', model, '--threads', str(threads)]
    process = subprocess.Popen([sys.executable, '-m', 'sam2_tracker.offline', *arguments],
                               cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(r'frames in .* s \(([0-9.]+) a second\)', said)
    if process.returncode or found is None:
        raise RuntimeError(f'the command ended with code {process.returncode}: {said}')
    return float(found[1]), usage.ru_maxrss / MIB


def engine_fps(model: str, threads: int) -> float:
    """Return the engine's own frames a second: the pictures are decoded beforehand."""
    from benchmarks.tracking import run_engine
    from sam2_tracker.core.config import ModelConfig
    from sam2_tracker.core.types import Prompt
    from sam2_tracker.models.device import use_threads
    from sam2_tracker.models.loader import build_tracking_predictor

    use_threads(threads)
    predictor = build_tracking_predictor(ModelConfig(name=model))
    decoded = [np.asarray(Image.open(io.BytesIO(payload))) for payload in jpegs(ENGINE_FRAMES)]
    run = run_engine(predictor, decoded, [Prompt(box_xyxy=np.array(BOX, np.float32))])
    seconds = run.seconds[WARM_UP:]
    return len(seconds) / sum(seconds)


def engine_fps_alone(model: str, threads: int) -> float:
    """Measure the engine in a process of its own."""
    command = [sys.executable, '-m', 'benchmarks.offline', '--engine-only', '--model', model,
               '--threads', str(threads)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure_row(frames: int, model: str, threads: int, repeats: int) -> Row:
    """
    Run engine and command in turns, as other work on the machine may come and go.

    :param repeats: runs of the command
    """
    alone = [engine_fps_alone(model, threads)]
    runs, shares = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            write_bag(Path(folder) / 'in', frames)
            runs.append(run_command(Path(folder) / 'in', Path(folder), model, threads))
        alone.append(engine_fps_alone(model, threads))
        shares.append(runs[-1][0] / statistics.mean(alone[-2:]))
    return Row(frames, statistics.median(fps for fps, _ in runs), statistics.median(alone),
               statistics.median(shares), max(peak_mib for _, peak_mib in runs))


def measure(frame_counts: Sequence[int], model: str, threads: int, repeats: int) -> Figures:
    """Measure recordings of these lengths; long ones once, which is repetition enough."""
    return Figures(model, threads, tuple(
        measure_row(count, model, threads, repeats if count <= LONG else 1)
        for count in frame_counts))


def table(figures: Figures) -> str:
    """Return the figures as Markdown."""
    lines = [[str(row.frames), f'{row.fps:.2f}', f'{row.engine_fps:.2f}', f'{row.share:.0%}',
              f'{row.peak_mib:.0f}'] for row in figures.rows]
    headers = ['frames', 'frames a second', 'the engine alone', 'share', 'peak memory, MiB']
    return f'{markdown(headers, lines)}\n\nGoal: {GOAL:.0%} of the engine or more.'


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures."""
    parser = parser_for(__doc__)
    parser.set_defaults(threads=max(1, core_count() - 1))
    parser.add_argument('--frames', type=positive_int, nargs='+', default=[200, 2000])
    parser.add_argument('--model', default='nano')
    parser.add_argument('--repeats', type=positive_int, default=3)
    parser.add_argument('--engine-only', action='store_true')
    options = parser.parse_args(arguments)
    if options.engine_only:
        print(engine_fps(options.model, options.threads))
        return 0
    machine = prepare(options)
    figures = measure(options.frames, options.model, options.threads, options.repeats)
    title = (f'Offline command: {figures.model}, {figures.threads} thread(s), one object, '
             '640x480')
    return save(Result('offline', 'offline', title, machine,
                       tuple(asdict(row) for row in figures.rows), table(figures),
                       {'share': min(row.share for row in figures.rows)}), options.results)


if __name__ == '__main__':
    raise SystemExit(main())

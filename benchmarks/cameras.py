# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Three cameras on one model in `trackers`, against three processes of `tracker`.

    python -m benchmarks.cameras [--seconds 30] [--device cuda]

Raw 640x480 pictures, label images subscribed to, cameras faster than the model: each way with one
object a camera, and again with six objects on the first camera and one on each of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
import os
from pathlib import Path
import re
import statistics
import sys
import tempfile
import threading
import time
from typing import Any

from benchmarks.clips import boxes, scene
from benchmarks.machine import parser_for, prepare
from benchmarks.results import markdown, Result, save
from sam2_tracker.core.command_line import positive_float
from tools.transport import profile_variables

NAMES = ('front', 'left', 'rear')
ONE_EACH = (1, 1, 1)
MANY_ON_ONE = (6, 1, 1)
_CAMERA_HZ = 15.0
_SETTLING_S = 5.0
_SEVERAL = 'from sam2_tracker.ros.node.tracker_main import main_cameras as main; raise SystemExit('
_ONE = 'from sam2_tracker.ros.node.tracker_main import main; raise SystemExit('
NOTE = (
    'Cameras at {camera:g} Hz each, frame_policy latest, {seconds:.0f} s after {settling:g} s. '
    '"resident": the sum of what each process has in memory, pages of libraries that several '
    'have counted in each; "own": such pages divided among those that have them. "longest gap": '
    'the longest time between two label images of a camera. "share": what each camera had of the '
    "model's time, as `/trackers` says on `/diagnostics`.")


@dataclass(frozen=True)
class Row:
    """
    One way with so many objects on each camera.

    :param resident_mib: the sum of the processes' RSS
    :param own_mib: the sum of their PSS
    :param fps: label images a second, of each camera
    :param longest_gap_ms: between two label images, of each camera
    :param share_percent: of the model's time, of each camera; empty where each has its own model
    """

    way: str
    objects: tuple[int, ...]
    processes: int
    resident_mib: float
    own_mib: float
    fps: tuple[float, ...]
    longest_gap_ms: tuple[float, ...]
    share_percent: tuple[float, ...]


def commands(several: bool, parameters: dict[str, Any]) -> list[list[str]]:
    """Return the programs of a way, one for all cameras or one for each."""
    given = [f'{name}:={value}' for name, value in parameters.items()]
    if several:
        given.append(f'cameras:=[{", ".join(NAMES)}]')
    flags = [flag for each in given for flag in ('-p', each)]
    run = [sys.executable, '-c', f'{_SEVERAL if several else _ONE}main())', '--ros-args', *flags]
    return [run] if several else [[*run, '-r', f'__ns:=/{name}'] for name in NAMES]


def memory_mib(pid: int) -> tuple[float, float]:
    """Return a process's resident and own memory (RSS and PSS)."""
    found = dict(re.findall(r'^(Rss|Pss):\s+(\d+) kB', Path(f'/proc/{pid}/smaps_rollup')
                            .read_text(), re.MULTILINE))
    return int(found['Rss']) / 1024, int(found['Pss']) / 1024


def gaps_s(came_s: Sequence[float], from_s: float, until_s: float) -> float:
    """Return the longest time without one, within a window."""
    within = [from_s, *sorted(each for each in came_s if from_s <= each <= until_s), until_s]
    return max(later - earlier for earlier, later in pairwise(within))


def publish_until(clients: Sequence[Any], until_s: float) -> None:
    """Let all cameras publish at their rate, each from a thread of its own."""
    def publish(client: Any) -> None:
        begun_s, count = time.perf_counter(), 0
        while (now_s := time.perf_counter()) < until_s:
            client.publish()
            count += 1
            time.sleep(max(0.0, begun_s + count / _CAMERA_HZ - now_s))

    threads = [threading.Thread(target=publish, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(several: bool, objects: Sequence[int], options: Any) -> Row:
    """Run one way with so many objects on each camera."""
    from benchmarks.node_client import Client, NodeProcess

    parameters = {'model': options.model, 'device': options.device,
                  'image_size': options.image_size}
    pictures = scene(40)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clients = [stack.enter_context(Client(options.domain_id, pictures, f'/{name}'))
                   for name in NAMES]
        processes = [
            stack.enter_context(NodeProcess(
                command, folder / f'{number}.log', options.threads, options.domain_id))
            for number, command in enumerate(commands(several, parameters))]
        for number, (client, count) in enumerate(zip(clients, objects, strict=True)):
            for prompt in boxes(count):
                assert prompt.box_xyxy is not None
                client.prompt_when_ready(processes[number % len(processes)],
                                         prompt.box_xyxy.tolist())
        from_s = time.perf_counter() + _SETTLING_S
        until_s = from_s + options.seconds
        publish_until(clients, until_s)
        memory = [memory_mib(process.pid) for process in processes]
        figures = clients[0].model_figures[-int(options.seconds):] if several else []
    came = [list(client.received_s.values()) for client in clients]
    return Row(
        'trackers' if several else 'tracker, three processes', tuple(objects), len(memory),
        sum(resident for resident, _ in memory), sum(own for _, own in memory),
        tuple(sum(from_s <= each <= until_s for each in times) / options.seconds
              for times in came),
        tuple(1000 * gaps_s(times, from_s, until_s) for times in came),
        shares_of(figures))


def shares_of(figures: Sequence[dict[str, str]]) -> tuple[float, ...]:
    """Return each camera's mean share of the model's time, of messages on /diagnostics."""
    keys = [f'{name} share %' for name in NAMES]
    told = [each for each in figures if all(key in each for key in keys)]
    return tuple(statistics.fmean(float(each[key]) for each in told) for key in keys if told)


def table(rows: Sequence[Row], seconds: float) -> str:
    """Return the figures as Markdown."""
    def each(values: Sequence[float], digits: int = 0) -> str:
        return ' / '.join(f'{value:.{digits}f}' for value in values)

    found = markdown(
        ['way', 'objects on each camera', 'processes', 'resident, MiB', 'own, MiB',
         'frames a second of each camera', 'together', 'longest gap, ms', 'share, %'],
        [[row.way, each(row.objects), str(row.processes), f'{row.resident_mib:.0f}',
          f'{row.own_mib:.0f}', each(row.fps, 1), f'{sum(row.fps):.1f}',
          each(row.longest_gap_ms), each(row.share_percent)] for row in rows])
    note = NOTE.format(camera=_CAMERA_HZ, seconds=seconds, settling=_SETTLING_S)
    return f'{found}\n\n{note}'


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures."""
    parser = parser_for(__doc__)
    parser.add_argument('--model', default='nano')
    parser.add_argument('--image-size', type=int, default=0, help="0: the model's own")
    parser.add_argument('--seconds', type=positive_float, default=30.0)
    parser.add_argument('--domain-id', type=int, default=96)
    options = parser.parse_args(arguments)
    for name, value in profile_variables().items():
        os.environ.setdefault(name, value)
    machine = prepare(options)
    rows = [measure(several, objects, options)
            for objects in (ONE_EACH, MANY_ON_ONE) for several in (True, False)]
    device = options.device.partition(':')[0]
    return save(Result(
        f'cameras_{device}', 'cameras', f'Three cameras: 640x480, {options.model}, {device}',
        machine, tuple(asdict(row) for row in rows), table(rows, options.seconds)),
        options.results)


if __name__ == '__main__':
    raise SystemExit(main())

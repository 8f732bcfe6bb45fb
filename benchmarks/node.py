# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The real node: what it adds to the engine's time, and `nano`'s frames a second in it.

    python -m benchmarks.node [--frames 150] [--seconds 60] [--device cuda]

Camera, operator and subscriber are one process, the node is another, on the same machine; raw
640x480 pictures, one object, the label image subscribed to. The stream is measured again beside
another process that computes all the time, as on a robot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
import os
from pathlib import Path
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.clips import boxes, scene
from benchmarks.machine import parser_for, prepare, ROOT
from benchmarks.results import markdown, Result, save
from benchmarks.spread import Spread, spread
import numpy as np
from sam2_tracker.core.command_line import positive_float, positive_int
from tools.transport import profile_variables

_PATIENCE_S = 5.0
_PAUSE_S = 0.02
_CAMERA_HZ = 30.0
# Diagnostics come once a second.
_DIAGNOSTICS_S = 1.2
_TRANSPORT = ('FASTDDS_BUILTIN_TRANSPORTS', 'ROS_AUTOMATIC_DISCOVERY_RANGE')
_PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
_SETTLING_S = 5.0
_WINDOW_S = 5.0
OVERHEAD_NOTE = (
    "From `publish` of an image to its label image in the subscriber's callback, one picture at a"
    " time, the engine's own time (encode, track, summarise, measured in the node for that very "
    'frame) taken out. It contains both ways through DDS, conversion, the worker and publishing; '
    'the JPEG is made and stored meanwhile. "still": a model that takes no time, so this is the '
    'node on an otherwise idle machine: the row that the target is about. "real": the same beside '
    '{model}, whose threads leave cold caches and no free core. {transport}.')
STREAM_NOTE = ('{model} in the running node, camera at {camera:g} Hz, frame_policy latest: '
               '**{fps}** over {seconds:.0f} s, median, lowest and highest of windows of '
               "{window:g} s; the camera's own process takes its share of the same cores. What "
               'the node says of it on `/diagnostics`, p50 / p95 in ms, of the last 300 frames: '
               '{stages}.')
BUSY_NOTE = 'The same beside another process that computes all the time: **{fps}**.'


@dataclass(frozen=True)
class Overhead:
    """
    One engine; milliseconds.

    :param publish_p50_ms: how long the camera's call to `publish` takes
    :param node_p50_ms: from the node's callback to its having published, as it reports it
    :param unanswered: pictures whose label image did not come in time
    """

    engine: str
    frames: int
    p50_ms: float
    p95_ms: float
    engine_p50_ms: float
    whole_p50_ms: float
    publish_p50_ms: float
    node_p50_ms: float
    unanswered: int


@dataclass(frozen=True)
class Running:
    """
    The node on a camera's stream.

    :param fps: label images a second: median, lowest and highest of all windows
    :param stages: latencies as it reports them
    :param is_beside_another: another process computed all the time
    """

    fps: float
    lowest_fps: float
    highest_fps: float
    seconds: float
    stages: dict[str, str]
    is_beside_another: bool = False

    @property
    def shown(self) -> str:
        """Return the rates as text."""
        return (f'{self.fps:.1f} label images a second ({self.lowest_fps:.1f} to '
                f'{self.highest_fps:.1f})')


def measure_overhead(client: Any, tracker: Any, engine: str, frames: int) -> Overhead:
    """Publish one picture after the other, each when the one before has been answered."""
    whole, taken, publishing, unanswered = [], [], [], 0
    for index in range(frames + frames // 5):
        before = len(tracker.engine_seconds())
        stamp_ns, begun_s, call_s = client.publish()
        came_s = client.wait_for(stamp_ns, _PATIENCE_S)
        found = tracker.engine_seconds()[before:]
        if index >= frames // 5:
            if came_s is None or len(found) != 1:
                unanswered += 1
            else:
                whole.append(1000 * (came_s - begun_s))
                taken.append(1000 * found[0])
                publishing.append(1000 * call_s)
        time.sleep(_PAUSE_S)
    own = spread([all_ms - engine_ms for all_ms, engine_ms in zip(whole, taken, strict=True)])
    time.sleep(_DIAGNOSTICS_S)
    return Overhead(engine, len(whole), own.p50, own.p95, statistics.median(taken),
                    statistics.median(whole), statistics.median(publishing),
                    float(client.diagnostics.get('latency p50 ms', 'nan')), unanswered)


def measure_stream(client: Any, seconds: float) -> Running:
    """Publish at a camera's rate and count what comes back."""
    begun_s = time.perf_counter()
    counted_from_s = begun_s + _SETTLING_S
    ended_s = counted_from_s + seconds
    index = 0
    while (now_s := time.perf_counter()) < ended_s:
        client.publish()
        index += 1
        time.sleep(max(0.0, begun_s + index / _CAMERA_HZ - now_s))
    rates = rates_of(list(client.received_s.values()), counted_from_s, ended_s)
    return Running(statistics.median(rates), min(rates), max(rates), seconds,
                   stages_of(client.diagnostics))


def rates_of(came_s: Sequence[float], from_s: float, until_s: float) -> list[float]:
    """Return how many came a second in each window: this machine's speed wanders."""
    count = max(1, int((until_s - from_s) / _WINDOW_S))
    edges = np.linspace(from_s, until_s, count + 1)
    found, _ = np.histogram(came_s, edges)
    return [float(rate) for rate in found / np.diff(edges)]


@contextmanager
def busy_process() -> Iterator[None]:
    """Let another process compute meanwhile."""
    busy = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def stages_of(diagnostics: dict[str, str]) -> dict[str, str]:
    """Return p50 and p95 of each stage from a diagnostics message."""
    names = [key.removesuffix(' p50 ms') for key in diagnostics if key.endswith(' p50 ms')]
    return {name: f'{diagnostics[f"{name} p50 ms"]} / {diagnostics[f"{name} p95 ms"]}'
            for name in names}


def measure(parameters: dict[str, Any], frames: int, seconds: float, domain_id: int,
            threads: int) -> tuple[list[Overhead], Running, Running]:
    """Measure both engines; the real one on a stream too, alone and beside a busy process."""
    from benchmarks.node_client import Client, TrackerProcess

    pictures = scene(40)
    box = boxes(1)[0].box_xyxy
    assert box is not None
    rows = []
    streams = []
    for engine in ('still', 'real'):
        with tempfile.TemporaryDirectory() as folder, \
                Client(domain_id, pictures) as client, \
                TrackerProcess(engine, Path(folder), parameters, threads, domain_id) as tracker:
            client.prompt_when_ready(tracker, box.tolist())
            time.sleep(1.0)
            rows.append(measure_overhead(client, tracker, engine, frames))
            if engine == 'real':
                streams.append(measure_stream(client, seconds))
                with busy_process():
                    streams.append(replace(measure_stream(client, seconds),
                                           is_beside_another=True))
    alone, beside_another = streams
    return rows, alone, beside_another


def table(rows: Sequence[Overhead], alone: Running, beside_another: Running, model: str) -> str:
    """Return the figures as Markdown."""
    found = markdown(
        ['engine', 'frames', 'node overhead, ms, p50 / p95', 'engine, ms, p50',
         'published to received, ms, p50', "camera's publish call, ms, p50",
         'received to published in the node, ms, p50', 'unanswered'],
        [[row.engine, str(row.frames), Spread(row.p50_ms, row.p95_ms).shown,
          f'{row.engine_p50_ms:.1f}', f'{row.whole_p50_ms:.1f}',
          f'{row.publish_p50_ms:.1f}', f'{row.node_p50_ms:.1f}', str(row.unanswered)]
         for row in rows])
    stages = ', '.join(f'{name.removeprefix("stage ")} {value}'
                       for name, value in alone.stages.items())
    transport = ', '.join([*(f'{name}={os.environ.get(name, "not set")}' for name in _TRANSPORT),
                           f'profile of Fast DDS: {_profile()}'])
    overhead = OVERHEAD_NOTE.format(model=model, transport=transport)
    stream = STREAM_NOTE.format(model=model, camera=_CAMERA_HZ, fps=alone.shown,
                                window=_WINDOW_S, seconds=alone.seconds,
                                stages=stages or 'nothing')
    busy = BUSY_NOTE.format(fps=beside_another.shown)
    return f'{found}\n\n{overhead}\n\n{stream}\n\n{busy}'


def _profile() -> str:
    named = [Path(os.environ[name]) for name in _PROFILES if os.environ.get(name)]
    own = [path.relative_to(ROOT) if path.is_relative_to(ROOT) else path for path in named]
    return ', '.join(map(str, own)) or 'none'


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures."""
    parser = parser_for(__doc__)
    parser.add_argument('--model', default='nano')
    parser.add_argument('--image-size', type=int, default=0, help="0: the model's own")
    parser.add_argument('--frames', type=positive_int, default=150)
    parser.add_argument('--seconds', type=positive_float, default=60.0)
    parser.add_argument('--domain-id', type=int, default=97)
    options = parser.parse_args(arguments)
    for name, value in profile_variables().items():
        os.environ.setdefault(name, value)
    machine = prepare(options)
    parameters = {'model': options.model, 'device': options.device,
                  'image_size': options.image_size}
    rows, alone, beside_another = measure(parameters, options.frames, options.seconds,
                                          options.domain_id, options.threads)
    device = options.device.partition(':')[0]
    return save(Result(
        f'node_{device}', 'node', f'Node: 640x480, {options.model}, {device}', machine,
        tuple(asdict(row) for row in (*rows, alone, beside_another)),
        table(rows, alone, beside_another, options.model),
        {'overhead p50': rows[0].p50_ms, 'overhead p95': rows[0].p95_ms,
         'overhead beside the engine p95': rows[1].p95_ms, 'fps': alone.fps,
         'fps beside another': beside_another.fps},
        {'overhead p95': f'with an engine that takes no time; beside {options.model} '
                         f'{rows[1].p95_ms:.1f} ms'}), options.results)


if __name__ == '__main__':
    raise SystemExit(main())

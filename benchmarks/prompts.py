# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Prompting a running stream: time to the mask, and the longest gap that it makes in the results.

    python -m benchmarks.prompts [--model nano] [--device cuda] [--rate 30]

A camera thread sends 640x480 pictures at a fixed rate to the worker (`latest`); one object is
tracked all the time. Then a second one is prompted, in turn with 1, 2, 5, 9 points, a box and a
mask, and removed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
import tempfile
import threading
import time

from benchmarks.clips import boxes, HW, scene
from benchmarks.machine import parser_for, prepare
from benchmarks.results import markdown, Result, save
from benchmarks.spread import spread
import numpy as np
from sam2_tracker.core.command_line import positive_float, positive_int
from sam2_tracker.core.config import BufferConfig, CoreConfig, FramePolicy, ModelConfig
from sam2_tracker.core.frames.buffer import FrameBuffer
from sam2_tracker.core.frames.stored_frame import RawImage
from sam2_tracker.core.types import FrameHeader, IdAllocator, Prompt, TrackedFrame
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.models.loader import build_tracking_predictor

KINDS = ('1 point', '2 points', '5 points', '9 points', 'box', 'mask')
_PATIENCE_S = 60.0
# Results from the request until so long after its answer belong to it.
_AFTER_S = 0.7
NOTE = (
    'Prompt to mask: from `add_prompts` to its answer, without ROS. Longest gap: between two '
    'results from the request until {after} s after its answer; without a prompt two results were '
    '{quiet} ms apart (p50 / p95). While a second object is there each frame takes longer. '
    'The row of {back} frames back: the prompt is for the processed frame {back} before the '
    'newest, and its object is replayed until it has caught up. Medians (longest gap: the '
    'longest) of {repeats}.')


@dataclass(frozen=True)
class Row:
    """
    One kind of prompt.

    :param frames_behind: live frames until the object had caught up, 0 on the newest frame
    """

    kind: str
    to_mask_ms: float
    to_mask_p95_ms: float
    longest_gap_ms: float
    frames_behind: float


@dataclass(frozen=True)
class Arrival:
    """When a result came, and which."""

    at_s: float
    result: TrackedFrame


class Stream:
    """A camera thread, a worker and what comes out of it."""

    def __init__(self, config: ModelConfig, folder: Path, rate_hz: float) -> None:
        predictor = build_tracking_predictor(config)
        predictor.warm_up()
        self.arrivals: list[Arrival] = []
        self._changed = threading.Condition()
        self._buffer = FrameBuffer(BufferConfig(folder), FramePolicy.LATEST)
        self._worker = Worker(predictor, self._buffer, CoreConfig(config), IdAllocator(),
                              self._on_result)
        self._pictures = scene(90)
        self._period_s = 1 / rate_hz
        self._stopping = threading.Event()
        self._camera = threading.Thread(target=self._send, daemon=True)
        self._worker.start()
        self._camera.start()

    def _send(self) -> None:
        begun, index = time.monotonic(), 0
        while not self._stopping.wait(max(0.0, begun + index * self._period_s
                                          - time.monotonic())):
            place = index % (2 * len(self._pictures) - 2)
            picture = self._pictures[min(place, 2 * len(self._pictures) - 2 - place)]
            stamp_ns = 10 ** 9 + round(index * self._period_s * 1e9)
            self._worker.append(RawImage(picture), FrameHeader(stamp_ns, 'camera'),
                                time.monotonic_ns())
            index += 1

    def _on_result(self, result: TrackedFrame) -> None:
        with self._changed:
            self.arrivals.append(Arrival(time.monotonic(), result))
            self._changed.notify_all()

    def wait_for_results(self, count: int) -> None:
        """
        Wait until so many more have come.

        :raises TimeoutError: if they do not
        """
        with self._changed:
            wanted = len(self.arrivals) + count
            if not self._changed.wait_for(lambda: len(self.arrivals) >= wanted, _PATIENCE_S):
                raise TimeoutError(f'{len(self.arrivals)} of {wanted} results came: '
                                   f'{self._worker.report().fault}')

    def prompt(self, prompt: Prompt, stamp_ns: int = 0) -> tuple[int, float, float]:
        """Prompt and return the object's id, when it was asked for, when the mask was there."""
        asked_s = time.monotonic()
        ticket = self._worker.add_prompts(
            PromptRequest((prompt,), stamp_ns, with_label_image=True))
        ticket.wait(_PATIENCE_S)
        answered_s = time.monotonic()
        return ticket.result().objects[0].id, asked_s, answered_s

    def remove(self, object_id: int) -> None:
        """Forget an object."""
        ticket = self._worker.remove_object(object_id)
        ticket.wait(_PATIENCE_S)
        ticket.result()

    def between(self, begun_s: float, ended_s: float) -> list[Arrival]:
        """Return the results of a time, and the one before."""
        with self._changed:
            before = [each for each in self.arrivals if each.at_s < begun_s][-1:]
            return before + [each for each in self.arrivals if begun_s <= each.at_s <= ended_s]

    def close(self) -> None:
        """Stop and remove the frames."""
        self._stopping.set()
        self._camera.join()
        self._worker.stop()
        self._buffer.close()


def make_prompt(kind: str) -> Prompt:
    """
    Make a prompt around the middle of the scene's square.

    :raises ValueError: on another kind than those of `KINDS`
    """
    box = boxes(1)[0].box_xyxy
    assert box is not None
    left, top, right, bottom = box
    if kind == 'box':
        return Prompt(box_xyxy=box)
    if kind == 'mask':
        mask = np.zeros(HW, bool)
        mask[round(top):round(bottom), round(left):round(right)] = True
        return Prompt(mask_hw=mask)
    number, _, word = kind.partition(' ')
    if not word.startswith('point'):
        raise ValueError(f'no prompt of kind {kind!r}: {", ".join(KINDS)}')
    rng = np.random.default_rng(1)
    points = rng.uniform((left, top), (right, bottom), (int(number), 2)).astype(np.float32)
    return Prompt(points_xy=points, point_labels=np.ones(int(number), np.int32))


def longest_gap_ms(times_s: Sequence[float]) -> float:
    """Return the longest time between neighbours, 0 with fewer than two."""
    return 1000 * float(np.diff(times_s).max()) if len(times_s) > 1 else 0.0


def measure_kind(stream: Stream, kind: str, back: int, repeats: int) -> Row:
    """Prompt several times, on the newest frame or some frames back."""
    taken, gaps, behind = [], [], []
    for _ in range(repeats):
        stream.wait_for_results(3)
        newest = len(stream.arrivals) - 1
        stamp_ns = stream.arrivals[newest - back].result.frame.stamp_ns if back else 0
        object_id, asked_s, answered_s = stream.prompt(make_prompt(kind), stamp_ns)
        taken.append(1000 * (answered_s - asked_s))
        time.sleep(_AFTER_S)
        if back:
            behind.append(_frames_behind(stream, object_id, newest))
        arrivals = stream.between(asked_s, answered_s + _AFTER_S)
        gaps.append(longest_gap_ms([each.at_s for each in arrivals]))
        stream.remove(object_id)
    times = spread(taken)
    shown = f'{kind}, {back} frames back' if back else kind
    return Row(shown, times.p50, times.p95, max(gaps),
               spread(behind).p50 if behind else 0.0)


def _frames_behind(stream: Stream, object_id: int, newest: int) -> int:
    """Wait until an object has caught up and return how many results that took."""
    looked = newest + 1
    while True:
        if looked >= len(stream.arrivals):
            stream.wait_for_results(1)
        shown = [each for each in stream.arrivals[looked].result.objects if each.id == object_id]
        if shown and not shown[0].catching_up:
            return looked - newest
        looked += 1


def measure(config: ModelConfig, rate_hz: float, back: int, repeats: int, quiet_frames: int
            ) -> tuple[list[Row], list[float]]:
    """Return a row for each kind, and the times between results without a prompt in ms."""
    with tempfile.TemporaryDirectory() as folder:
        stream = Stream(config, Path(folder), rate_hz)
        stream.wait_for_results(5)
        stream.prompt(boxes(2)[1])
        stream.wait_for_results(max(back, 20) + 5)
        begun = len(stream.arrivals)
        stream.wait_for_results(quiet_frames)
        quiet = 1000 * np.diff([each.at_s for each in stream.arrivals[begun:]])
        rows = [measure_kind(stream, kind, 0, repeats) for kind in KINDS]
        rows.append(measure_kind(stream, 'box', back, repeats))
        stream.close()
    return rows, list(quiet)


def table(rows: Sequence[Row]) -> str:
    """Return the figures as Markdown."""
    return markdown(
        ['prompt', 'prompt to mask, ms, p50 / p95', 'longest gap, ms', 'frames to catch up'],
        [[row.kind, f'{row.to_mask_ms:.1f} / {row.to_mask_p95_ms:.1f}',
          f'{row.longest_gap_ms:.1f}', f'{row.frames_behind:.0f}' if row.frames_behind else '']
         for row in rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and keep the figures."""
    parser = parser_for(__doc__)
    parser.add_argument('--model', default='nano')
    parser.add_argument('--image-size', type=int, default=0, help="0: the model's own")
    parser.add_argument('--rate', type=positive_float, default=30.0, help='of the camera, Hz')
    parser.add_argument('--back', type=positive_int, default=30,
                        help='frames of the look-back row')
    parser.add_argument('--repeats', type=positive_int, default=5)
    parser.add_argument('--quiet-frames', type=positive_int, default=60)
    options = parser.parse_args(arguments)
    machine = prepare(options)
    config = ModelConfig(options.model, device=options.device, image_size=options.image_size)
    rows, quiet = measure(config, options.rate, options.back, options.repeats,
                          options.quiet_frames)
    note = NOTE.format(after=_AFTER_S, quiet=spread(quiet).shown, back=options.back,
                       repeats=options.repeats)
    device = options.device.partition(':')[0]
    return save(Result(
        f'prompts_{options.model}_{device}', 'prompts',
        f'Prompts: {options.model}, camera at {options.rate:g} Hz, {device}', machine,
        tuple(asdict(row) for row in rows), f'{table(rows)}\n\n{note}',
        {f'prompt to mask, {row.kind}': row.to_mask_ms for row in rows}), options.results)


if __name__ == '__main__':
    raise SystemExit(main())

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the running node: real processes, a small model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from benchmarks import node
from benchmarks.results import load_all
from benchmarks.still_engine import StillPredictor
import numpy as np
import pytest
from ros_lock import _one_run_at_a_time  # noqa: F401
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Prompt, Wanted

DOMAIN_ID = 98


class Answering:
    """A client whose pictures are answered after a time, or not at all."""

    def __init__(self, whole_s: float, tracker: SimpleNamespace) -> None:
        self.diagnostics = {'latency p50 ms': '3.0'}
        self.count = 0
        self._whole_s = whole_s
        self._tracker = tracker

    def publish(self):
        self.count += 1
        return self.count, 100.0, 0.001

    def wait_for(self, stamp_ns: int, timeout_s: float):
        if stamp_ns == 8:
            return None
        self._tracker.times.append(0.030)
        return 100.0 + self._whole_s


def test_overhead_is_what_remains_without_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, '_PAUSE_S', 0.0)
    monkeypatch.setattr(node, '_DIAGNOSTICS_S', 0.0)
    tracker = SimpleNamespace(times=[])
    tracker.engine_seconds = lambda: list(tracker.times)
    row = node.measure_overhead(Answering(0.037, tracker), tracker, 'real', 10)
    assert (row.frames, row.unanswered) == (9, 1)
    assert (row.p50_ms, row.engine_p50_ms, row.whole_p50_ms) == pytest.approx((7, 30, 37))


def test_rates_are_those_of_each_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, '_WINDOW_S', 2.0)
    came_s = [9.9, 10.0, 10.5, 11.0, 11.5, 12.5, 13.5, 14.5]
    assert node.rates_of(came_s, 10.0, 14.0) == pytest.approx([2.0, 1.0])
    assert node.rates_of(came_s, 10.0, 11.0) == pytest.approx([3.0])


def test_stages_are_read_from_diagnostics() -> None:
    assert node.stages_of({'stage encode p50 ms': '1.0', 'stage encode p95 ms': '2.0',
                           'objects': '1'}) == {'stage encode': '1.0 / 2.0'}


def test_the_still_engine_shows_each_object() -> None:
    engine = StillPredictor()
    memory = engine.new_memory((48, 64))
    features = engine.encode(np.zeros((48, 64, 3), np.uint8))
    engine.prompt(memory, 0, features, Prompt(), False)
    outputs = engine.track([TrackStep(memory, 1, features)])
    shown = engine.summarise(outputs, [7], (48, 64), Wanted())
    assert memory.last_index == 1
    assert shown.objects[0].area_px == int(shown.masks[0].sum()) == int(
        (shown.label_image == 7).sum()) > 0


@pytest.mark.usefixtures('needs_ros')
def test_the_node_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, '_SETTLING_S', 0.5)
    arguments = ['--frames', '10', '--seconds', '6', '--image-size', '96', '--threads', '1',
                 '--domain-id', str(DOMAIN_ID), '--results', str(tmp_path)]
    assert node.main(arguments) == 0
    result, = load_all(tmp_path)
    still, real, running, beside_another = result.rows
    assert (still['engine'], real['engine']) == ('still', 'real')
    assert still['engine_p50_ms'] < 1 < real['engine_p50_ms']
    assert still['frames'] + still['unanswered'] == 10 and still['frames'] >= 5
    assert 0 < still['p50_ms'] <= result.figures['overhead p95']
    assert running['fps'] > 0.5
    assert running['lowest_fps'] <= running['fps'] <= running['highest_fps']
    assert 'stage encode' in running['stages']
    assert beside_another['is_beside_another'] and beside_another['fps'] > 0.2

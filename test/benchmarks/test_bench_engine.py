# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Stages, arithmetic, exactness, memory and prompts: parts, and each table end to end, small."""

from __future__ import annotations

from dataclasses import replace
import functools
import gc
import mmap
from pathlib import Path

from benchmarks import exactness, memory, prompts, stages
from benchmarks.flops import count_ours, count_work
from benchmarks.memory import Point, to_curve
from benchmarks.results import load_all, Result
import numpy as np
import pytest
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.models.loader import build_predictor
import torch


def only(folder: Path) -> Result:
    result, = load_all(folder)
    return result


@pytest.mark.parametrize(('size', 'encode', 'attention', 'memory_encoder'), [
    (1024, 291, 606, 12), (512, 63, 48, 3)])
def test_the_arithmetic_of_tiny_is_as_it_was_worked_out(
        size: int, encode: float, attention: float, memory_encoder: float) -> None:
    work = count_work('sam2.1_hiera_tiny', size)
    assert work.encode == pytest.approx(encode, rel=0.01)
    assert work.memory_attention == pytest.approx(attention, rel=0.01)
    assert work.memory_encoder == pytest.approx(memory_encoder, rel=0.05)
    assert work.frame(8) == pytest.approx(work.encode + 8 * work.per_object)


def test_a_stage_is_the_sum_of_its_calls_and_the_rest_is_the_rest(
        monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(stages.time, 'perf_counter', lambda: now_s[0])

    class Model:

        def work(self) -> None:
            now_s[0] += 0.01

    model, clock = Model(), stages.StageClock('cpu')
    clock.watch(model, 'work', 'encode')

    def session():
        while True:
            model.work()
            model.work()
            now_s[0] += 0.03
            yield []
    frames = session()
    for _ in range(3):
        clock.frame(frames)
    assert clock.median_ms('encode', 1) == pytest.approx(20)
    assert clock.median_ms(stages.REST, 1) == pytest.approx(30)


def test_the_largest_gain_is_stocks_time_over_that_of_the_arithmetic_at_the_peak() -> None:
    """100 GFLOP/s: tiny at 512 takes 1.15 s for one object by arithmetic alone."""
    work = count_work('sam2.1_hiera_tiny', 512)
    rows = [stages.Row('encode', work.encode, 1000, 900, None, None, None),
            stages.Row('memory attention', work.memory_attention, 800, 700, None, None, None)]
    limits = stages.limits(rows, {1: work.frame(1), 8: 400.0}, 100.0)
    assert limits[1] == pytest.approx((1800, 1150), rel=0.01)
    assert limits[8] == pytest.approx((1000 + 8 * 800, 4000), rel=0.01)


@pytest.mark.parametrize(('precision', 'objects', 'attention'), [
    ('float32', 1, 48.3), ('float32', 8, 8 * 34.7), ('bfloat16', 1, 36.1)])
def test_the_arithmetic_of_batches_is_as_it_was_worked_out(
        precision: str, objects: int, attention: float) -> None:
    work = count_work('sam2.1_hiera_tiny', 512)
    found = count_ours('sam2.1_hiera_tiny', 512, 'cpu', precision, objects)
    rest = work.encode + objects * (work.heads + work.memory_encoder)
    assert found - rest == pytest.approx(attention, rel=0.02)
    assert count_ours('sam2.1_hiera_tiny', 512, 'cuda', precision, 1) == pytest.approx(
        work.frame(1)), 'nothing is folded on a GPU'


def test_stages_of_a_batched_predictor_are_seen_too(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, 'Predictor', functools.partial(Predictor, batched=True))
    assert stages.main(['--image-size', '96', '--warm-up', '1', '--frames', '1', '--peak-side',
                        '128', '--threads', '1', '--results', str(tmp_path)]) == 0
    assert all(row['ours_ms'] > 0 for row in only(tmp_path).rows)


def test_stages_end_to_end(tmp_path: Path) -> None:
    arguments = ['--image-size', '96', '--warm-up', '2', '--frames', '2', '--peak-side', '128',
                 '--threads', '1', '--results', str(tmp_path)]
    assert stages.main(arguments) == 0
    result = only(tmp_path)
    assert [row['stage'] for row in result.rows] == [*stages.STAGES, stages.REST]
    assert all(row['ours_ms'] > 0 for row in result.rows)
    assert {row['stage'] for row in result.rows if row['stock_gflops']} == {
        'encode', 'memory attention', 'heads', 'memory encoder'}
    assert result.figures['limit, 1'] > 0
    assert '| whole frame |' in result.text


def test_exactness_end_to_end(tmp_path: Path) -> None:
    arguments = ['--objects', '3', '--frames', '8', '--image-size', '96', '--threads', '1',
                 '--results', str(tmp_path)]
    assert exactness.main(arguments) == 0
    result = only(tmp_path)
    assert [row['model'].split()[0] for row in result.rows] == ['nano', 'sam2.1_hiera_tiny']
    assert all(row['difference'] < 0.05 and row['logit'] > 0.1 for row in result.rows)
    assert result.figures['iou, 3'] > 0.99


def test_a_batch_that_computes_something_else_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_predictor(ModelConfig('nano', device='cpu', image_size=96), 4)
    looped, batched = (Predictor(model, batched=way) for way in (False, True))
    honest = batched.track

    def shifted(steps):
        return [replace(found, logits=found.logits + 0.25) for found in honest(steps)]
    monkeypatch.setattr(batched, 'track', shifted)
    worst = np.array(list(exactness.compare(looped, batched, 2, exactness.scene(4, (96, 96)))))
    assert worst[:, :2].min() > 0.2


def test_the_slope_is_that_after_the_warm_up() -> None:
    points = [Point(frame, 1000.0 + 50 * min(frame, 100) + 0.5 * frame, 0.0)
              for frame in range(0, 1000, 10)]
    assert to_curve('ours', points, 200).slope_kib == pytest.approx(0.5)
    assert to_curve('ours', points, 0).slope_kib > 2
    with pytest.raises(ValueError, match='two places'):
        to_curve('ours', points, 2000)


def test_memory_that_is_taken_is_seen() -> None:
    gc.collect()
    before = memory.now(0, 'cpu').process_kib
    with mmap.mmap(-1, 64 << 20) as held:  # from the system: malloc may have kept as much
        held.write(bytes([1]) * len(held))
        assert memory.now(0, 'cpu').process_kib - before > 50_000


def test_memory_end_to_end(tmp_path: Path) -> None:
    arguments = ['--frames', '60', '--warm-up', '30', '--stock-frames', '30', '--objects', '1',
                 '--image-size', '96', '--threads', '1', '--results', str(tmp_path)]
    assert memory.main(arguments) == 0
    result = only(tmp_path)
    ours, stock = result.rows
    assert len(ours['points']) == 60 and len(stock['points']) == 30
    assert stock['slope_kib'] > 20, 'stock keeps every picture and result'
    assert result.figures['slope'] == ours['slope_kib']
    assert 'stock on a stream | 30 |' in result.text


@pytest.mark.parametrize('kind', prompts.KINDS)
def test_every_kind_of_prompt_is_what_it_is_called(kind: str) -> None:
    made = prompts.make_prompt(kind)
    assert (made.box_xyxy is not None) == (kind == 'box')
    assert (made.mask_hw is not None) == (kind == 'mask')
    assert len(made.points_xy) == len(made.point_labels) == (
        int(kind.split()[0]) if 'point' in kind else 0)


def test_another_kind_of_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match='no prompt of kind'):
        prompts.make_prompt('3 wishes')


def test_the_longest_gap_is_between_neighbours() -> None:
    assert prompts.longest_gap_ms([1.0, 1.1, 1.4, 1.5]) == pytest.approx(300)
    assert prompts.longest_gap_ms([1.0]) == 0


def test_prompts_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, '_AFTER_S', 0.5)
    arguments = ['--image-size', '96', '--rate', '20', '--back', '6', '--repeats', '1',
                 '--quiet-frames', '5', '--threads', '1', '--results', str(tmp_path)]
    assert prompts.main(arguments) == 0
    rows = only(tmp_path).rows
    assert [row['kind'] for row in rows] == [*prompts.KINDS, 'box, 6 frames back']
    assert all(row['to_mask_ms'] > 0 and row['longest_gap_ms'] >= 0 for row in rows)
    assert max(row['longest_gap_ms'] for row in rows) > 0
    assert rows[-1]['frames_behind'] >= 1
    assert torch.get_num_threads() == 1

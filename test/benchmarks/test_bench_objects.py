# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Frames a second against objects: agreement, gains, other programs' columns."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
import sys

from benchmarks import objects, ways
from benchmarks.clips import boxes, Clip, lowest_overlap, overlap, write_clip
from benchmarks.external import ExternalCommand, ExternalError, JobSettings, run_external
from benchmarks.objects import Preparation, refusal, to_rows
from benchmarks.racing import Course, gain, Lap, race
from benchmarks.results import load_all
import numpy as np
import pytest
import torch

HW = (60, 80)
SMALL = ['--image-size', '96', '--objects', '1', '--warm-up', '2', '--frames', '2',
         '--threads', '1']
SETTINGS = JobSettings(1, 'nano', 96, 'float32', 'cpu', 1)
# Paints the prompts' boxes, as many frames as there are: what it prints is changed by a test.
PAINTER = """
import json, sys
from pathlib import Path
from PIL import Image, ImageDraw
folder = Path(sys.argv[1])
job = json.loads((folder / 'job.json').read_text())
frames = sorted((folder / job['frames']).iterdir())
for frame in frames:
    for prompt in job['prompts']:
        mask = Image.new('L', (job['width'], job['height']))
        ImageDraw.Draw(mask).rectangle(prompt['box'], fill=255)
        mask.save(folder / job['masks'] / f"{frame.stem}_{prompt['object']}.png")
print('loading')
print(json.dumps({'frame_seconds': [0.01] * len(frames), 'begins_with': 'jpeg'}))
"""


def disc(x: int) -> np.ndarray:
    ys, xs = np.mgrid[:HW[0], :HW[1]]
    return (xs - x) ** 2 + (ys - 30) ** 2 < 200


def lap(name: str, seconds: list[float], x: int = 40, begins_with: str = 'rgb') -> Lap:
    found = Lap(name, begins_with, seconds)
    for _ in range(2):
        found.keep([disc(x)])
    return found


def test_masks_that_are_kept_come_back_as_they_were() -> None:
    found = Lap('x', 'rgb')
    found.keep([disc(40)[:7, :13], disc(20)[:7, :13]])
    row, = found.masks
    assert found.objects == 2
    assert all(np.array_equal(a, b) and a.dtype == bool
               for a, b in zip(row, [disc(40)[:7, :13], disc(20)[:7, :13]], strict=True))


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return write_clip(tmp_path / 'clip', 3, HW)


def painter(folder: Path, program: str = PAINTER) -> ExternalCommand:
    script = folder / 'painter.py'
    script.write_text(program)
    return ExternalCommand.parse(f'painter={sys.executable} {script}')


def test_overlap_is_the_share_of_common_pixels() -> None:
    assert overlap(disc(40), disc(40)) == 1.0
    assert 0.3 < overlap(disc(40), disc(48)) < 0.7
    assert overlap(np.zeros(HW, bool), np.zeros(HW, bool)) == 1.0


def test_other_frames_or_objects_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match='zip'):
        lowest_overlap([[disc(1)]], [[disc(1)], [disc(1)]])
    with pytest.raises(ValueError, match='no mask'):
        lowest_overlap([], [])


def test_a_row_whose_masks_are_others_than_stocks_is_refused() -> None:
    rows = to_rows([lap(ways.CLIP, [0.2, 0.2]), lap('ours batched', [0.1, 0.1], x=41)],
                   Preparation(1, 3))
    assert refusal(rows[0], 0.999) == ''
    assert 'masks are other than stock' in refusal(rows[1], 0.999)
    assert '| refused | refused |' in objects.table(rows, 0.999)
    assert 'ours, 1' not in objects.figures_of(rows, 0.999)


def test_single_pixels_of_a_small_mask_do_not_refuse_a_row() -> None:
    small = disc(40)
    for pixels, refused in ((4, False), (5, True)):
        other = small.copy()
        other[30, 40:40 + pixels] ^= True
        found = Lap('ours batched', 'rgb', [0.1])
        found.keep([other])
        reference = Lap(ways.CLIP, 'rgb', [0.1])
        reference.keep([small])
        row = to_rows([reference, found], Preparation(1, 3))[1]
        assert row.iou < 0.995, 'what is shown is as it is'
        assert bool(refusal(row, 0.999)) is refused


def test_masks_that_are_empty_everywhere_prove_nothing() -> None:
    found = to_rows([lap(ways.CLIP, [0.2, 0.2], x=-500)], Preparation(1, 3))
    assert 'masks cover 0%' in refusal(found[0], 0.999)


def test_a_gain_is_the_median_of_ratios_on_single_frames() -> None:
    """A machine that slows down for all is not seen in it."""
    ours, stock = lap('ours', [0.1, 0.4, 0.1]), lap(ways.CLIP, [0.2, 0.8, 0.3])
    assert gain(ours, stock) == pytest.approx(2.0)


def test_from_rgb_and_from_jpeg_add_what_a_row_has_not_done() -> None:
    """Stock's tensors cost 3 ms from a JPEG, 1 of them decoding."""
    stock, ours = to_rows(
        [lap(ways.CLIP, [0.010, 0.010], begins_with='tensor'), lap('ours batched', [0.006] * 2)],
        Preparation(decoding_ms=1, loading_ms=3))
    assert (stock.p50_ms, stock.from_rgb_ms, stock.from_jpeg_ms) == pytest.approx((10, 12, 13))
    assert (ours.p50_ms, ours.from_rgb_ms, ours.from_jpeg_ms) == pytest.approx((6, 6, 7))
    assert (ours.gain, ours.gain_from_rgb) == pytest.approx((10 / 6, 12 / 6))
    assert stock.gain_from_rgb == pytest.approx(1.0)


def test_the_fastest_row_that_counts_is_the_one_for_the_targets() -> None:
    rows = to_rows([lap(ways.CLIP, [0.2, 0.2]), lap('ours looped', [0.16, 0.16]),
                    lap('ours batched', [0.125, 0.125]), lap('ours faster', [0.01] * 2, x=50)],
                   Preparation(1, 3))
    assert objects.figures_of(rows, 0.999)['ours, 1'] == pytest.approx(1.6)
    assert objects.remarks_of(rows, 0.999)['ours, 1'].startswith('ours batched; from RGB 1.6')


def test_ways_take_turns_frame_by_frame(clip: Clip) -> None:
    order = []

    def way(name: str) -> ways.Way:
        def start(clip, prompts):
            for _ in clip.pictures:
                order.append(name)
                yield [disc(1)]
        return ways.Way(name, 'rgb', start)
    laps = race([way('a'), way('b')], clip, boxes(1), Course('cpu', 1, 2, 2, by_frame=True))
    assert ''.join(order) == 'abbaab' * 2
    assert [len(each.seconds) for each in laps] == [4, 4]
    assert [len(list(each.masks)) for each in laps] == [3, 3]
    order.clear()
    race([way('a'), way('b')], clip, boxes(1), Course('cpu', 1, 2, 2, by_frame=False))
    assert ''.join(order) == 'aaabbb' * 2


def test_all_ways_agree_with_stock_end_to_end(tmp_path: Path) -> None:
    arguments = [*SMALL, '--objects', '1', '2', '--results', str(tmp_path)]
    assert objects.main(arguments) == 0
    result, = load_all(tmp_path)
    assert result.name == 'objects_nano_96_float32_cpu'
    found = {(row['objects'], row['way']): row for row in result.rows}
    assert set(found) == {(count, way) for count in (1, 2) for way in (
        ways.CLIP, ways.STREAM, 'ours looped', 'ours batched')}
    assert found[1, ways.STREAM]['iou'] == found[2, 'ours looped']['iou'] == 1.0
    assert all(row['p50_ms'] > 0 and 0 < row['covered'] < 1 for row in result.rows)
    assert {'ours, 1', 'ours, 2'} <= set(result.figures)


def test_a_way_with_wrong_masks_fails_the_table_end_to_end(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ways.all_ways

    def with_a_liar(setting: ways.Setting) -> list[ways.Way]:
        first, stream, ours, _ = honest(setting)

        def start(clip, prompts):
            for masks in ours.start(clip, prompts):
                yield [np.roll(mask, 9, 1) for mask in masks]
        return [first, stream, replace(ours, name='ours batched', start=start)]
    monkeypatch.setattr(ways, 'all_ways', with_a_liar)
    assert objects.main([*SMALL, '--results', str(tmp_path)]) == 1
    result, = load_all(tmp_path)
    assert 'ours batched with 1 object(s)' in result.refused[0]
    assert 'ours, 1' not in result.figures


def test_an_external_command_is_given_frames_and_prompts(clip: Clip, tmp_path: Path) -> None:
    found = run_external(painter(tmp_path), clip, boxes(2, HW), tmp_path / 'job', SETTINGS)
    assert found.name == 'painter' and found.begins_with == 'jpeg'
    assert found.seconds == [0.01, 0.01], 'the warm-up is left out'
    left, top, right, bottom = boxes(2, HW)[1].box_xyxy
    ys, xs = np.mgrid[:HW[0], :HW[1]]
    wanted = (xs >= left) & (xs <= right) & (ys >= top) & (ys <= bottom)
    assert overlap(list(found.masks)[2][1], wanted) > 0.8
    told = json.loads((tmp_path / 'job' / 'job.json').read_text())
    assert told['warm_up'] == 1 and told['model'] == 'nano' and told['width'] == HW[1]


@pytest.mark.parametrize(('said', 'instead', 'reason'), [
    ('print(json.dumps(', 'print((', 'is not the JSON'),
    ('* len(frames)', '* 2', '2 times for 3 frames'),
    ("'jpeg'", "'a camera'", 'none of tensor, rgb, jpeg'),
    ('_{prompt', '-{prompt', 'wrote no mask 00000_1.png'),
    ("(job['width'], job['height'])", '(7, 7)', 'wanted are'),
    ("print('loading')", "sys.exit('no GPU')", 'code 1: no GPU')])
def test_what_an_external_command_does_wrong_is_named(
        clip: Clip, tmp_path: Path, said: str, instead: str, reason: str) -> None:
    assert said in PAINTER
    with pytest.raises(ExternalError, match=reason):
        run_external(painter(tmp_path, PAINTER.replace(said, instead)), clip, boxes(1, HW),
                     tmp_path / 'job', SETTINGS)


def test_external_columns_end_to_end(tmp_path: Path) -> None:
    """One that is stock SAM 2 in another process, one that only paints boxes, one that is not."""
    right = f'again={sys.executable} -m benchmarks.external_example'
    code = objects.main([
        *SMALL, '--results', str(tmp_path / 'results'), '--external', right, '--external',
        f'painter={painter(tmp_path).command[0]} {tmp_path / "painter.py"}',
        '--external', f'nobody={tmp_path / "nothing"}'])
    result, = load_all(tmp_path / 'results')
    iou = {row['way']: row['iou'] for row in result.rows}
    assert code == 1
    assert iou['again'] == 1.0 and iou['painter'] < 0.999
    assert len(result.refused) == 2
    assert 'painter with 1' in result.refused[0] and 'nobody' in result.refused[1]
    assert 'again, 1' in result.figures and 'painter, 1' not in result.figures


def test_the_ways_for_cuda_agree_too_with_the_compiler_left_out(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch.compile makes needs a GPU; which classes are built and how they are called."""
    compiled = []

    def leave_as_it_is(function, **_):
        compiled.append(function)
        return function
    monkeypatch.setattr(torch, 'compile', leave_as_it_is)
    monkeypatch.setattr(ways.Setting, 'is_cuda', property(lambda _: True))
    small = [*SMALL, '--objects', '2', '--precision', 'float32', '--rounds', '2']
    assert objects.main([*small, '--model', 'sam2.1_hiera_tiny', '--random-weights',
                         '--image-size', '64', '--results', str(tmp_path)]) == 0
    result, = load_all(tmp_path)
    assert [row['way'] for row in result.rows] == [
        ways.CLIP, ways.STREAM, f'{ways.CLIP}, encoder compiled', ways.VOS_OPTIMIZED,
        'ours looped', 'ours batched', 'ours batched, no graphs']
    assert 'ours over vos_optimized, 2' in result.figures
    assert len(compiled) >= 6

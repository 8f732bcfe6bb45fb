# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings spread over two workers of a local Ray; skipped where Ray is not installed."""

from __future__ import annotations

from pathlib import Path

from bag_making import compressed_image, FIRST_NS, jpeg_of, raw_messages, STEP_NS, write_bag
import pytest
from sam2_tracker.offline.command import main

FRAMES = 6


@pytest.fixture(scope='module')
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from stock import read_clip, write_clip

    folder = tmp_path_factory.mktemp('bags')
    (folder / 'frames').mkdir()
    pictures = read_clip(write_clip(folder / 'frames', 3 * FRAMES))
    found = []
    for number in range(3):
        messages = []
        for index, picture in enumerate(pictures[number * FRAMES:(number + 1) * FRAMES]):
            stamp_ns = FIRST_NS + index * STEP_NS
            message = compressed_image(jpeg_of(picture), stamp_ns)
            messages.append(('/camera/compressed', stamp_ns, message))
        found.append(write_bag(folder / f'bag_{number}', messages))
    return found


def masks_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*.png'))
    }


def test_two_workers_find_what_one_process_finds(
    tmp_path: Path, bags: list[Path], capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip('ray', reason='Ray is not installed: requirements/ray.txt')
    from stock import disc_xy

    point = '{:.0f},{:.0f}'.format(*disc_xy(0, 0))
    sources = [str(bag) for bag in bags]
    options = ['--point', point, '--threads', '1', '--masks']
    assert main([*sources, *options, str(tmp_path / 'here')]) == 0
    cut_off = write_bag(tmp_path / 'cut_off', raw_messages(3))
    (cut_off / 'cut_off.mcap').write_bytes(b'')
    cluster = ['--ray', 'local', '--ray-workers', '2']
    spread = [*sources, str(cut_off), *options, str(tmp_path / 'there'), *cluster]
    assert main(spread) == 3
    assert masks_of(tmp_path / 'here') == masks_of(tmp_path / 'there')
    said = capsys.readouterr().out
    assert 'bag_2: 6 frames' in said
    assert 'cut_off: failed' in said


def test_a_worker_that_dies_is_retried_and_then_reported(
    tmp_path: Path, bags: list[Path], monkeypatch: pytest.MonkeyPatch
):
    ray = pytest.importorskip('ray', reason='Ray is not installed: requirements/ray.txt')
    from sam2_tracker.offline.arguments import parse
    from sam2_tracker.offline.run import ray_processor
    from sam2_tracker.offline.run.job import plan_job

    request = parse([str(bags[0]), '--point', '5,5', '--masks', str(tmp_path / 'masks')])
    job = plan_job(request.sources, request.prompts, request.outputs, request.settings)
    trials = tmp_path / 'trials'
    trials.mkdir()

    def die(*_: object) -> None:
        import os
        import tempfile

        tempfile.mkstemp(dir=trials)
        os._exit(1)

    monkeypatch.setattr(ray_processor, 'process_source', die)
    processor = ray_processor.RayProcessor(job, print, 'local', 1, None)
    try:
        [outcome] = processor.process(job.sources, ())
    finally:
        processor.close()
    assert 'bag_0: its worker failed' in str(outcome.error)
    assert len(list(trials.iterdir())) == 1 + ray_processor.RETRIES
    assert not ray.is_initialized()


def test_a_cluster_that_is_not_there_is_a_sentence(
    bags: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip('ray', reason='Ray is not installed: requirements/ray.txt')
    arguments = [str(bags[0]), '--point', '5,5', '--masks', str(tmp_path / 'm')]
    assert main([*arguments, '--ray', '127.0.0.1:1']) == 2
    assert 'no Ray cluster at 127.0.0.1:1' in capsys.readouterr().err


def test_without_ray_the_option_says_what_to_install(
    bags: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    import sys

    monkeypatch.setitem(sys.modules, 'ray', None)
    arguments = [str(bags[0]), '--point', '5,5', '--masks', str(tmp_path / 'm')]
    assert main([*arguments, '--ray', 'local']) == 2
    assert 'requirements/ray.txt' in capsys.readouterr().err

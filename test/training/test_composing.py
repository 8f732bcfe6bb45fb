# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is packed comes back, and what is composed of it has exact masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_data import CLIPS, FRAMES, HEIGHT, HELD, WIDTH, write_data
import torch
from training import pack
from training.compose import back_and_forth, Composer, Recipe
from training.pool import load_pool, Pool, tabulate
from training.practice import LONG, SHORT

SIZE = 64
CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def packed(data: Path) -> Path:
    pack.Packer(data, side=384, still_side=64).write(data / 'pack.zip', 2_000_000)
    return data / 'pack.zip'


@pytest.fixture(scope='module')
def pool(packed: Path) -> Pool:
    return load_pool(packed, CPU, side=SIZE, still_side=SIZE)


def composer(pool: Pool, seed: int = 0, **changes: object) -> Composer:
    recipe = Recipe(size=SIZE, **changes)
    return Composer(pool, recipe, np.random.default_rng(seed), torch.Generator().manual_seed(seed))


def test_labels_are_packed_without_loss() -> None:
    labels = np.random.default_rng(0).integers(0, 9, (5, 20, 30)).astype(np.uint8)
    assert np.array_equal(pack.unpack_labels(pack.pack_labels(labels), labels.shape), labels)


def test_only_the_largest_objects_are_kept_and_numbered_from_one() -> None:
    labels = np.repeat(np.array([0, 7, 3, 250, 9], np.uint8), [50, 4, 9, 6, 1])
    assert sorted(np.unique(pack.keep_largest(labels, most=3))) == [0, 1, 2, 3]
    assert (pack.keep_largest(labels, most=2) > 0).sum() == 15


def test_no_film_is_on_both_sides(pool: Pool, packed: Path) -> None:
    trained = {source.name for source in pool.sources if not source.still}
    held = {source.name for source in load_pool(packed, CPU, held_back=True, side=SIZE).sources}
    assert trained == set(CLIPS) - {HELD}
    assert held == {HELD}
    assert not {name for name in pack.held_back_clips() if name in pack.LEFT_OUT}
    assert set(pack.measured_clips()) <= pack.held_back_clips()


def test_clips_of_few_frames_a_second_keep_stride_one(pool: Pool) -> None:
    strides = {source.name: source.stride for source in pool.sources}
    assert strides['things_desk'] == 1 < strides['moving_square']


def test_a_pack_too_large_at_every_quality_is_refused_and_leaves_nothing(
        data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='at the lowest quality, more than'):
        pack.Packer(data, 384, 64).write(tmp_path / 'small.zip', 1000)
    assert not list(tmp_path.iterdir())


def test_a_clip_with_a_mask_missing_is_refused(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'video/one'
    folder.mkdir(parents=True)
    original = data / 'video' / CLIPS[0]
    (folder / 'video.mp4').write_bytes((original / 'video.mp4').read_bytes())
    (folder / '0.png').write_bytes((original / '00000.png').read_bytes())
    with pytest.raises(ValueError, match=f'{FRAMES} frames and 1 masks'):
        pack.read_clip(folder)


def test_a_smaller_side_shrinks_pictures_and_masks_alike(data: Path, tmp_path: Path) -> None:
    pack.Packer(data, side=32, still_side=40).write(tmp_path / 'small.zip', 2_000_000)
    small = load_pool(tmp_path / 'small.zip', CPU, side=32, still_side=40)
    assert small.clips.rgb.shape == (2 * FRAMES, 32, 32, 3)
    assert small.stills.labels.shape == (4, 40, 40)
    assert pack.shrunk((WIDTH, HEIGHT), 32) == (48, 32)


def test_the_table_tells_where_objects_are() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[0:20, 20:40] = 3
    areas, centres = tabulate([labels])
    assert areas[0, 3] == pytest.approx(0.25)
    assert centres[0, 3] == pytest.approx([0.5, -0.5], abs=0.05)


def test_a_clip_is_played_on_backward_past_its_end() -> None:
    assert back_and_forth(np.array([0, 1, 2, 3, 4, 5, 6]), 4).tolist() == [0, 1, 2, 3, 2, 1, 0]
    assert back_and_forth(np.array([-1, -2]), 4).tolist() == [1, 2]
    assert back_and_forth(np.array([0, 9]), 1).tolist() == [0, 0]


@pytest.mark.parametrize('numbers', [(0,), *SHORT, *LONG])
def test_batches_have_objects_of_a_fair_size_on_the_first_frame(
        pool: Pool, numbers: tuple[int, ...]) -> None:
    batch = composer(pool).draw(3, 2, numbers)
    assert batch.images.shape == (len(numbers) * 3, 3, SIZE, SIZE)
    assert batch.masks.shape == (len(numbers), 6, SIZE, SIZE)
    assert torch.isfinite(batch.images).all()
    share = batch.masks[0].float().mean((1, 2))
    assert batch.weights.sum() >= 3
    assert (share[batch.weights > 0] > 0.002).all()
    assert (share[batch.weights > 0] < 0.55).all()


def test_a_clip_that_nothing_is_done_to_keeps_its_masks_on_its_objects(pool: Pool) -> None:
    # the moving square is the only thing red; light changes, so colours are compared
    drawn = composer(pool, real=1.0, pasted=(0.0, 0.0), whole=0.0)
    drawn.clips, drawn.shares = drawn.clips[:1], np.ones(1)
    for _ in range(4):
        batch = drawn.draw(1, 2, (0, 1, 2))
        red = (batch.images[:, 0] - batch.images[:, 1]).squeeze()
        for frame in range(3):
            scores = [red[frame][mask].median() for mask in batch.masks[frame] if mask.any()]
            outside = red[frame][~batch.masks[frame].any(0)].median()
            assert any(score > outside + 0.5 for score in scores) or len(scores) < 2


def test_pasted_objects_are_objects_of_the_clip(pool: Pool) -> None:
    plain = composer(pool, pasted=(0.0, 0.0)).draw(8, 4, (0, 1, 2, 3))
    pasted = composer(pool, pasted=(1.0, 1.0)).draw(8, 4, (0, 1, 2, 3))
    assert pasted.weights.sum() > plain.weights.sum() + 6


def test_no_pixel_belongs_to_two_objects(pool: Pool) -> None:
    masks = composer(pool).draw(4, 3, (0, 1, 2, 3)).masks
    masks = masks.unflatten(1, (4, 3)).sum(2)
    assert masks.max() <= 1


def test_the_same_seed_composes_the_same_batch(pool: Pool) -> None:
    one, other = (composer(pool, seed=5).draw(2, 2, (0, 1, 2, 3)) for _ in range(2))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.masks, other.masks)
    different = composer(pool, seed=6).draw(2, 2, (0, 1, 2, 3))
    assert not torch.equal(one.images, different.images)

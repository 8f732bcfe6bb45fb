# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Composed clips: masks that agree with the pictures, and the same clips for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training.clips import compose_clip, covered_frames, look, move_camera, promptable
from training.data import cut_out, Library, Picture
from training.sprites import draw_sprite, random_shape, random_sprites, Sprite

SIZE = 96


@pytest.fixture(scope='module')
def library() -> Library:
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(4):
        rgb = rng.integers(0, 256, (30, 40, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        labels = np.zeros((240, 320), np.uint8)
        labels[40:140, 50:150], labels[120:220, 190:300] = 1, 2
        pictures.append(Picture(rgb, labels))
    cutouts = [cutout for picture in pictures for cutout in cut_out(picture)]
    return Library(tuple(pictures), tuple(cutouts))


def solid_sprite(label: int) -> Sprite:
    shift = np.array([[[1, 0, 10 + frame], [0, 1, 10]] for frame in range(4)], np.float32)
    return Sprite(label, np.full((30, 30, 3), 200.0, np.float32), np.ones((30, 30), np.float32),
                  shift, frozenset({2}))


def test_the_same_seed_gives_the_same_clip(library: Library) -> None:
    one, two = (compose_clip(np.random.default_rng(7), library, SIZE, 4) for _ in range(2))
    assert np.array_equal(one.frames, two.frames)
    assert np.array_equal(one.labels, two.labels)
    assert one.objects == two.objects


@pytest.mark.parametrize('seed', range(5))
def test_every_object_to_prompt_is_seen_on_the_first_frame(library: Library,
                                                           seed: int) -> None:
    clip = compose_clip(np.random.default_rng(seed), library, SIZE, 4)
    assert clip.frames.shape == (4, SIZE, SIZE, 3)
    assert len(clip.objects) >= 2
    assert set(clip.objects) <= set(np.unique(clip.labels[0]).tolist())


def test_labels_move_with_the_picture(library: Library) -> None:
    rng = np.random.default_rng(3)
    labels = library.pictures[0].labels
    painted = Picture(np.repeat(labels[:, :, None] * 100, 3, 2), labels)
    camera = move_camera(rng, painted, SIZE, 5)
    for frame in range(5):
        rgb, seen = look(painted, camera, frame, SIZE)
        # interpolation blurs colours at edges only; beyond the border the picture is mirrored
        assert np.mean(np.round(rgb[:, :, 0] / 100) == seen) > 0.8
        assert np.all(np.abs(rgb[seen > 0, 0] - seen[seen > 0] * 100.0) <= 100)


def test_a_sprite_covers_what_is_under_it_in_colours_and_labels() -> None:
    rgb, labels = np.zeros((60, 60, 3), np.uint8), np.full((60, 60), 3, np.uint8)
    drawn, seen = draw_sprite(solid_sprite(9), 1, rgb, labels)
    assert set(np.unique(seen)) == {3, 9}
    assert (drawn[seen == 9] > 150).all()
    assert (drawn[20, 45] == 0).all()


def test_a_hidden_sprite_leaves_no_trace() -> None:
    rgb, labels = np.zeros((60, 60, 3), np.uint8), np.zeros((60, 60), np.uint8)
    drawn, seen = draw_sprite(solid_sprite(9), 2, rgb, labels)
    assert not drawn.any() and not seen.any()


def test_a_look_alike_has_the_same_looks_on_another_way(library: Library) -> None:
    for seed in range(40):
        sprites = random_sprites(np.random.default_rng(seed), library, SIZE, 4, 5)
        twins = [sprite for sprite in sprites if sprite.look_alike]
        if twins:
            assert np.array_equal(twins[0].rgb, twins[1].rgb)
            assert twins[0].label != twins[1].label
            assert not np.allclose(twins[0].matrices, twins[1].matrices)
            return
    pytest.fail('no look-alike in 40 clips')


def test_look_alikes_are_prompted_first() -> None:
    labels = np.zeros((60, 60), np.uint8)
    labels[:10, :30], labels[20:40, :30], labels[45:, :30] = 1, 2, 3
    twin = replace(solid_sprite(3), look_alike=True)
    assert promptable(np.random.default_rng(0), labels, [twin])[0] == 3


def test_the_first_frame_is_never_covered() -> None:
    covered = [covered_frames(np.random.default_rng(seed), 6) for seed in range(200)]
    assert any(covered)
    assert not any(0 in frames for frames in covered)


def test_objects_disappear_and_come_back_in_some_clips(library: Library) -> None:
    patterns = []
    for seed in range(25):
        clip = compose_clip(np.random.default_rng(seed), library, SIZE, 6)
        for label in clip.objects:
            seen = (clip.labels == label).any((1, 2))
            patterns.append(''.join('x' if here else '.' for here in seen))
    assert any('.x' in pattern for pattern in patterns)


def test_a_generated_shape_lies_inside_its_square(library: Library) -> None:
    for seed in range(12):
        shape = random_shape(np.random.default_rng(seed), library)
        assert 0 < shape.alpha.mean() < 1
        assert not shape.alpha[0].any() and not shape.alpha[:, 0].any()

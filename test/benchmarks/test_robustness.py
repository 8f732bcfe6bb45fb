# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Hard clips have the truth that they claim, and what became of objects is counted right."""

from __future__ import annotations

from dataclasses import asdict
import json
from pathlib import Path

from benchmarks import robustness
from benchmarks.hard_clips import (
    AFTER,
    AWAY,
    BEFORE,
    Film,
    KINDS,
    LOOK_ALIKE_FRAMES,
    paste,
    Shot,
)
from benchmarks.machine import Conditions
from benchmarks.robustness import Case, report, Row, run_all, setting_of, write
import cv2
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.engine.memory.entry import Trust

HW = (120, 160)


def square(x: int, y: int, size: int = 20) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[y:y + size, x:x + size] = True
    return mask


@pytest.fixture(scope='module')
def films() -> tuple[Film, Film]:
    """Give films of a square that moves over grey: a red one and a blue one."""
    found = []
    for colour in ((200, 30, 30), (30, 30, 200)):
        masks = tuple(square(60 + index, 50) for index in range(12))
        pictures = [np.full((*HW, 3), 90, np.uint8) for _ in masks]
        for picture, mask in zip(pictures, masks, strict=True):
            picture[mask] = colour
        found.append(Film(tuple(pictures), masks))
    return found[0], found[1]


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_of_clip_begins_with_its_object_and_shows_what_its_truth_says(films, kind):
    shots = list(KINDS[kind](*films, np.random.default_rng(3)))
    assert shots[0].truth.sum() > 50
    hidden = [index for index, shot in enumerate(shots) if not shot.truth.any()]
    away = {'hidden 10': 10, 'hidden 60': 60, 'hidden 300': 300,
            'back elsewhere': AWAY, 'cut away': AWAY}.get(kind, 0)
    assert len(shots) == (BEFORE + away + AFTER if away else LOOK_ALIKE_FRAMES)
    assert set(range(BEFORE, BEFORE + away)) <= set(hidden)
    # What comes back elsewhere takes some frames to be in the picture.
    last = BEFORE + max(away, 15) + 5
    assert not [index for index in hidden if index < BEFORE - 10 or index > last]
    for shot in shots:
        # Whatever is red is the object or its look-alike.
        is_red = shot.rgb[:, :, 0].astype(int) - shot.rgb[:, :, 2] > 100
        assert (is_red & ~shot.truth & ~shot.look_alike).sum() <= 100
        assert not (shot.truth & shot.look_alike).any()
        assert (shot.truth & ~is_red).sum() <= 100
    assert any(shot.look_alike.any() for shot in shots) == (away == 0)


def test_what_is_pasted_is_where_it_should_be_and_behind_what_it_should_be(films):
    rgb, mask = films[0].at(0)
    grey = np.full_like(rgb, 90)
    pasted, where = paste(grey, (rgb, mask), (30.0, 40.0), (-1.0, 1.0), behind=square(20, 20))
    rows, columns = where.nonzero()
    assert (columns.min(), columns.max(), rows.max()) == (21, 39, 49)
    assert not where[square(20, 20)].any()
    assert pasted[45, 25, 0] > 150
    assert pasted[30, 30, 0] == 90


NOTHING = np.zeros(HW, bool)


def followed(*frames: tuple[np.ndarray, np.ndarray, np.ndarray, bool]) -> Row:
    """Score frames of (truth, look-alike, mask, called visible)."""
    score = robustness._Score()
    for truth, look_alike, mask, visible in frames:
        score.add(Shot(np.zeros((*HW, 3), np.uint8), truth, look_alike), mask, visible)
    return score.row('key', Case('kind', 'clip', lambda: iter(())), 'stock', 7)


def test_swaps_false_alarms_and_returns_are_counted():
    own, other = square(10, 10), square(90, 60)
    seen = (own, other, own, True)
    row = followed(
        seen, (own, other, other, True), (own, other, other, True), seen,
        (own, other, other, True), seen,
        (NOTHING, other, own, True), (NOTHING, other, NOTHING, False), (NOTHING, other, own, True),
        (own, other, NOTHING, False), (own, other, own, True))
    assert (row.swaps, row.false_visible, row.hidden, row.anchors) == (2, 1, 2, 7)
    assert (row.frames_to_find, row.returned) == (2, True)
    assert row.overlap == pytest.approx(3 / 7)


def test_an_object_that_never_left_was_never_found_again():
    row = followed(*[(square(10, 10), NOTHING, square(10, 10), True)] * 3)
    assert (row.returned, row.frames_to_find, row.hidden) == (False, None, 0)


@pytest.fixture
def row() -> Row:
    return Row('c stock w', 'crosses', 'c', 'stock', 0.5, 1, 2, 4, 3, True, 1)


class Fingerprinted:
    """Stands for a predictor."""

    def __init__(self, image_size: int = 384) -> None:
        self.image_size = image_size

    def fingerprint(self) -> str:
        return 'w'


@pytest.mark.parametrize('other', [setting_of(Fingerprinted(448), Trust()),
                                   setting_of(Fingerprinted(), Trust(read=0.5))])
def test_rows_of_another_input_size_or_trust_are_not_taken_for_ones_own(
        tmp_path: Path, monkeypatch, other):
    monkeypatch.setattr(robustness, 'run_case', lambda *of: {'stock': [Row(
        f'c stock {of[-1]}', 'crosses', 'c', 'stock', 1.0, 0, 0, 0, None, False, 0)]})
    journal = tmp_path / 'rows.jsonl'
    cases = [Case('crosses', 'c', lambda: iter(()))]
    predictors = {'stock': Fingerprinted()}
    own = setting_of(predictors['stock'], Trust())
    assert len(run_all(cases, predictors, own, journal)) == 1
    assert len(run_all(cases, predictors, own, journal, run=False)) == 1
    assert run_all(cases, predictors, other, journal, run=False) == []


def test_a_run_goes_on_where_an_interrupted_one_was(tmp_path: Path, monkeypatch, row):
    journal = tmp_path / 'rows.jsonl'
    journal.write_text(json.dumps(asdict(row)) + '\n')
    done = []

    def run_case(case, pictures, side_by_side, predictor, weights):
        done.append((case.name, [*side_by_side.policies]))
        return {name: [Row(f'{case.name} {name} {weights}', 'crosses', case.name, name, 1.0, 0, 0,
                           0, None, False, 0)] for name in side_by_side.policies}

    monkeypatch.setattr(robustness, 'run_case', run_case)
    cases = [Case('crosses', name, lambda: iter(())) for name in ('c', 'd')]
    predictors = {'stock': Fingerprinted(), 'selective': Fingerprinted()}
    assert [each.clip for each in run_all(cases, predictors, 'w', journal, run=False)] == ['c']
    assert not done
    rows = run_all(cases, predictors, 'w', journal)
    assert done == [('c', ['selective']), ('d', ['selective', 'stock'])]
    assert [(each.clip, each.policy) for each in rows] == [
        ('c', 'stock'), ('c', 'selective'), ('d', 'stock'), ('d', 'selective')]
    assert run_all(cases, predictors, 'w', journal) == rows
    assert len(done) == 2


def test_the_tables_are_put_into_the_page_between_its_markers(
        tmp_path: Path, row: Row, conditions: Conditions):
    page = tmp_path / 'memory.md'
    page.write_text('a\n<!-- figures: robustness -->\nold\n<!-- end of figures -->\nb\n')
    text = report([row], conditions, {'stock': 20.0, 'selective': 21.0}, 'w 448 px')
    write(page, text)
    assert '| crosses | stock | 1 | 0.500 | 1 | 50% | 100% | 3 | 1.0 |' in page.read_text()
    assert '| selective | 21.0 | 105% |' in page.read_text()
    assert 'old' not in page.read_text()
    page.write_text('no place')
    with pytest.raises(ValueError, match='no place for the table'):
        write(page, text)


def test_the_committed_page_has_a_place_for_the_tables():
    assert '<!-- figures: robustness -->' in robustness.PAGE.read_text()


def test_a_film_begins_with_another_picture_for_another_seed_but_never_with_a_sliver(films):
    masks = tuple(square(60, 50, 3 if index < 4 else 20) for index in range(12))
    film = Film(films[0].pictures, masks)
    starts = {film.from_anywhere(np.random.default_rng(seed)).start for seed in range(60)}
    assert starts == set(range(4, 12))
    late = film.from_anywhere(np.random.default_rng(1))
    assert (late.at(0)[1] == masks[late.start]).all()


def test_a_real_film_is_followed_by_its_largest_objects_and_all_others_are_look_alikes(
        tmp_path, monkeypatch):
    folder = tmp_path / 'train' / 'video' / 'pandads_panda_made'
    folder.mkdir(parents=True)
    video = cv2.VideoWriter(str(folder / 'video.mp4'), cv2.VideoWriter.fourcc(*'mp4v'), 10,
                            HW[::-1])
    for index in range(3):
        video.write(np.full((*HW, 3), (0, 0, 40 * index), np.uint8))
        labels = np.zeros(HW, np.uint8)
        for label, (x, size) in enumerate([(10, 8), (30, 20), (60, 12), (90, 30)], 1):
            labels[square(x + index, 40, size)] = label
        Image.fromarray(labels).save(folder / f'{index:05d}.png')
    video.release()
    monkeypatch.setattr(robustness, 'data_root', lambda: tmp_path)

    case, = robustness.film_cases()
    frames = list(case.shots())
    assert (case.kind, case.name, len(frames)) == ('real look-alikes', folder.name, 3)
    assert [int(shot.truth.sum()) for shot in frames[0]] == [900, 400, 144]
    for index, shots in enumerate(frames):
        for shot in shots:
            assert np.abs(shot.rgb.mean((0, 1)) - (40 * index, 0, 0)).max() < 6
            assert not (shot.truth & shot.look_alike).any()
            assert (shot.truth | shot.look_alike).sum() == 64 + 400 + 144 + 900

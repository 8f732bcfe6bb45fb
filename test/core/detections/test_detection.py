# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What of a detector's message can be used, and how much of it is kept."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace as Plain

import pytest
from sam2_tracker.core.config import DetectionsConfig, PARAMETERS
from sam2_tracker.core.detections.detection import (
    Detection,
    iou,
    labels_of,
    Refusals,
    sifted,
    upright,
)
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.types import MAX_PROMPTS

BOX = (10.0, 20.0, 30.0, 60.0)


class Lines:

    def __init__(self) -> None:
        self.said: list[str] = []
        self.refusals = Refusals(lambda level, line: self.said.append(line))


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.mark.parametrize(('box', 'score', 'class_id', 'sentence'), [
    ((math.nan, 0, 1, 1), 0.9, 'dog', r'box \(nan, 0, 1, 1\) is not four finite numbers'),
    ((0, 0, math.inf, 1), 0.9, 'dog', r'box \(0, 0, inf, 1\) is not four finite numbers'),
    ((5, 0, 5, 9), 0.9, 'dog', r'box \(5, 0, 5, 9\) is 0 by 9 pixels; width and height must be'),
    ((5, 9, 7, 0), 0.9, 'dog', r'is 2 by -9 pixels'),
    (BOX, math.nan, 'dog', 'a score is nan: a finite number is expected'),
    (BOX, 0.9, 'd' * 300, 'a class has 300 characters: at most 256 are accepted'),
    (BOX, 0.9, 'd\x1b[0m', 'a class .* cannot be printed'),
])
def test_what_is_malformed_is_said_once_and_counted(lines, box, score, class_id, sentence):
    bad = Detection(box, score, class_id)
    good = Detection(BOX, 0.9, 'dog')
    assert sifted([bad, good, bad], DetectionsConfig(), lines.refusals) == (good,)
    assert lines.refusals.count == 2
    [line] = lines.said
    assert re.search(sentence, line), line
    assert line.endswith('further ones like it are counted only')


def test_boxes_below_the_score_and_of_other_classes_are_left_out_and_counted(lines):
    config = DetectionsConfig(min_score=0.5, classes='person, 16 = dog')
    found = [Detection(BOX, score, name) for score, name in
             ((0.4, 'person'), (0.5, 'person'), (0.9, '16'), (0.9, 'cat'), (0.9, 'dog'))]
    kept = sifted(found, config, lines.refusals)
    assert [(each.class_id, each.score) for each in kept] == [('dog', 0.9), ('person', 0.5)]
    assert lines.refusals.count == 0 and lines.refusals.left_out == 3


def test_of_thousands_of_boxes_the_best_are_kept(lines):
    found = (Detection(BOX, 0.5 + number / 100_000, 'dog') for number in range(20_000))
    kept = sifted(found, DetectionsConfig(), lines.refusals)
    assert len(kept) == MAX_PROMPTS
    assert kept[0].score == pytest.approx(0.69999)
    assert lines.refusals.count == 20_000 - MAX_PROMPTS
    assert '20000 boxes in one picture: the best 100 are taken' in lines.said[0]


def test_classes_are_names_or_names_with_labels():
    assert labels_of('') == {}
    assert labels_of('person') == {'person': 'person'}
    assert labels_of(' 0=person , 16 = dog,cat') == {'0': 'person', '16': 'dog', 'cat': 'cat'}


@pytest.mark.parametrize('text', ['=dog', ' =dog', 'a= ', 'a,,b', 'a=', 'a=b=c', ','])
def test_classes_that_cannot_be_understood_are_refused_as_a_parameter(text):
    with pytest.raises(ConfigError, match='class or class=label, with commas between, is expec'):
        PARAMETERS['detections.classes'].check(text)


def test_overlap_is_intersection_over_union():
    assert iou((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert iou((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (10, 0, 20, 10)) == 0


def message(theta: float = 0.0, results: tuple = (('cat', 0.3), ('dog', 0.8))) -> Plain:
    hypotheses = [Plain(hypothesis=Plain(class_id=name, score=score)) for name, score in results]
    centre = Plain(position=Plain(x=50.0, y=40.0), theta=theta)
    return Plain(bbox=Plain(center=centre, size_x=20.0, size_y=10.0), results=hypotheses)


def test_the_best_hypothesis_counts_and_a_turned_box_becomes_the_one_around_it():
    found = upright(message())
    assert (found.box_xyxy, found.class_id, found.score) == ((40, 35, 60, 45), 'dog', 0.8)
    turned = upright(message(theta=math.pi / 2))
    assert turned.box_xyxy == pytest.approx((45, 30, 55, 50))
    endless = upright(message(theta=math.inf))
    assert all(map(math.isnan, endless.box_xyxy))
    bare = upright(message(results=()))
    assert math.isnan(bare.score)

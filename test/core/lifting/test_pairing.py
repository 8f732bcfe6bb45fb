# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Which depth, camera and objects go with a label image, and when that is known."""

from __future__ import annotations

import pytest
from sam2_tracker.core.lifting.pairing import Match, Missing, Pairing, Stamped, Unmatched, WAIT_S

S = 1_000_000_000
MS = S // 1000


@pytest.fixture(name='pairing')
def pairing_fixture() -> Pairing[str, str, str, str]:
    pairing = Pairing(0.05, 5.0)
    pairing.info.add(0, 'calibration')
    return pairing


def decided(pairing, now_s=0.0):
    return list(pairing.decided(now_s))


def test_the_nearest_depth_is_known_when_a_newer_one_has_come(pairing):
    pairing.objects.add(10 * S, 'objects')
    pairing.add_labels(10 * S, 'labels', 0.0)
    pairing.depth.add(10 * S - 20 * MS, 'before')
    assert decided(pairing) == []
    pairing.depth.add(10 * S + 13 * MS, 'after')
    match, = decided(pairing)
    assert isinstance(match, Match)
    assert (match.labels, match.objects, match.depth, match.info) == (
        'labels', 'objects', 'after', 'calibration')
    assert pairing.matched == 1 and not pairing.unmatched


def test_depth_of_the_same_stamp_is_not_waited_beyond(pairing):
    pairing.objects.add(10 * S, 'objects')
    pairing.add_labels(10 * S, 'labels', 0.0)
    pairing.depth.add(10 * S, 'depth')
    assert [each.depth for each in decided(pairing)] == ['depth']


def test_labels_that_come_seconds_later_find_their_depth(pairing):
    for frame in range(150):
        pairing.depth.add(10 * S + frame * 33 * MS, str(frame))
    pairing.objects.add(10 * S + 330 * MS, 'objects')
    pairing.add_labels(10 * S + 330 * MS, 'labels', 0.0)
    assert [each.depth for each in decided(pairing)] == ['10']


def test_when_nothing_newer_comes_the_nearest_there_is_is_taken(pairing):
    pairing.objects.add(10 * S, 'objects')
    pairing.add_labels(10 * S, 'labels', 3.0)
    pairing.depth.add(10 * S - 20 * MS, 'before')
    assert decided(pairing, 3.0 + WAIT_S / 2) == []
    assert [each.depth for each in decided(pairing, 3.0 + WAIT_S)] == ['before']


def test_depth_that_is_too_far_away_is_no_partner(pairing):
    pairing.objects.add(10 * S, 'objects')
    pairing.add_labels(10 * S, 'labels', 0.0)
    pairing.depth.add(10 * S - 200 * MS, 'before')
    pairing.depth.add(10 * S + 51 * MS, 'after')
    assert decided(pairing) == [Unmatched(Missing.DEPTH, 0.051)]
    assert pairing.unmatched[Missing.DEPTH] == 1 and pairing.matched == 0


@pytest.mark.parametrize(('left_out', 'missing'), [
    ('depth', Missing.DEPTH), ('info', Missing.CAMERA_INFO), ('objects', Missing.OBJECTS)])
def test_what_never_comes_is_said_after_a_while(left_out, missing):
    pairing = Pairing(0.05, 5.0)
    for name in {'depth', 'info', 'objects'} - {left_out}:
        getattr(pairing, name).add(10 * S, name)
    pairing.add_labels(10 * S, 'labels', 0.0)
    assert decided(pairing, WAIT_S / 2) == []
    assert decided(pairing, WAIT_S) == [Unmatched(missing, None)]


def test_a_calibration_that_comes_with_each_picture_is_waited_for(pairing):
    pairing.info.add(1, 'another')
    pairing.objects.add(10 * S, 'objects')
    pairing.depth.add(10 * S, 'depth')
    pairing.add_labels(10 * S, 'labels', 0.0)
    assert decided(pairing) == []
    pairing.info.add(10 * S, 'its own')
    assert [each.info for each in decided(pairing)] == ['its own']


def test_after_the_stamps_went_back_depth_of_before_is_not_taken_for_the_newest(pairing):
    pairing.depth.add(100 * S, 'of before')
    pairing.objects.add(10 * S, 'objects')
    pairing.add_labels(10 * S, 'labels', 0.0)
    assert decided(pairing) == []
    pairing.depth.add(10 * S, 'depth')
    assert [each.depth for each in decided(pairing)] == ['depth']


def test_objects_of_another_frame_are_not_taken(pairing):
    pairing.objects.add(10 * S - 1, 'before')
    pairing.depth.add(10 * S, 'depth')
    pairing.add_labels(10 * S, 'labels', 0.0)
    assert decided(pairing) == []
    pairing.objects.add(10 * S, 'its own')
    assert [each.objects for each in decided(pairing)] == ['its own']


def test_a_label_image_without_a_partner_holds_up_no_other_for_long(pairing):
    for number in range(40):
        pairing.add_labels(number * S, str(number), 0.0)
    pairing.objects.add(39 * S, 'objects')
    pairing.depth.add(39 * S, 'depth')
    outcomes = decided(pairing)
    assert len(outcomes) == 8 and {each.missing for each in outcomes} == {Missing.DEPTH}
    assert [each.labels for each in decided(pairing, WAIT_S) if isinstance(each, Match)] == ['39']


def test_items_older_than_is_kept_go_and_a_looped_bag_begins_anew():
    kept = Stamped(1.0)
    for tenth in range(30):
        kept.add(tenth * S // 10, tenth)
    assert kept.nearest(0) == (19 * S // 10, 19)
    kept.add(5, 'again')
    assert kept.newest_ns == 5 and kept.nearest(3 * S)[1] == 'again'


def test_items_out_of_order_and_twice_are_found():
    kept = Stamped(1.0)
    for stamp, item in ((300, 'a'), (100, 'b'), (200, 'c'), (200, 'd')):
        kept.add(stamp, item)
    assert [kept.nearest(stamp)[1] for stamp in (90, 149, 151, 251, 999)] == [
        'b', 'b', 'd', 'a', 'a']
    assert kept.newest_ns == 300


def test_the_number_of_items_is_bounded_however_close_their_stamps():
    kept = Stamped(1.0)
    for stamp in range(3000):
        kept.add(stamp, stamp)
    assert kept.nearest(0) == (2000, 2000)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""In a real browser: whatever is said, all stays on the screen, and the picture is large."""

from __future__ import annotations

from typing import Any

from client_stand_in import StandIn
import pytest
from sam2_tracker.web.tracker_client import Health

RATE_HZ = 8.0
SENTENCE = ('nothing is heard of /sam2_tracker for 13 s: is it running, with the same '
            'ROS_DOMAIN_ID? ') * 2
# Tools scroll, as lists do; all else has to be whole.
BEYOND = """
[...document.querySelectorAll('.corner button, .foot button, .object, .object button, #sentence')]
  .filter((each) => each.getClientRects().length)
  .filter((each) => {
    const {left, right, bottom} = each.getBoundingClientRect();
    return left < 0 || right > innerWidth + 0.5 || bottom > innerHeight + 0.5;
  }).map((each) => each.outerHTML)
"""


@pytest.mark.parametrize('size', [
    (1280, 800), (1000, 420), (900, 600), (740, 360), (667, 375), (390, 844)],
    ids=lambda size: f'{size[0]}x{size[1]}')
def test_long_sentences_push_nothing_off_the_screen(
        look: Any, keep_picture: Any, size: tuple[int, int]) -> None:
    width, height = size
    tracker = StandIn(RATE_HZ)
    shown = look(tracker, viewport={'width': width, 'height': height}, color_scheme='light')
    shown.click(320, 300)
    shown.wait_for_message('new object 1')
    shown.wait_for_object(1)
    tracker.health = Health('error', 'away', SENTENCE)
    shown.page.locator('#state-word', has_text='away').wait_for()
    keep_picture(shown, f'layout_{width}x{height}')
    assert shown.page.evaluate(BEYOND) == []


def test_on_a_phone_on_its_side_the_picture_has_most_of_the_screen(look: Any) -> None:
    shown = look(StandIn(RATE_HZ), viewport={'width': 667, 'height': 375},
                 device_scale_factor=2, has_touch=True, is_mobile=True)
    stage = shown.page.locator('#stage').bounding_box()
    assert stage['width'] * stage['height'] > 0.45 * 667 * 375
    # Without their words the tools keep their names.
    shown.page.get_by_role('button', name='Freeze').tap()
    shown.page.locator('#frozen').wait_for()


def test_a_list_that_nobody_confirms_says_that_it_is_old(look: Any) -> None:
    tracker = StandIn(RATE_HZ)
    shown = look(tracker)
    shown.click(320, 300)
    shown.wait_for_object(1)
    old = shown.page.locator('#old')
    assert not old.is_visible()
    tracker.health = Health('error', 'away', 'nothing is heard of /sam2_tracker for 4 s')
    old.wait_for()
    assert 'is-old' in shown.page.locator('#objects').get_attribute('class')
    tracker.health = None
    old.wait_for(state='hidden')

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""`make demo-console` as a user sees it: tracker, video and console, and a page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
import os
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='ROS 2 (rclpy) is not installed')

from demo.console import FRAMES, served, SHOT
from demo.fetch_clip import VIDEO
from demo.scene import FRAME_HW, LAST_FRAME
from tools.transport import own_network
from waiting import wait_until

pytestmark = pytest.mark.skipif(
    not VIDEO.is_file(), reason=f'{VIDEO} is missing: python -m demo.fetch_clip'
)
# The second half of the shot, without the man, and pixels on its objects on every frame of it.
PLAYED = {**SHOT, 'first_frame': LAST_FRAME - 27}
BAG, BOLLARD = (300, 95), (221, 220)
ACTIVE_WITHIN_S = 180.0


@pytest.fixture(scope='module')
def address(needs_ros: None, tmp_path_factory: Any) -> Iterator[str]:
    before = dict(os.environ)
    os.environ.update(own_network())
    with served(tmp_path_factory.mktemp('console'), source=PLAYED) as (found, _):
        yield found
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def shown(address: str, browser: Any) -> Iterator[Any]:
    from browser_rig import ConsolePage

    context = browser.new_context(viewport={'width': 1280, 'height': 800}, color_scheme='dark')
    page = ConsolePage(context.new_page(), None, FRAME_HW)
    page.page.set_default_timeout(60_000)
    page.open(address)
    page.page.locator('#state-word', has_text='tracking').wait_for(
        timeout=1000 * ACTIVE_WITHIN_S)
    yield page
    context.close()


def freeze_a_result(shown: Any) -> None:
    """Freeze a picture with masks: of those without, a busy tracker may have missed the image."""

    def is_frozen() -> bool:
        shown.press(' ')
        if shown.page.evaluate('seen.ids?.includes(1)'):
            return True
        shown.press(' ')
        return False

    wait_until(is_frozen)


def test_what_is_clicked_is_tracked_and_seen_and_taken_back(
    shown: Any, keep_picture: Any
) -> None:
    shown.press('h')
    shown.click(*BAG)
    shown.wait_for_message('new object 1:')
    shown.wait('seen.ids.includes(1)')
    shown.wait_for_object(1)
    shown.press('r')
    shown.page.keyboard.type('bag')
    shown.press('Enter')
    shown.page.get_by_role('button', name='Select bag (object 1)').wait_for()
    shown.press('n')
    shown.click(*BOLLARD)
    shown.wait_for_message('new object 2:')
    shown.wait_for_object(2)
    shown.press('r')
    shown.page.keyboard.type('bollard')
    shown.press('Enter')
    shown.wait("document.querySelectorAll('.object').length === 2")
    shown.wait("document.querySelector('.object polyline').points.length > 3")
    keep_picture(shown, 'demo')
    shown.press('z')
    shown.wait_for_message('the click on object 2 is taken back')
    shown.page.locator('.object[data-id="2"]').wait_for(state='detached')


def test_a_frozen_picture_is_prompted_at_leisure(shown: Any, keep_picture: Any) -> None:
    shown.press('h')
    freeze_a_result(shown)
    shown.page.wait_for_timeout(15_000)
    stamp = shown.page.evaluate('seen.stamp')
    shown.press('n')
    shown.click(*BOLLARD)
    shown.wait_for_message('new object 3:')
    shown.click(BOLLARD[0], BOLLARD[1] + 30)
    shown.wait_for_message('refined object')
    assert shown.page.evaluate('seen.stamp') == stamp
    for name in ('new', 'refine'):
        assert shown.page.locator(f'#left-{name} b').text_content().endswith(' s')
    keep_picture(shown, 'demo_frozen')
    shown.press(' ')
    shown.wait(f"seen.stamp !== '{stamp}' && seen.ids.length > 0")


def test_frames_are_kept_for_20_seconds_and_more() -> None:
    assert FRAMES >= 20 * 15

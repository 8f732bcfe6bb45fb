# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""In a real browser: on a frozen picture the selected object's clicks and boxes are to be seen."""

from __future__ import annotations

from typing import Any

from client_stand_in import StandIn
import cv2
import numpy as np
import pytest
from waiting import wait_until

RATE_HZ = 8.0
GREEN, RED = (18, 120, 74), (194, 47, 47)
DEVICES = {
    'dark': {},
    'light': {'color_scheme': 'light'},
    'phone': {'viewport': {'width': 390, 'height': 844}, 'device_scale_factor': 3,
              'has_touch': True, 'is_mobile': True},
    'phone_light': {'viewport': {'width': 390, 'height': 844}, 'device_scale_factor': 2,
                    'color_scheme': 'light'},
}


@pytest.fixture(name='frozen')
def frozen_fixture(look: Any, request: pytest.FixtureRequest) -> Any:
    """Open a page with one object, made by a click on its frozen picture."""
    shown = look(StandIn(RATE_HZ), **DEVICES[getattr(request, 'param', 'dark')])
    shown.press(' ')
    shown.page.locator('#frozen').wait_for()
    shown.click(320, 300)
    shown.wait_for_message('new object 1')
    shown.wait_for_object(1)
    return shown


def pixels_around(shown: Any, x: float, y: float, half: int = 6) -> Any:
    """Return what the screen shows around a point, and each pixel's way down and right."""
    clip = {'x': round(x) - half, 'y': round(y) - half, 'width': 2 * half, 'height': 2 * half}
    shot = cv2.imdecode(np.frombuffer(shown.page.screenshot(clip=clip), np.uint8), 1)
    rgb = shot[..., ::-1].astype(int)
    down, right = (np.indices(rgb.shape[:2]) + 0.5) * 2 * half / len(rgb) - half
    return rgb, down + round(y) - y, right + round(x) - x


def mark_at(shown: Any, x: float, y: float, is_pixel: bool = True) -> str:
    """Return + or - for what is drawn at a pixel of the picture, or a place on the screen."""
    rgb, down, right = pixels_around(shown, *(shown.point_of(x, y) if is_pixel else (x, y)))
    for colour in (GREEN, RED):
        is_disc = (np.abs(rgb - colour).max(axis=2) < 12) & (np.hypot(down, right) < 7)
        if is_disc.mean() > 0.3:
            upright = rgb[(np.abs(right) < 0.6) & (np.abs(down) > 2) & (np.abs(down) < 3.5)]
            level = rgb[(np.abs(down) < 0.6) & (np.abs(right) > 2) & (np.abs(right) < 3.5)]
            assert level.max() > 200
            sign = '+' if upright.min(axis=1).mean() > 120 else '-'
            assert (sign == '+') == (colour == GREEN)
            return sign
    return ''


def has_edge_at(shown: Any, x: float, y: float) -> bool:
    """Tell whether a line in a box's colour goes through a pixel."""
    rgb, _, _ = pixels_around(shown, *shown.point_of(x, y), half=3)
    return bool((np.abs(rgb - GREEN).max(axis=2) < 30).any())


@pytest.mark.parametrize('frozen', DEVICES, indirect=True)
def test_clicks_and_boxes_are_drawn_where_they_were_made(
        frozen: Any, keep_picture: Any, request: pytest.FixtureRequest) -> None:
    wait_until(lambda: mark_at(frozen, 320, 300) == '+')
    frozen.click(420, 330, button='right')
    wait_until(lambda: mark_at(frozen, 420, 330) == '-')
    frozen.drag((120, 200), (220, 400))
    frozen.wait_for_message('refined object 1')
    wait_until(lambda: has_edge_at(frozen, 120, 260) and has_edge_at(frozen, 170, 400))
    assert not has_edge_at(frozen, 150, 260)
    assert mark_at(frozen, 320, 300) == '+'
    keep_picture(frozen, f'prompts_{request.node.callspec.id}')


def test_they_stay_on_their_pixels_when_the_picture_is_zoomed(
        frozen: Any, keep_picture: Any) -> None:
    wait_until(lambda: mark_at(frozen, 320, 300) == '+')
    # The wheel's place is in whole pixels of the screen.
    other = tuple(map(round, frozen.point_of(420, 330)))
    frozen.page.mouse.move(*other)
    frozen.page.mouse.wheel(0, -400)
    frozen.wait("document.querySelector('#zoom').textContent === '272 %'")
    x, y = frozen.point_of(320, 300)
    moved = [at + (place - at) * np.exp(1) for at, place in zip(other, (x, y), strict=True)]
    frozen.page.mouse.move(10, 60)
    wait_until(lambda: mark_at(frozen, *moved, is_pixel=False) == '+')
    assert mark_at(frozen, 320, 300) == ''
    keep_picture(frozen, 'prompts_zoomed')


def test_they_go_with_undo_with_the_selection_and_when_the_picture_is_live_again(
        frozen: Any) -> None:
    wait_until(lambda: mark_at(frozen, 320, 300) == '+')
    frozen.click(420, 330, button='right')
    wait_until(lambda: mark_at(frozen, 420, 330) == '-')
    frozen.press('z')
    wait_until(lambda: mark_at(frozen, 420, 330) == '')
    assert mark_at(frozen, 320, 300) == '+'
    frozen.press('n')
    wait_until(lambda: mark_at(frozen, 320, 300) == '')
    frozen.press('1')
    wait_until(lambda: mark_at(frozen, 320, 300) == '+')
    frozen.press(' ')
    wait_until(lambda: mark_at(frozen, 320, 300) == '')
    frozen.press(' ')
    frozen.page.locator('#frozen').wait_for()
    # It is another picture now.
    assert mark_at(frozen, 320, 300) == ''
    frozen.click(330, 310)
    wait_until(lambda: mark_at(frozen, 330, 310) == '+')
    frozen.press('Shift+R')
    frozen.page.get_by_role('button', name='Remove all').click()
    frozen.wait_for_message('every object is removed')
    wait_until(lambda: mark_at(frozen, 330, 310) == '')


def test_what_another_browser_pointed_at_is_drawn_too(look: Any, frozen: Any) -> None:
    wait_until(lambda: mark_at(frozen, 320, 300) == '+')
    stamp = frozen.page.locator('#stage').get_attribute('data-stamp')
    other = look(address=frozen.page.url)
    other.page.evaluate("""(stamp) => new Promise((resolve) => {
      const socket = new WebSocket(`ws://${location.host}/stream`);
      socket.onopen = () => {
        socket.send(JSON.stringify({do: 'hello', token: ''}));
        const points = [[420, 330, 0]];
        socket.send(JSON.stringify({do: 'prompt', n: 1, stamp, object: 1, points}));
        setTimeout(resolve, 100);
      };
    })""", stamp)
    wait_until(lambda: mark_at(frozen, 420, 330) == '-')


def test_a_refused_click_is_not_drawn(frozen: Any) -> None:
    wait_until(lambda: mark_at(frozen, 320, 300) == '+')
    frozen.tracker.look_back_s = -1000.0
    frozen.click(420, 330)
    frozen.wait_for_message('is too old')
    frozen.press('[')
    assert mark_at(frozen, 420, 330) == ''

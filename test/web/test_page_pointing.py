# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""In a real browser: what is pointed at is the pixel of the picture that was seen."""

from __future__ import annotations

from typing import Any

from client_stand_in import number_of, StandIn
import numpy as np
import pytest
from throttle import ThrottledLink
from waiting import wait_until

RATE_HZ = 8.0
# As a page sees them: a browser's zoom makes the window smaller and the pixels more.
WINDOWS = {
    'desktop': {'viewport': {'width': 1280, 'height': 800}},
    'desktop zoomed to 150 %': {
        'viewport': {'width': 853, 'height': 533}, 'device_scale_factor': 1.5},
    'desktop zoomed to 67 %': {
        'viewport': {'width': 1910, 'height': 1194}, 'device_scale_factor': 0.67},
    'fine pixels': {'viewport': {'width': 1440, 'height': 900}, 'device_scale_factor': 2},
    'letters above and below': {'viewport': {'width': 760, 'height': 1100}},
    'letters left and right': {'viewport': {'width': 1600, 'height': 420}},
    'phone': {'viewport': {'width': 390, 'height': 844}, 'device_scale_factor': 3},
    'phone on its side': {'viewport': {'width': 844, 'height': 390}, 'device_scale_factor': 2.5},
}


def assert_prompted(tracker: StandIn, seen: int, x: float, y: float) -> Any:
    """Check that the last prompt was for that picture and pixel."""
    call = wait_until(lambda: tracker.calls and tracker.calls[-1])
    assert number_of(call.stamp_ns, tracker.rate_hz) == seen
    np.testing.assert_allclose(call.prompt.points_xy[-1], (x, y), atol=0.5)
    return call


def wait_for_calls(tracker: StandIn, count: int) -> None:
    """Wait until so many prompts have come."""
    wait_until(lambda: len(tracker.calls) >= count)


@pytest.mark.parametrize('window', WINDOWS)
def test_a_click_is_the_pixel_and_the_picture_that_were_seen(look: Any, window: str) -> None:
    shown = look(StandIn(RATE_HZ), **WINDOWS[window])
    for number, (x, y) in enumerate(((320, 300), (2, 130), (637, 477)), 1):
        seen = shown.click(x, y)
        wait_for_calls(shown.tracker, number)
        assert_prompted(shown.tracker, seen, x, y)
        shown.wait_for_message(f'new object {number}')
        shown.press('n')


@pytest.mark.parametrize('hw', [(300, 1000), (720, 405)])
@pytest.mark.parametrize('max_side', [0, 320])
def test_pictures_of_any_shape_sent_smaller_keep_their_own_pixels(
        look: Any, hw: tuple[int, int], max_side: int) -> None:
    shown = look(StandIn(RATE_HZ, hw), console={'max_side': max_side})
    x, y = hw[1] * 3 // 4, hw[0] * 2 // 3
    assert_prompted(shown.tracker, shown.click(x, y), x, y)
    row = shown.wait_for_object(1)
    assert row.locator('small').text_content() == 'visible'


def test_zooming_into_the_picture_keeps_what_is_under_the_mouse(look: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    x, y = 200, 330
    point = shown.point_of(x, y)
    shown.page.mouse.move(*point)
    shown.page.mouse.wheel(0, -700)
    shown.wait("document.querySelector('#zoom').textContent !== '100 %'")
    shown.page.mouse.click(*point)
    call = wait_until(lambda: shown.tracker.calls)[0]
    np.testing.assert_allclose(call.prompt.points_xy[0], (x, y), atol=0.5)
    # Four times as large: 40 pixels of the screen are fewer of the picture.
    shown.page.mouse.move(point[0] + 40, point[1])
    shown.page.mouse.click(point[0] + 40, point[1])
    call = wait_until(lambda: shown.tracker.calls[1:])[0]
    assert 1 < call.prompt.points_xy[0, 0] - x < 15
    shown.press('0')
    shown.wait("document.querySelector('#zoom').textContent === '100 %'")


def test_what_lies_beside_the_picture_is_not_clicked(look: Any) -> None:
    shown = look(StandIn(RATE_HZ), viewport={'width': 1600, 'height': 420})
    shown.page.mouse.click(10, 200)
    assert_prompted(shown.tracker, shown.click(300, 200), 300, 200)
    assert len(shown.tracker.calls) == 1


def test_further_clicks_refine_and_the_right_button_takes_away(look: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    shown.click(320, 300)
    shown.wait_for_message('new object 1')
    for how in ({'button': 'right'}, {'key': 'Shift'}, {'key': 'Control'}, {'toggled': True}, {}):
        count = len(shown.tracker.calls)
        key = how.pop('key', '')
        toggled = how.pop('toggled', False)
        if key:
            shown.page.keyboard.down(key)
        if toggled:
            shown.page.get_by_role('button', name='Negative').click()
        seen = shown.click(330, 310, **how)
        if key:
            shown.page.keyboard.up(key)
        if toggled:
            shown.press('x')
        wait_for_calls(shown.tracker, count + 1)
        call = assert_prompted(shown.tracker, seen, 330, 310)
        assert call.prompt.object_id == 1
        is_negative = bool(how or key) or toggled
        assert call.prompt.point_labels.tolist() == [0 if is_negative else 1]


def test_two_quick_clicks_are_one_object_and_its_refinement(look: Any) -> None:
    tracker = StandIn(RATE_HZ)
    tracker.answer_s = 0.6
    shown = look(tracker)
    shown.click(320, 300)
    shown.click(340, 310)
    wait_until(lambda: len(tracker.calls) == 2)
    assert [call.prompt.object_id for call in tracker.calls] == [0, 1]


def test_a_negative_click_without_an_object_is_not_sent(look: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    shown.click(320, 300, button='right')
    shown.wait_for_message('Select an object first')
    assert not shown.tracker.calls


def test_a_drag_is_a_box_on_the_picture_that_it_began_on(look: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    seen = shown.drag((250, 220), (390, 350))
    call = wait_until(lambda: shown.tracker.calls)[0]
    assert number_of(call.stamp_ns, RATE_HZ) == seen
    np.testing.assert_allclose(call.prompt.box_xyxy, (250.5, 220.5, 390.5, 350.5), atol=0.5)
    assert not len(call.prompt.points_xy)


def test_a_box_that_leaves_the_picture_ends_at_its_edge(look: Any) -> None:
    shown = look(StandIn(RATE_HZ), viewport={'width': 1600, 'height': 420})
    shown.page.mouse.move(*shown.point_of(500, 300))
    shown.page.mouse.down()
    shown.page.mouse.move(1595, 10, steps=3)
    shown.page.mouse.up()
    call = wait_until(lambda: shown.tracker.calls)[0]
    np.testing.assert_allclose(call.prompt.box_xyxy[[1, 2]], (0, 640), atol=60)
    assert call.prompt.box_xyxy[2] == 640


def test_a_box_may_begin_beside_the_picture_and_is_given_up_by_escape(look: Any) -> None:
    shown = look(StandIn(RATE_HZ), viewport={'width': 1600, 'height': 420})
    right, top = shown.point_of(639.5, 100)
    for key in ('Escape', ''):
        shown.page.mouse.move(right + 60, top)
        shown.page.mouse.down()
        shown.page.mouse.move(*shown.point_of(500, 300), steps=3)
        if key:
            shown.press(key)
        shown.page.mouse.up()
    # One that has nothing of the picture in it is none.
    shown.page.mouse.move(right + 20, top)
    shown.page.mouse.down()
    shown.page.mouse.move(right + 60, top + 60, steps=3)
    shown.page.mouse.up()
    shown.wait_for_message('new object 1')
    assert len(shown.tracker.calls) == 1
    box = shown.tracker.calls[0].prompt.box_xyxy
    np.testing.assert_allclose(box, (500.5, 100.5, 640, 300.5), atol=1.0)


def test_a_browser_s_own_buttons_point_at_nothing(look: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    session = shown.page.context.new_cdp_session(shown.page)
    x, y = shown.point_of(200, 300)
    for kind in ('mousePressed', 'mouseReleased'):
        session.send('Input.dispatchMouseEvent', {
            'type': kind, 'x': x, 'y': y, 'button': 'forward', 'clickCount': 1})
    shown.click(320, 300)
    shown.wait_for_message('new object 1')
    assert len(shown.tracker.calls) == 1


def test_while_the_button_is_down_the_picture_stays(look: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    shown.page.mouse.move(*shown.point_of(250, 220))
    shown.page.mouse.down()
    stamp = shown.page.evaluate("document.querySelector('#stage').dataset.stamp")
    number = shown.tracker.number
    wait_until(lambda: shown.tracker.number > number + 6)
    assert shown.page.evaluate("document.querySelector('#stage').dataset.stamp") == stamp
    shown.page.mouse.move(*shown.point_of(390, 350), steps=3)
    shown.page.mouse.up()
    call = wait_until(lambda: shown.tracker.calls)[0]
    assert call.stamp_ns == int(stamp)
    shown.wait(f"document.querySelector('#stage').dataset.stamp !== '{stamp}'")


def test_on_a_slow_network_a_click_still_hits_the_picture_that_was_seen(
        look: Any, serve: Any) -> None:
    served = serve(StandIn(RATE_HZ))
    with ThrottledLink(served.server.port, bytes_per_s=60_000, delay_s=0.25) as link:
        shown = look(served=served, address=f'http://127.0.0.1:{link.port}/')
        for x, y in ((320, 300), (100, 200)):
            count = len(served.tracker.calls)
            seen = shown.click(x, y)
            wait_for_calls(served.tracker, count + 1)
            assert_prompted(served.tracker, seen, x, y)
            # What was seen is long past for the tracker.
            assert served.tracker.number - seen >= 3
            shown.wait_for_message(f'object {served.tracker.next_id - 1}')
            shown.press('n')
        # One picture on its way at most: they do not fall further and further behind.
        behind = served.tracker.number - shown.page.evaluate('seen.now')
        assert behind < 5 * RATE_HZ


def test_touch_taps_drags_and_pinches(look: Any) -> None:
    shown = look(StandIn(RATE_HZ), viewport={'width': 390, 'height': 844},
                 device_scale_factor=3, has_touch=True, is_mobile=True)
    shown.page.touchscreen.tap(*shown.point_of(320, 300))
    assert_prompted(shown.tracker, wait_until(lambda: shown.presses)[0], 320, 300)
    shown.wait_for_message('new object 1')
    shown.page.get_by_role('button', name='Negative').tap()
    shown.page.touchscreen.tap(*shown.point_of(300, 300))
    call = wait_until(lambda: shown.tracker.calls[1:])[0]
    assert (call.prompt.object_id, call.prompt.point_labels.tolist()) == (1, [0])
    pinch(shown)
    shown.wait("document.querySelector('#zoom').textContent !== '100 %'")
    assert len(shown.tracker.calls) == 2


def pinch(shown: Any) -> None:
    """Move two fingers apart on the picture."""
    (left, top), session = shown.point_of(320, 240), shown.page.context.new_cdp_session(shown.page)

    def touch(kind: str, apart: float) -> None:
        points = [] if apart < 0 else [
            {'x': left - apart, 'y': top, 'id': 1}, {'x': left + apart, 'y': top, 'id': 2}]
        session.send('Input.dispatchTouchEvent', {'type': kind, 'touchPoints': points})

    touch('touchStart', 20)
    for apart in (35, 50, 65):
        touch('touchMove', apart)
    touch('touchEnd', -1)


def test_the_keyboard_alone_can_click_and_draw_boxes(look: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    shown.page.locator('#stage').focus()
    shown.press('ArrowRight')
    shown.press('Shift+ArrowRight')
    shown.press('Enter')
    call = wait_until(lambda: shown.tracker.calls)[0]
    np.testing.assert_allclose(call.prompt.points_xy[0], (320.5, 239.5), atol=0.51)
    shown.wait_for_message('new object 1')
    shown.press('b')
    for key in ('ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowDown'):
        shown.press(key)
    shown.press('Enter')
    call = wait_until(lambda: shown.tracker.calls[1:])[0]
    left, top, right, bottom = call.prompt.box_xyxy
    assert (right - left, bottom - top) == pytest.approx((24 / 1.4, 36 / 1.4), rel=0.1)

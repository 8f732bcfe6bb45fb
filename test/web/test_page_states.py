# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""In a real browser: what can be done besides pointing, and what is said of the tracker."""

from __future__ import annotations

import itertools
import time
from typing import Any

from client_stand_in import number_of, RADIUS, StandIn
from console_rig import ServedConsole
import cv2
import numpy as np
import pytest
from sam2_tracker.core.types import ObjectState
from sam2_tracker.web.tracker_client import Health
from waiting import wait_until

RATE_HZ = 8.0


@pytest.fixture(name='shown')
def shown_fixture(look: Any) -> Any:
    """Open a page with one object, which is selected, and is of an earlier picture."""
    shown = look(StandIn(RATE_HZ))
    number = shown.click(320, 300)
    shown.wait_for_message('new object 1')
    shown.wait_for_object(1)
    shown.wait(f'seen.now > {number}')
    return shown


def button(shown: Any, name: str) -> Any:
    return shown.page.get_by_role('button', name=name, exact=False).first


def test_a_frozen_picture_takes_prompts_for_15_seconds_and_says_how_long(
        shown: Any, keep_picture: Any) -> None:
    shown.press(' ')
    shown.page.locator('#frozen').wait_for()
    frozen = shown.page.evaluate('seen.now')
    time.sleep(15)
    keep_picture(shown, 'frozen')
    assert shown.page.evaluate('seen.now') == frozen
    shown.click(330, 310)
    shown.wait_for_message('refined object 1')
    shown.press('n')
    shown.click(120, 250)
    shown.wait_for_message('new object 2')
    refined, added = shown.tracker.calls[-2:]
    assert (refined.prompt.object_id, added.prompt.object_id) == (1, 0)
    for call in (refined, added):
        assert number_of(call.stamp_ns, RATE_HZ) == frozen
    assert number_of(call.stamp_ns, RATE_HZ) < shown.tracker.number - 14 * RATE_HZ
    shown.press(' ')
    shown.wait(f'seen.now > {frozen + 14 * RATE_HZ}')
    assert not shown.page.locator('#frozen').is_visible()


def test_the_countdown_of_a_frozen_picture_ends_in_the_tracker_s_own_refusal(look: Any) -> None:
    tracker = StandIn(RATE_HZ)
    tracker.buffer_s, tracker.look_back_s = 6.0, 3.0
    shown = look(tracker)
    wait_until(lambda: tracker.number > 7 * RATE_HZ)
    shown.press(' ')
    left = shown.page.locator('#left-new b')
    wait_until(lambda: left.text_content() in {'4 s', '3 s'})
    over = shown.page.locator('#left-refine b')
    wait_until(lambda: over.text_content() == 'over')
    assert left.text_content() in {'3 s', '2 s', '1 s'}
    wait_until(lambda: left.text_content() == 'over')
    shown.click(320, 300)
    shown.wait_for_message('is too old: the oldest is')
    assert not tracker.objects


def test_undo_takes_back_the_last_prompt_and_removes_what_it_made(shown: Any) -> None:
    shown.click(330, 310)
    shown.wait_for_message('refined object 1')
    shown.press('z')
    shown.wait_for_message('the click on object 1 is taken back')
    call = shown.tracker.calls[-1]
    assert call.clear_previous
    assert call.prompt.object_id == 1
    assert not len(call.prompt.points_xy) and call.prompt.box_xyxy is None
    button(shown, 'Undo').click()
    wait_until(lambda: 'remove 1' in shown.tracker.done)
    shown.page.locator('.object').wait_for(state='detached')
    assert button(shown, 'Undo').is_disabled()


def test_other_prompts_of_the_picture_are_sent_again_after_undo(shown: Any) -> None:
    shown.press(' ')
    shown.click(330, 310)
    shown.wait_for_message('refined object 1')
    shown.click(350, 320, button='right')
    wait_until(lambda: len(shown.tracker.calls) == 3)
    shown.press('z')
    shown.wait_for_message('the negative click on object 1 is taken back')
    stamp_ns = shown.tracker.calls[1].stamp_ns
    cleared, again = shown.tracker.calls[3:]
    assert cleared.clear_previous and not len(cleared.prompt.points_xy)
    assert not again.clear_previous
    assert again.prompt.points_xy.tolist() == shown.tracker.calls[1].prompt.points_xy.tolist()
    assert {each.stamp_ns for each in (cleared, again)} == {stamp_ns}


def test_the_prompt_that_made_an_object_is_sent_again_where_it_is_of_the_same_picture(
        look: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    shown.press(' ')
    shown.page.locator('#frozen').wait_for()
    shown.click(320, 300)
    shown.wait_for_message('new object 1')
    shown.wait_for_object(1)
    shown.click(330, 310)
    shown.wait_for_message('refined object 1')
    shown.press('z')
    shown.wait_for_message('the click on object 1 is taken back')
    made, _, again = shown.tracker.calls
    assert again.clear_previous and again.prompt.object_id == 1
    assert again.prompt.points_xy.tolist() == made.prompt.points_xy.tolist()
    assert again.stamp_ns == made.stamp_ns


def test_a_label_is_edited_in_place_and_drawn(shown: Any, keep_picture: Any) -> None:
    shown.press('r')
    shown.page.keyboard.type('red cup')
    shown.press('Enter')
    wait_until(lambda: shown.tracker.objects[1].label == 'red cup')
    shown.page.get_by_role('button', name='Select red cup (object 1)').wait_for()
    # Keys that are typed into a label do nothing else.
    assert not shown.tracker.is_paused
    assert shown.page.locator('#stage.is-frozen').count() == 0
    keep_picture(shown, 'label')


def test_a_label_can_be_emptied_again(shown: Any, keep_picture: Any) -> None:
    shown.press('r')
    shown.page.keyboard.type('red cup')
    shown.press('Enter')
    shown.page.get_by_role('button', name='Select red cup (object 1)').wait_for()
    shown.press('F2')
    shown.press('Delete')
    shown.press('Enter')
    shown.wait_for_message('object 1 has no label any more')
    assert shown.tracker.objects[1].label == ''
    shown.page.get_by_role('button', name='Select object 1', exact=True).wait_for()
    assert shown.page.get_by_label('Label of object 1').input_value() == ''
    keep_picture(shown, 'label_emptied')


@pytest.mark.parametrize('key', ['Enter', 'Escape'])
def test_the_focus_is_on_the_object_s_row_after_its_label_was_edited(
        shown: Any, key: str) -> None:
    shown.press('F2')
    shown.page.keyboard.type('cup')
    shown.press(key)
    focused = 'document.activeElement.dataset.id'
    assert shown.page.evaluate(focused) == '1'
    # Keys are the page's again, and the list's new state leaves the focus where it is.
    shown.press(' ')
    shown.page.locator('#stage.is-frozen').wait_for()
    assert shown.page.locator('.object.is-selected').count() == 1
    shown.press(' ')
    assert shown.page.evaluate(focused) == '1'
    shown.press('Tab')
    assert shown.page.evaluate('document.activeElement.className') == 'pick'


def test_objects_are_selected_and_removed_by_mouse_and_keys(shown: Any) -> None:
    shown.press('n')
    shown.click(120, 300)
    shown.wait_for_message('new object 2')
    shown.wait_for_object(2)
    shown.press('1')
    shown.page.locator('.object.is-selected[data-id="1"]').wait_for()
    shown.press(']')
    shown.page.locator('.object.is-selected[data-id="2"]').wait_for()
    shown.press('Delete')
    shown.wait_for_message('object 2 is removed')
    shown.page.get_by_role('button', name='Remove object 1').click()
    wait_until(lambda: shown.tracker.done == ['remove 2', 'remove 1'])
    shown.page.locator('#empty').wait_for()


def is_white_edge(shown: Any) -> bool:
    """Tell whether the picture has the white edge of a preview to the right of the mouse."""
    left, top = shown.point_of(322, 302)
    right, _ = shown.point_of(322 + 2 * RADIUS, 302)
    clip = {'x': left, 'y': top, 'width': right - left, 'height': 1}
    pixels = cv2.imdecode(np.frombuffer(shown.page.screenshot(clip=clip), np.uint8), 1)
    return bool((pixels.min(axis=2) > 235).any())


def test_hovering_shows_what_a_click_would_select_and_prompts_nothing(
        look: Any, keep_picture: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    places = itertools.cycle([(320, 300), (322, 302)])

    def is_outlined() -> bool:
        # Outlines stand for a moment only, and a busy machine's previews may be too slow.
        if button(shown, 'Hover').get_attribute('aria-pressed') == 'false':
            shown.press('h')
        shown.page.mouse.move(*shown.point_of(*next(places)))
        return is_white_edge(shown)

    wait_until(is_outlined)
    keep_picture(shown, 'hover')
    assert not shown.tracker.calls and not shown.tracker.objects


def test_hovering_stops_where_a_preview_takes_long(look: Any) -> None:
    tracker = StandIn(RATE_HZ)
    tracker.answer_s = 0.2
    shown = look(tracker)
    shown.page.mouse.move(*shown.point_of(320, 300))
    shown.page.mouse.move(*shown.point_of(322, 302))
    shown.wait_for_message('Hovering is off')
    assert button(shown, 'Hover').get_attribute('aria-pressed') == 'false'
    shown.press('h')
    assert button(shown, 'Hover').get_attribute('aria-pressed') == 'true'


def test_pause_reset_save_and_load_ask_the_tracker(shown: Any, keep_picture: Any) -> None:
    shown.press('p')
    shown.page.locator('#state-word', has_text='paused').wait_for()
    keep_picture(shown, 'paused')
    shown.click(400, 200)
    shown.wait_for_message('tracking is paused: prompts are taken when it goes on')
    button(shown, 'Pause').click()
    shown.page.locator('#state-word', has_text='tracking').wait_for()
    button(shown, 'Save').click()
    keep_picture(shown, 'question')
    shown.page.get_by_label('File name').fill('cups')
    shown.page.keyboard.press('Enter')
    shown.wait_for_message('/robot/memories/cups.safetensors')
    shown.press('o')
    shown.page.get_by_label('File name').fill('cups')
    shown.page.keyboard.press('Enter')
    shown.wait_for_message('no object memory cups.safetensors in /robot/memories')
    shown.press('Shift+R')
    shown.page.get_by_role('button', name='Cancel').click()
    assert 1 in shown.tracker.objects
    button(shown, 'Reset').click()
    shown.page.get_by_role('button', name='Remove all').click()
    shown.wait_for_message('every object is removed')
    assert shown.tracker.done == ['pause', 'go on', 'save cups', 'reset']


@pytest.mark.parametrize('health, word', [
    (Health('error', 'away', 'nothing is heard of /sam2_tracker for 4 s'), 'away'),
    (Health('error', 'unconfigured', 'the tracker is unconfigured: no such checkpoint'),
     'not active'),
    (Health('warning', 'active', 'no images come in on /image'), 'warning'),
    (Health('error', 'active', '3 frames lost, 3 in all'), 'error'),
])
def test_the_tracker_s_own_words_say_how_it_is(
        look: Any, health: Health, word: str, keep_picture: Any) -> None:
    tracker = StandIn(RATE_HZ)
    tracker.health = health
    shown = look(tracker)
    shown.page.locator('#state-word', has_text=word).wait_for()
    assert shown.page.locator('#sentence').text_content() == health.sentence
    keep_picture(shown, f'state_{word.replace(" ", "_")}_{health.level}')


def test_states_of_objects_are_words_and_not_only_colours(shown: Any, keep_picture: Any) -> None:
    for state, word in ((ObjectState.OCCLUDED, 'occluded'), (ObjectState.LOST, 'lost'),
                        (ObjectState.UNKNOWN, 'on its way'), (ObjectState.VISIBLE, 'visible')):
        shown.tracker.objects[1].state = state
        shown.page.locator('.object small', has_text=word).wait_for()
        if state is ObjectState.LOST:
            keep_picture(shown, 'lost')


def test_a_camera_that_stops_is_said_on_the_picture(shown: Any) -> None:
    shown.tracker.is_standing = True
    shown.page.locator('#notice', has_text='No new picture for').wait_for()
    shown.tracker.is_standing = False
    shown.page.locator('#notice').wait_for(state='hidden')


def test_where_no_masks_come_the_camera_is_shown_all_the_same(shown: Any) -> None:
    shown.wait('seen.hasMasks')
    shown.tracker.is_silent = True
    shown.wait('!seen.hasMasks')
    number = shown.page.evaluate('seen.now')
    shown.wait(f'seen.now > {number + 4}')


def test_a_click_without_an_answer_is_sent_once_and_the_list_is_asked(shown: Any) -> None:
    calls = len(shown.tracker.calls)
    shown.tracker.is_silent = True
    shown.click(200, 300)
    shown.wait_for_message('gave no answer within 15 s: the list shows what is tracked')
    assert len(shown.tracker.calls) == calls


def test_the_page_comes_back_when_the_console_does(look: Any, serve: Any) -> None:
    served = serve(StandIn(RATE_HZ))
    shown = look(served=served)
    served.stop()
    shown.page.locator('#state-word', has_text='no console').wait_for()
    shown.page.locator('#notice', has_text='What you see is old').wait_for()
    again = StandIn(RATE_HZ)
    ServedConsole(again, port=served.server.port)
    shown.page.locator('#state-word', has_text='tracking').wait_for()
    shown.page.locator('#notice').wait_for(state='hidden')
    shown.page.mouse.click(*shown.point_of(320, 300))
    wait_until(lambda: again.calls)


def test_a_click_whose_connection_breaks_is_not_sent_again(look: Any, serve: Any) -> None:
    tracker = StandIn(RATE_HZ)
    tracker.answer_s = 60.0
    served = serve(tracker)
    shown = look(served=served)
    shown.page.mouse.click(*shown.point_of(320, 300))
    shown.wait_for_message('asking')
    served.stop()
    shown.wait_for_message('it is not sent again')
    again = StandIn(RATE_HZ)
    ServedConsole(again, port=served.server.port)
    shown.page.locator('#state-word', has_text='tracking').wait_for()
    assert not again.calls


def test_an_object_that_went_before_it_was_listed_is_not_selected_for_good(look: Any) -> None:
    tracker = StandIn(RATE_HZ)
    shown = look(tracker)
    tracker.is_silent = True
    wait_until(lambda: tracker.number > 2)
    tracker.is_standing = True
    tracker.is_silent = False
    shown.click(320, 300)
    shown.wait_for_message('new object 1')
    tracker.objects.clear()
    shown.click(330, 310)
    shown.wait_for_message('object 1 is not tracked')
    assert shown.page.locator('#target').text_content() == 'a click makes a new one'


def test_a_token_is_asked_for_until_it_is_right_and_may_be_typed_behind_the_address(
        browser: Any, serve: Any) -> None:
    token = 'a-token-of-enough-letters'
    served = serve(StandIn(RATE_HZ), token=token)
    page = browser.new_context().new_page()
    page.goto(served.address)
    question = page.locator('#ask')
    question.wait_for()
    page.locator('#notice', has_text='Locked').wait_for()
    # Too long, as somebody's clipboard may be: it is wrong like any other.
    page.evaluate("(text) => { document.querySelector('#ask-input').value = text; }", 'x' * 5000)
    page.keyboard.press('Enter')
    question.wait_for(state='hidden')
    question.wait_for()
    page.goto(f'{served.address}#token={token}')
    page.wait_for_selector('#stage[data-stamp]', state='attached')
    assert page.url == served.address
    page.context.close()


def test_two_browsers_see_and_do_the_same(look: Any, serve: Any) -> None:
    served = serve(StandIn(RATE_HZ))
    one, other = look(served=served), look(served=served, color_scheme='light')
    one.click(320, 300)
    other.wait_for_object(1)
    other.press('1')
    other.page.locator('.object.is-selected').wait_for()
    other.click(330, 310)
    other.wait_for_message('refined object 1')
    one.press('z')
    one.wait_for_message('the click on object 1 is taken back')
    assert served.tracker.watched == [True]


def test_every_key_of_the_help_is_listed_and_dark_and_light_can_be_chosen(
        look: Any, keep_picture: Any) -> None:
    shown = look(StandIn(RATE_HZ))
    theme = 'document.documentElement.dataset.theme'
    assert shown.page.evaluate(theme) == 'dark'
    shown.press('t')
    assert shown.page.evaluate(theme) == 'light'
    shown.page.reload()
    shown.wait_for_picture()
    assert shown.page.evaluate(theme) == 'light'
    shown.press('?')
    rows = shown.page.locator('#help-keys dt')
    actions = shown.page.evaluate(
        "import('./actions.js').then((module) => module.ACTIONS.length)")
    assert rows.count() > actions
    keep_picture(shown, 'help')
    shown.press('Escape')
    shown.page.locator('#help').wait_for(state='hidden')

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""In a real browser: what axe-core finds, names for screen readers, the order of keys."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from client_stand_in import StandIn
import pytest
from sam2_tracker.core.types import ObjectState

NAMED = {'button', 'textbox', 'application', 'meter', 'dialog', 'toolbar', 'list', 'log', 'status',
         'complementary', 'region', 'group'}
MAY_HAVE_NO_NAME = {'list', 'log', 'status', 'group'}
PHONE = {'viewport': {'width': 390, 'height': 844}, 'device_scale_factor': 2, 'has_touch': True}
# What axe-core knows of levels A and AA: contrast, roles, names, sizes of targets, landmarks.
RULES = {'runOnly': ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}


def faults_by_axe(page: Any) -> list[str]:
    """Return what axe-core finds wrong on a page, each with the elements that it is about."""
    found = Axe().run(page, options=RULES).response['violations']
    return [f'{each["id"]}: {each["help"]}: {[node["html"] for node in each["nodes"]]}'
            for each in found]


def busy_page(look: Any, **context: Any) -> Any:
    """Open a page with objects in every state."""
    shown = look(StandIn(rate_hz=6.0), **context)
    for place, state in enumerate((ObjectState.VISIBLE, ObjectState.OCCLUDED, ObjectState.LOST,
                                   ObjectState.UNKNOWN)):
        shown.click(90 + 92 * place, 280)
        shown.wait_for_message(f'new object {place + 1}')
        shown.wait_for_object(place + 1)
        shown.tracker.objects[place + 1].state = state
        shown.tracker.objects[place + 1].label = ('red cup', 'tray', '', 'hand')[place]
        shown.press('n')
    shown.press('1')
    shown.page.locator('.object small', has_text='on its way').wait_for()
    return shown


def tree_of(shown: Any) -> list[tuple[str, str]]:
    """Return role and name of what a screen reader is told."""
    session = shown.page.context.new_cdp_session(shown.page)
    nodes = session.send('Accessibility.getFullAXTree')['nodes']
    return [(node['role']['value'], node.get('name', {}).get('value', ''))
            for node in nodes if not node['ignored']]


@pytest.mark.parametrize('context', [
    {'color_scheme': 'dark'}, {'color_scheme': 'light'},
    {'color_scheme': 'dark', **PHONE}, {'color_scheme': 'light', **PHONE}],
    ids=['dark', 'light', 'phone, dark', 'phone, light'])
def test_everything_has_a_name_can_be_read_and_can_be_hit(
        look: Any, keep_picture: Any, context: dict[str, Any],
        request: pytest.FixtureRequest) -> None:
    shown = busy_page(look, **context)
    keep_picture(shown, f'busy_{request.node.callspec.id.replace(", ", "_")}')
    nameless = {role for role, name in tree_of(shown)
                if role in NAMED - MAY_HAVE_NO_NAME and not name.strip()}
    assert not nameless
    names = [name for role, name in tree_of(shown) if role in {'button', 'textbox'}]
    assert len(names) > 15 and len(names) == len(set(names))
    assert not faults_by_axe(shown.page)
    ids = shown.page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    # Nothing is wider than the screen.
    assert shown.page.evaluate('document.documentElement.scrollWidth <= innerWidth')


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(look: Any) -> None:
    shown = busy_page(look)
    reached = []
    # From the first of the page on: a click has left the focus on the picture.
    shown.page.locator('[data-action="theme"]').focus()
    for _ in range(40):
        shown.press('Tab')
        name = shown.page.evaluate(
            'document.activeElement.ariaLabel || document.activeElement.id')
        if name in reached:
            break
        reached.append(name)
    places = [next(place for place, name in enumerate(reached) if name.startswith(start))
              for start in ('Camera picture', 'Freeze', 'Undo', 'Select red cup', 'Remove red cup',
                            'Select tray', 'Save', 'Reset')]
    assert places == sorted(places)


def test_questions_keep_the_keyboard_to_themselves(look: Any, keep_picture: Any) -> None:
    shown = busy_page(look, color_scheme='light', **PHONE)
    shown.press('?')
    dialogs = [name for role, name in tree_of(shown) if role == 'dialog']
    assert dialogs == ['Keys, mouse and touch']
    assert not faults_by_axe(shown.page)
    keep_picture(shown, 'phone_help')
    shown.press('Escape')
    shown.press('s')
    assert [name for role, name in tree_of(shown) if role == 'dialog'] == ['Save memory']
    shown.press('p')
    assert not shown.tracker.is_paused
    shown.press('Escape')
    assert not [role for role, _ in tree_of(shown) if role == 'dialog']

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is installed for viewers can be loaded, and names topics and services that there are."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
import re
from typing import Any

import pytest
from sam2_tracker.core.result_topics import ResultTopic
import yaml

ROOT = Path(__file__).resolve().parent.parent
RVIZ = ROOT / 'viewers' / 'sam2_tracker.rviz'
LAYOUT = ROOT / 'viewers' / 'sam2_tracker_layout.json'
NODE = '/sam2_tracker/'
# As in the README and the launch files' own help.
CAMERA = '/camera/image_raw'
FIELDS = {
    'objects': (ROOT / 'sam2_tracker_msgs/msg/TrackedObjects.msg', 'TrackedObject[] objects'),
    'score': (ROOT / 'sam2_tracker_msgs/msg/TrackedObject.msg', 'float32 score')}


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text, keys included."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, str):
        yield value


def named(content: Any) -> set[str]:
    """Return the topics and services that are named."""
    found = (re.match(r'/[\w/]+', text) for text in texts_in(content))
    return {match[0] for match in found if match}


def of_the_node(room: str, form: str) -> set[str]:
    source = ''.join(path.read_text() for path in (ROOT / 'sam2_tracker/ros' / room).glob('*.py'))
    return {name.removeprefix('~/') for name in re.findall(form, source)}


def layout() -> dict[str, Any]:
    return json.loads(LAYOUT.read_text())


def panels_of(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
        return
    assert set(part) == {'direction', 'splitPercentage', 'first', 'second'}
    assert part['direction'] in ('row', 'column') and 0 < part['splitPercentage'] < 100
    yield from panels_of(part['first'])
    yield from panels_of(part['second'])


@pytest.mark.parametrize('content', [
    pytest.param(lambda: yaml.safe_load(RVIZ.read_text()), id='rviz'),
    pytest.param(layout, id='layout')])
def test_topics_and_services_are_those_of_the_node(content):
    names = {name.removeprefix(NODE) for name in named(content()) if name.startswith(NODE)}
    topics = {topic.value for topic in ResultTopic}
    services = of_the_node('services', r"\w+, '(\w+)', self\.on_\w+\)")
    assert {'objects', 'annotated', 'annotations'} <= topics
    assert {'add_prompts', 'reset'} <= services
    assert names and names <= topics | services


def test_the_camera_is_that_of_the_documentation():
    assert CAMERA in named(layout()) and CAMERA in named(yaml.safe_load(RVIZ.read_text()))
    assert CAMERA in (ROOT / 'README.md').read_text()


def test_every_panel_of_the_layout_has_its_settings_and_a_place():
    content = layout()
    places = list(panels_of(content['layout']))
    assert sorted(places) == sorted(content['configById'])
    kinds = {place.partition('!')[0] for place in places}
    assert kinds == {'Image', 'Plot', 'RawMessages', 'DiagnosticStatusPanel', 'CallService'}


def test_the_layouts_image_shows_the_outlines_of_the_same_frame():
    mode = layout()['configById']['Image!tracked']['imageMode']
    assert mode['imageTopic'] == CAMERA and mode['synchronize'] is True
    assert mode['annotations'] == {f'{NODE}annotations': {'visible': True}}


def test_the_layouts_request_has_the_fields_of_the_service():
    request = json.loads(layout()['configById']['CallService!prompt']['requestPayload'])
    service = (ROOT / 'sam2_tracker_msgs/srv/AddPrompts.srv').read_text().partition('---')[0]
    prompt = (ROOT / 'sam2_tracker_msgs/msg/Prompt.msg').read_text()
    assert all(re.search(rf'^\S+ {field}\b', service, re.MULTILINE) for field in request)
    for each in request['prompts']:
        assert all(re.search(rf'^\S+ {field}\b', prompt, re.MULTILINE) for field in each)
        assert len(each['points']) == len(each['point_labels'])


def test_the_layouts_plots_read_fields_that_there_are():
    for path in layout()['configById']['Plot!scores']['paths']:
        assert re.fullmatch(r'/sam2_tracker/objects\.objects\[:\]\{id==\d\}\.score', path['value'])
    for file, line in FIELDS.values():
        assert re.search(rf'^{re.escape(line)}\b', file.read_text(), re.MULTILINE)


def test_rviz_shows_each_display_once_and_as_the_topic_is_offered():
    displays = yaml.safe_load(RVIZ.read_text())['Visualization Manager']['Displays']
    assert [each['Enabled'] for each in displays] == [True, False, False]
    for each in displays:
        assert each['Class'] == 'rviz_default_plugins/Image' and each['Enabled'] == each['Value']
        assert each['Topic']['Durability Policy'] == 'Volatile'
        own = each['Topic']['Value'].startswith(NODE)
        assert each['Topic']['Reliability Policy'] == ('Reliable' if own else 'Best Effort')


def test_both_are_installed(needs_ros):
    from ament_index_python.packages import get_package_share_directory

    share = Path(get_package_share_directory('sam2_tracker'), 'viewers')
    for file in (RVIZ, LAYOUT):
        assert (share / file.name).read_text() == file.read_text()

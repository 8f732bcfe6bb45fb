# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The messages and services are those that users rely on: names, types and order."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / 'sam2_tracker_msgs'

DEFINITIONS = {
    'msg/Prompt.msg': [
        'uint16 object_id',
        'string label',
        'geometry_msgs/Point[] points',
        'uint8[] point_labels',
        'sensor_msgs/RegionOfInterest box',
        'sensor_msgs/Image mask',
    ],
    'msg/TrackedObject.msg': [
        'uint8 UNKNOWN=0',
        'uint8 VISIBLE=1',
        'uint8 OCCLUDED=2',
        'uint8 LOST=3',
        'uint16 id',
        'string label',
        'uint8 state',
        'float32 score',
        'sensor_msgs/RegionOfInterest box',
        'uint32 area',
        'geometry_msgs/Point centroid',
        'bool catching_up',
    ],
    'msg/TrackedObjects.msg': ['std_msgs/Header header', 'TrackedObject[] objects'],
    'srv/AddPrompts.srv': [
        'builtin_interfaces/Time stamp',
        'Prompt[] prompts',
        'bool clear_previous',
        'bool preview_only',
        'bool with_label_image',
        '---',
        'bool success',
        'string message',
        'builtin_interfaces/Time stamp',
        'TrackedObject[] objects',
        'sensor_msgs/Image label_image',
    ],
    'srv/RemoveObject.srv': ['uint16 object_id', '---', 'bool success', 'string message'],
    'srv/ListObjects.srv': [
        '---',
        'bool success',
        'string message',
        'std_msgs/Header header',
        'TrackedObject[] objects',
    ],
    'srv/SaveMemory.srv': [
        'string file_name',
        'uint16[] object_ids',
        '---',
        'bool success',
        'string message',
        'uint16[] object_ids',
    ],
    'srv/LoadMemory.srv': [
        'string file_name',
        'uint16[] object_ids',
        '---',
        'bool success',
        'string message',
        'uint16[] object_ids',
    ],
}


def fields(path: Path) -> list[str]:
    lines = (line.split('#')[0].split() for line in path.read_text().splitlines())
    return [' '.join(words) for words in lines if words]


@pytest.mark.parametrize('name', DEFINITIONS)
def test_interface_has_the_fields_of_the_contract(name: str) -> None:
    assert fields(FOLDER / name) == DEFINITIONS[name]


def test_every_interface_is_built_and_known_to_this_test() -> None:
    found = {str(path.relative_to(FOLDER)) for path in FOLDER.glob('*/*.*')}
    assert found == set(DEFINITIONS)
    built = (FOLDER / 'CMakeLists.txt').read_text().split()
    assert found <= set(built)


def test_built_messages_have_the_states_of_the_core(needs_ros: None) -> None:
    from sam2_tracker.core.types import ObjectState
    from sam2_tracker_msgs.msg import TrackedObject

    assert {state.name: state.value for state in ObjectState} == {
        name: getattr(TrackedObject, name) for name in ('UNKNOWN', 'VISIBLE', 'OCCLUDED', 'LOST')
    }

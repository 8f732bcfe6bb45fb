# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The README's tables say what the code does."""

from __future__ import annotations

from pathlib import Path
import re

import pytest
from sam2_tracker.core.result_topics import mask_topic, ResultTopic
from sam2_tracker.models.zoo import MODELS

README = (Path(__file__).parents[2] / 'README.md').read_text()
ROS = Path(__file__).parents[2] / 'sam2_tracker' / 'ros'
SOURCES = ''.join(path.read_text() for path in ROS.rglob('*.py'))


@pytest.mark.parametrize('name', [
    '~/clicked_point', '~/add_prompts', '~/remove_object', '~/list_objects',
    '~/reset', '~/pause', '~/snapshot', '~/save_memory', '~/load_memory'])
def test_the_readme_has_every_topic_and_service_of_the_node(name):
    assert f'`{name}`' in README
    bare = name.removeprefix('~/')
    assert f"'{name}'" in SOURCES or f"'{bare}'" in SOURCES


@pytest.mark.parametrize('name', [
    *(each.private_name for each in ResultTopic), f'~/{mask_topic(7).replace("7", "<id>")}'])
def test_the_readme_has_every_topic_of_results(name):
    assert f'`{name}`' in README


def test_the_readme_has_every_topic_that_comes_in():
    source = ''.join(path.read_text() for path in (ROS / 'inputs').glob('*.py'))
    names = {name.replace('{object_id}', '<id>')
             for name in re.findall(r"'(~/[\w/{}]+)'", source)}
    assert names
    assert not {name for name in names if f'`{name}`' not in README}


def test_the_readme_has_every_model():
    # The models of SAM 2.0 are named by their endings.
    assert all(name in README for name in MODELS if not name.startswith('sam2_hiera_'))
    assert all(f'_{size}`' in README for size in ('tiny', 'small', 'base_plus', 'large'))

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Which topics are our own results."""

from __future__ import annotations

import pytest
from sam2_tracker.core.result_topics import is_result_topic, mask_topic, NODE, ResultTopic


@pytest.mark.parametrize('topic', [
    *(f'{NODE}/{each.value}' for each in ResultTopic), f'{NODE}/{mask_topic(65535)}',
    'sam2_tracker/objects', '/sam2_tracker/label_image/',
])
def test_results_are_known_by_their_topics(topic: str) -> None:
    assert is_result_topic(topic)


@pytest.mark.parametrize('topic', [
    '/camera/image', '/sam2_tracker', '/sam2_tracker/object_x/mask', '/sam2_tracker/object_1',
    '/sam2_tracker/clicked_point', '/left/sam2_tracker/objects', '/sam2_tracker_2/objects', '',
])
def test_what_others_publish_is_no_result(topic: str) -> None:
    assert not is_result_topic(topic)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""`ros2 launch sam2_tracker replay.launch.py`: a bag into the tracker, losing nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip('rclpy', reason='launch files are tested on a ROS 2 installation')

from launched import Launched
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile
from sam2_tracker_msgs.msg import TrackedObjects

if TYPE_CHECKING:
    from launched import Asker

FRAMES_IN_BAG = 66
PROMPTS = """
prompts:
  - frame: 0
    object: 1
    label: dog
    box: [220, 60, 330, 160]
"""


@pytest.fixture
def bag(data_dir: Path) -> Path:
    if importlib.util.find_spec('ros2bag') is None:
        pytest.skip('`ros2 bag` is not installed')
    path = data_dir / 'dev' / 'bags' / 'dogs-jump_mcap'
    if not path.exists():
        pytest.skip(f'no bag at {path}')
    return path


def test_bag_waits_for_the_tracker_and_loses_no_frame(
    asker: Asker, bag: Path, tmp_path: Path
) -> None:
    prompts_file = tmp_path / 'prompts.yaml'
    prompts_file.write_text(PROMPTS)
    results: dict[int, TrackedObjects] = {}

    def on_objects(message: TrackedObjects) -> None:
        stamp = message.header.stamp
        results[stamp.sec * 10**9 + stamp.nanosec] = message

    qos = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    asker.node.create_subscription(TrackedObjects, '/sam2_tracker/objects', on_objects, qos)
    arguments = ['image:=/camera/image_raw', 'image_transport:=compressed', 'autostart:=false']
    arguments += [f'bag:={bag}', f'prompts_file:={prompts_file}', 'rate:=4.0']
    with Launched('replay.launch.py', *arguments) as launched:
        assert asker.state() == 'unconfigured'
        assert asker.parameters('frame_policy', 'use_sim_time') == ['every', True]
        asker.change_state(Transition.TRANSITION_CONFIGURE, 'inactive')
        assert '[ros2-' not in launched.output
        asker.change_state(Transition.TRANSITION_ACTIVATE, 'active')
        launched.wait_for_output('The bag has ended')
        asker.wait_until(lambda: len(results) >= FRAMES_IN_BAG, 'a result for every frame')
        assert len(results) == FRAMES_IN_BAG
        assert [found.label for found in results[max(results)].objects] == ['dog']
        assert launched.stop() == 0
        assert 'Traceback' not in launched.output

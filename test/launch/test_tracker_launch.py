# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""`ros2 launch sam2_tracker tracker.launch.py` and its arguments."""

from __future__ import annotations

from pathlib import Path
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

pytest.importorskip('rclpy', reason='launch files are tested on a ROS 2 installation')

from launched import Launched

if TYPE_CHECKING:
    from launched import Asker

CONTRACT = {
    'image',
    'image_transport',
    'frame_policy',
    'model',
    'checkpoint',
    'device',
    'params_file',
    'prompts_file',
    'namespace',
    'use_sim_time',
    'log_level',
    'autostart',
    'console',
    'console_host',
    'console_port',
    'lift',
    'depth',
    'camera_info',
}
PARAMETERS = """
/**:
  ros__parameters:
    model: sam2.1_hiera_tiny
    device: cpu
    frame_policy: every
    autostart: false
"""


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    path = tmp_path / 'mine.yaml'
    path.write_text(PARAMETERS)
    return path


def arguments_of(launch_file: str) -> set[str]:
    command = ['ros2', 'launch', 'sam2_tracker', launch_file, '--show-args']
    output = subprocess.check_output(command, text=True, timeout=60)
    return set(re.findall(r"^    '(\w+)':", output, re.MULTILINE))


def test_arguments_are_those_of_the_contract() -> None:
    assert arguments_of('tracker.launch.py') == CONTRACT


def test_tracker_becomes_active_by_itself_and_subscribes_to_the_named_topic(asker: Asker) -> None:
    with Launched('tracker.launch.py', 'image:=/camera/color') as launched:
        asker.wait_until(lambda: asker.state() == 'active', 'the tracker is active')
        asker.wait_until(
            lambda: asker.node.count_subscribers('/camera/color') == 1, 'it listens to /camera'
        )
        assert launched.stop() == 0
        assert 'Traceback' not in launched.output


def test_compressed_transport_listens_to_the_compressed_topic(asker: Asker) -> None:
    with Launched('tracker.launch.py', 'image:=/camera', 'image_transport:=compressed'):
        asker.wait_until(
            lambda: asker.node.count_subscribers('/camera/compressed') == 1,
            'it listens to /camera/compressed',
        )


def test_only_given_arguments_override_the_parameter_file(
    asker: Asker, params_file: Path, tmp_path: Path
) -> None:
    given = ['device:=auto', f'checkpoint:={tmp_path}/tiny.pt', 'use_sim_time:=true']
    with Launched('tracker.launch.py', f'params_file:={params_file}', *given):
        names = ['model', 'frame_policy', 'autostart', 'device', 'checkpoint', 'use_sim_time']
        expected = ['sam2.1_hiera_tiny', 'every', False, 'auto', f'{tmp_path}/tiny.pt', True]
        assert asker.parameters(*names) == expected
        assert asker.state() == 'unconfigured'


def test_namespace_gives_a_second_instance(asker: Asker, params_file: Path) -> None:
    with (
        Launched('tracker.launch.py', f'params_file:={params_file}', 'namespace:=left'),
        Launched('tracker.launch.py', f'params_file:={params_file}', 'namespace:=right'),
    ):
        for name in ('left', 'right'):
            assert asker.state(f'/{name}/sam2_tracker') == 'unconfigured'


def test_lift_is_started_beside_the_tracker_of_its_namespace(
    asker: Asker, params_file: Path
) -> None:
    arguments = ['namespace:=left', 'lift:=true', 'depth:=/camera/depth']
    with Launched('tracker.launch.py', f'params_file:={params_file}', *arguments) as launched:
        launched.wait_for_output(
            'lifting the objects of /left/sam2_tracker with /camera/depth and /left/camera_info'
        )
        assert launched.stop() == 0


def test_log_level_reaches_the_node(asker: Asker, params_file: Path) -> None:
    with Launched(
        'tracker.launch.py', f'params_file:={params_file}', 'log_level:=debug'
    ) as launched:
        assert asker.state() == 'unconfigured'
        launched.wait_for_output('[DEBUG]')


def test_bad_parameter_file_ends_the_node_with_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / 'bad.yaml'
    path.write_text(PARAMETERS.replace('every', 'sometimes'))
    with Launched('tracker.launch.py', f'params_file:={path}') as launched:
        launched.process.wait(timeout=60)
        assert 'exit code 2' in launched.output
        assert 'sometimes' in launched.output
        assert 'Traceback' not in launched.output

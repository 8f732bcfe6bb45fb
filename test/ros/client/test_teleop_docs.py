# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The lines of docs/teleop.md and of the README, run."""

from __future__ import annotations

import os
from pathlib import Path
import re
import shlex
import signal
import subprocess
import sys

import pytest
from sam2_tracker.ros.client.prompt_options import ExitCode, make_parser, wish_of
from sam2_tracker_msgs.srv import ListObjects
from sensor_msgs.msg import Joy
from tracker_runner import executable, TestCamera, TrackerProcess
from waiting import wait_until

DOMAIN_ID = 78
ROOT = Path(__file__).resolve().parents[3]
TELEOP = (ROOT / 'docs' / 'teleop.md').read_text()
README = (ROOT / 'README.md').read_text()
COMMAND = re.compile(r'^ros2 run sam2_tracker prompt (.*)$', re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return re.findall(rf'^```{kind}\n(.*?)^```$', TELEOP, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize('line', sorted({*COMMAND.findall(TELEOP), *COMMAND.findall(README)}))
def test_every_line_with_prompt_is_accepted(line):
    assert wish_of(make_parser().parse_args(shlex.split(line))).timeout_s > 0


def test_the_readmes_first_prompt_is_by_the_command():
    section = README.partition('\n## Prompt it\n')[2]
    assert section.partition('```sh\n')[2].startswith('ros2 run sam2_tracker prompt --point ')


def test_the_table_has_every_option_and_every_exit_code():
    section = TELEOP.partition('\n## From a shell\n')[2].partition('\n## ')[0]
    options = {text for action in make_parser()._actions for text in action.option_strings}
    assert {text for text in options if text.startswith('--')} - {'--help'} <= {
        *re.findall(r'--[a-z-]+', section)}
    assert [int(code) for code in re.findall(r'^\| (\d+) \|', section, re.MULTILINE)] == list(
        ExitCode)


@pytest.fixture(scope='module')
def tracker(graph, tmp_path_factory):
    process = TrackerProcess(
        DOMAIN_ID, tmp_path_factory.mktemp('tracker') / 'log', {'frame_policy': 'every'},
        command=[sys.executable, str(ROOT / 'test' / 'ros' / 'fake_tracker.py')])
    process.wait_until_active()
    yield process
    process.end()


@pytest.fixture(scope='module')
def camera(graph, tracker):
    camera = TestCamera(graph)
    camera.wait_for_tracker()
    for number in range(3):
        camera.publish(number)
    return camera


def listed(graph) -> list:
    return graph.call(ListObjects, '/sam2_tracker/list_objects').objects


def test_the_script_runs(graph, camera, tmp_path):
    script = next(block for block in blocks('sh') if block.startswith('set -e'))
    # Of `ros2` the script needs this much.
    ros2 = tmp_path / 'ros2'
    ros2.write_text(f'#!/bin/sh\nshift 3\nexec {executable("prompt")} "$@"\n')
    ros2.chmod(0o755)
    # The scene of the test is smaller than the picture that the script is for.
    script = script.replace('320,240', '80,60')
    done = subprocess.run(
        ['bash', '-c', script], capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID),
             'PATH': f'{tmp_path}:{os.environ["PATH"]}'})
    assert done.returncode == 0, done.stderr
    assert 'cup' in done.stdout and [each.label for each in listed(graph)] == ['cup']


def test_the_joystick_makes_an_object_and_corrects_it(graph, tracker, camera):
    source, = (block for block in blocks('python') if 'Joy' in block)
    before = {each.id for each in listed(graph)}
    process = subprocess.Popen(
        [sys.executable, '-c', source], env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    joystick = graph.publisher(Joy, '/joy')
    try:
        wait_until(joystick.get_subscription_count)
        wait_until(lambda: graph.node.count_subscribers('/sam2_tracker/annotated'))

        def press(*buttons: int) -> None:
            for each in (buttons, (0, 0)):
                joystick.publish(Joy(axes=[0.1, -0.1], buttons=list(each)))

        def made() -> set[int]:
            return {each.id for each in listed(graph)} - before

        def press_until_made() -> set[int]:
            camera.publish()
            press(1, 0)
            return made()

        wait_until(press_until_made)
        press(0, 1)
        # Pressed twice before the first reply it made two objects, and corrects either.
        wait_until(lambda: any(
            f'object {number} is prompted again' in tracker.output for number in made()))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The set-up: what it asks of the machine, when it does nothing, and how it fails."""

from __future__ import annotations

import os
from pathlib import Path
import platform
import subprocess
import sys

import pytest
from tools import environment, machine, set_up
from tools.machine import MachineError, RosSource
from tools.progress import CommandError, Runner

WHEELS = RosSource('kilted', uses_wheels=True)
JAZZY = RosSource('jazzy', uses_wheels=False)
EXPORT = (
    'set_target_properties(x PROPERTIES\n'
    '  INTERFACE_INCLUDE_DIRECTORIES "/there/include/python3.11;/there/numpy/_core/include"\n)\n'
)


def make_venv_folder(path: Path, inherits: str = 'false') -> Path:
    (path / 'bin').mkdir(parents=True)
    python = path / 'bin' / 'python'
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (path / 'bin' / 'activate').write_text(f'VIRTUAL_ENV="{path}"\n')
    (path / 'pyvenv.cfg').write_text(f'include-system-site-packages = {inherits}\n')
    return path


def test_one_line_names_all_packages_that_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine.shutil, 'which', lambda name: None if name == 'g++' else name)
    monkeypatch.setattr(machine.sysconfig, 'get_path', lambda _: str(tmp_path))
    monkeypatch.setattr(machine, '_has_venv', lambda: False)
    with pytest.raises(MachineError, match=r'apt-get install -y g\+\+ python3-dev python3-venv'):
        machine.check_machine(JAZZY)


def test_this_machine_lacks_nothing() -> None:
    assert machine.missing_apt_packages() == []


def test_python_without_wheels_is_refused_with_another_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, 'NEWEST_PYTHON_FOR_WHEELS', (3, 9))
    with pytest.raises(MachineError, match=r'Python 3.10 to 3.13 .* PYTHON=python3.12'):
        machine.check_machine(WHEELS)
    machine.check_machine(JAZZY)


def test_arm64_is_sent_to_a_ros_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, 'machine', lambda: 'aarch64')
    with pytest.raises(MachineError, match='x86_64 only and this machine is aarch64'):
        machine.check_machine(WHEELS)
    machine.check_machine(JAZZY)


def test_sourced_ros_of_another_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setattr(machine.importlib.util, 'find_spec', lambda _: None)
    with pytest.raises(MachineError, match=r'jazzy is sourced, .* cannot import its rclpy'):
        machine.find_ros()
    monkeypatch.delenv('ROS_DISTRO')
    assert machine.find_ros() == WHEELS


def test_wheels_that_are_asked_for_are_used_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('ROS_DISTRO', raising=False)
    assert machine.find_ros('jazzy') == RosSource('jazzy', uses_wheels=True)
    with pytest.raises(MachineError, match='ROS=lyrical: there are wheels of kilted and jazzy'):
        machine.find_ros('lyrical')
    monkeypatch.setenv('ROS_DISTRO', 'humble')
    with pytest.raises(MachineError, match=r'ROS=jazzy asks for wheels, .* has ROS 2 humble'):
        machine.find_ros('jazzy')


def test_wheels_of_another_distribution_live_beside_the_default_ones(tmp_path: Path) -> None:
    jazzy_wheels = RosSource('jazzy', uses_wheels=True)
    assert set_up.workspace_of(tmp_path, WHEELS) == tmp_path
    assert set_up.workspace_of(tmp_path, JAZZY) == tmp_path
    assert set_up.workspace_of(tmp_path, jazzy_wheels) == tmp_path / '.jazzy'


def test_every_distribution_s_wheels_have_their_file(repository_root: Path) -> None:
    names = {path.stem for path in (repository_root / 'requirements').glob('ros-wheels*.txt')}
    assert set(machine.WHEELS_FILE.values()) == names
    assert machine.DEFAULT_WHEELS in machine.WHEELS_FILE


def test_ros_installation_and_wheels_are_not_mixed(tmp_path: Path) -> None:
    of_wheels = make_venv_folder(tmp_path / 'wheels')
    of_ros = make_venv_folder(tmp_path / 'ros', inherits='true')
    environment.check_same_ros(of_wheels, WHEELS)
    environment.check_same_ros(of_ros, JAZZY)
    for venv, ros in ((of_wheels, JAZZY), (of_ros, WHEELS)):
        with pytest.raises(MachineError, match='make clean-all'):
            environment.check_same_ros(venv, ros)


def test_venv_that_is_a_link_to_another_is_refused_and_left_whole(tmp_path: Path) -> None:
    shared = make_venv_folder(tmp_path / 'shared')
    link = tmp_path / '.venv'
    link.symlink_to(shared)
    with pytest.raises(MachineError, match=r'is a link to .*shared'):
        environment.refuse_link(link)
    environment.refuse_link(shared)
    steps = set_up.SetUp(tmp_path, WHEELS)
    with pytest.raises(MachineError, match='remove the link'):
        steps.run()
    assert environment.venv_is_whole(shared)


def test_venv_that_was_moved_or_cut_short_is_made_again(tmp_path: Path) -> None:
    venv = make_venv_folder(tmp_path / 'a')
    assert environment.venv_is_whole(venv)
    assert not environment.venv_is_whole(venv.rename(tmp_path / 'b'))
    assert not environment.venv_is_whole(tmp_path / 'nothing')


def test_wheels_include_folders_become_this_machine_s(tmp_path: Path) -> None:
    venv = make_venv_folder(tmp_path / 'venv')
    path = venv / 'share' / 'std_msgs' / 'cmake' / 'export_std_msgsExport.cmake'
    path.parent.mkdir(parents=True)
    path.write_text(EXPORT)
    for _ in range(2):
        environment.make_wheels_buildable(venv)
    folders = path.read_text().split('"')[1].split(';')
    assert (Path(folders[0]) / 'Python.h').exists()
    assert (Path(folders[1]) / 'numpy' / 'arrayobject.h').exists()
    assert (venv / 'bin' / 'activate').read_text().count('local_setup.sh') == 1


def test_activated_shell_lets_cmake_find_the_wheels_once(tmp_path: Path) -> None:
    venv = make_venv_folder(tmp_path / 'venv')
    environment.make_wheels_buildable(venv)
    script = f'set -eu; . {venv}/bin/activate; . {venv}/bin/activate; echo "$CMAKE_PREFIX_PATH"'
    variables = {'PATH': os.environ['PATH'], 'CMAKE_PREFIX_PATH': '/elsewhere'}
    output = subprocess.check_output(['bash', '-c', script], env=variables, text=True)
    assert output.strip() == f'{venv}:/elsewhere'


def test_all_packages_are_compiled_and_one_that_cannot_be_is_no_failure(tmp_path: Path) -> None:
    venv = tmp_path / '.venv'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', venv], check=True)
    (venv / 'set_up').mkdir()
    packages, = venv.glob('lib/python*/site-packages')
    (packages / 'good.py').write_text('x = 1')
    (packages / 'bad.py').write_text('print 1')
    set_up.SetUp(tmp_path, WHEELS)._compile()
    assert [path.name.partition('.')[0] for path in packages.rglob('*.pyc')] == ['good']


def test_step_is_done_until_its_key_changes_or_its_result_is_gone(tmp_path: Path) -> None:
    result = tmp_path / 'setup.bash'
    step = set_up.Step('build', 'title', 'key', lambda: None, result)
    assert not step.is_done(tmp_path)
    (tmp_path / 'build').write_text('key')
    assert not step.is_done(tmp_path)
    result.touch()
    assert step.is_done(tmp_path)
    (tmp_path / 'build').write_text('another key')
    assert not step.is_done(tmp_path)


def test_failed_command_shows_the_end_of_its_output_and_logs_all(tmp_path: Path) -> None:
    runner = Runner(tmp_path, dict(os.environ), tmp_path / 'log.txt')
    program = 'for i in range(99): print("line", i)\nraise SystemExit(3)'
    with pytest.raises(CommandError, match='failed with status 3') as caught:
        runner.run([sys.executable, '-c', program])
    assert 'line 98' in str(caught.value)
    assert 'line 9\n' not in str(caught.value)
    assert len((tmp_path / 'log.txt').read_text().splitlines()) == 99


def test_child_s_environment_is_free_of_another_environment_s_wheels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('_ROS_WHEELS_BOOTSTRAP_COMPLETE', '1')
    monkeypatch.setenv('LD_LIBRARY_PATH', '/another/lib')
    variables = environment.environment_for(tmp_path, WHEELS)
    assert not {'_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'LD_LIBRARY_PATH'} & set(variables)
    assert environment.environment_for(tmp_path, JAZZY)['LD_LIBRARY_PATH'] == '/another/lib'


def test_make_setup_does_nothing_the_second_time(repository_root: Path) -> None:
    venv = repository_root / '.venv'
    # Otherwise the set-up would make it anew, and what a link points to would be lost.
    if not ((venv / 'set_up' / 'build').exists() and environment.venv_is_whole(venv)):
        pytest.skip('this checkout was not set up with `make setup`')
    command = [sys.executable, '-m', 'tools.set_up']
    first = subprocess.run(command, cwd=repository_root, check=True, capture_output=True)
    second = subprocess.run(command, cwd=repository_root, check=True, capture_output=True)
    assert first.returncode == 0
    assert second.stdout == b''

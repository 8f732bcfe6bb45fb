# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the launch files declare, read where `ros2 launch` is not installed, too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from sam2_tracker.core.config import PARAMETERS

ROOT = Path(__file__).resolve().parent.parent
CHOICES = {
    'model': PARAMETERS['model'].choices,
    'image_transport': ('raw', 'compressed'),
    'frame_policy': ('latest', 'every'),
}
MODULES = (
    'launch',
    'launch.actions',
    'launch.event_handlers',
    'launch.events',
    'launch.events.process',
    'launch.launch_description_sources',
    'launch.substitutions',
    'launch_ros',
    'launch_ros.actions',
    'launch_ros.parameter_descriptions',
    'launch_ros.substitutions',
)


class Described(SimpleNamespace):
    """Stands for anything that a launch file makes: it keeps what it was made with."""

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(given=given, **named)


class Stub(ModuleType):

    def __getattr__(self, name: str) -> type[Described]:
        if name.startswith('__'):
            raise AttributeError(name)
        return type(name, (Described,), {})


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, Stub(name))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location('launch_file', ROOT / 'launch' / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def arguments(module: ModuleType) -> dict[str, Described]:
    (actions,) = module.generate_launch_description().given
    declared = [one for one in actions if type(one).__name__ == 'DeclareLaunchArgument']
    return {one.given[0]: one for one in declared}


@pytest.mark.parametrize(
    'launch_file', ['tracker.launch.py', 'replay.launch.py', 'trackers.launch.py'])
def test_a_choice_may_be_left_open_and_the_default_is_one(described, launch_file):
    found = arguments(described(launch_file))
    for name in CHOICES.keys() & found.keys():
        assert found[name].choices == ['', *CHOICES[name]]
    for one in found.values():
        choices = getattr(one, 'choices', None)
        assert choices is None or one.default_value in choices


def test_every_parameter_with_an_argument_says_what_it_is_and_defaults_to_not_given(described):
    found = arguments(described('tracker.launch.py'))
    with_argument = [spec for spec in PARAMETERS.values() if spec.launch]
    assert {spec.name for spec in with_argument} == {
        *CHOICES, 'checkpoint', 'device', 'prompts_file', 'autostart'
    }  # fmt: skip
    for spec in with_argument:
        assert found[spec.name].default_value == ''
        assert found[spec.name].description.startswith(spec.description)
        assert found[spec.name].description.endswith(' If not given, as in params_file.')
    assert ' Accepted: auto, cpu, cuda or cuda:N. ' in found['device'].description


def test_only_arguments_that_are_given_override_the_parameter_file(described):
    module = described('tracker.launch.py')
    given = dict.fromkeys(arguments(module), '')
    given |= {'device': 'cpu', 'autostart': 'false', 'use_sim_time': 'true'}
    given['params_file'] = str(ROOT / 'config' / 'tracker.yaml')
    (node,) = module.start_tracker(SimpleNamespace(launch_configurations=given))
    _, overrides = node.parameters
    assert {name: value.value_type for name, value in overrides.items()} == {
        'device': str,
        'autostart': bool,
        'use_sim_time': bool,
    }


def test_lift_is_started_only_where_it_is_asked_for(described):
    module = described('tracker.launch.py')
    given = dict.fromkeys(arguments(module), '')
    given |= {'params_file': str(ROOT / 'config' / 'tracker.yaml'), 'lift': 'true'}
    tracker, lift = module.start_tracker(SimpleNamespace(launch_configurations=given))
    assert (tracker.executable, lift.executable) == ('tracker', 'lift')
    assert [name for name, _ in lift.remappings] == ['depth', 'camera_info']
    given['lift'] = 'false'
    assert len(module.start_tracker(SimpleNamespace(launch_configurations=given))) == 1


def test_the_readme_lists_every_launch_argument(described):
    line = (ROOT / 'README.md').read_text().partition('Launch arguments: ')[2].partition('.')[0]
    listed = {name.strip(' `\n') for name in line.split(',')}
    assert listed == set(arguments(described('tracker.launch.py')))


def test_a_params_file_that_is_missing_is_said_and_nothing_is_started(described, tmp_path):
    start = described('tracker.launch.py').start_tracker
    given = dict.fromkeys((*PARAMETERS, 'use_sim_time'), '')
    context = SimpleNamespace(launch_configurations={**given, 'params_file': str(tmp_path / 'my')})
    with pytest.raises(FileNotFoundError, match=r"params_file '.*my' is not there"):
        start(context)
    (tmp_path / 'my').touch()
    assert len(start(context)) == 1


def test_a_bag_that_is_missing_is_said_before_anything_is_started(described, tmp_path):
    check = described('replay.launch.py').check_bag
    with pytest.raises(FileNotFoundError, match=r'there is no bag .*/nope'):
        check(SimpleNamespace(launch_configurations={'bag': str(tmp_path / 'nope')}))
    check(SimpleNamespace(launch_configurations={'bag': str(tmp_path)}))


@pytest.mark.parametrize('code, end', [(0, 'has ended'), (2, 'was not played to its end')])
def test_a_bag_that_was_not_played_to_its_end_is_not_called_ended(described, code, end):
    module = described('replay.launch.py')
    line, = module.say_end(SimpleNamespace(returncode=code), SimpleNamespace(is_shutdown=False))
    assert line.msg.startswith(f'The bag {end}') and 'the tracker goes on' in line.msg


def trackers(module: ModuleType, **given: str) -> Described:
    named = {**dict.fromkeys(arguments(module), ''), 'image': '{camera}/image', **given}
    named.setdefault('params_file', '')
    named['params_file'] = named['params_file'] or str(ROOT / 'config' / 'tracker.yaml')
    (node,) = module.start_trackers(SimpleNamespace(launch_configurations=named))
    return node


def test_trackers_have_the_arguments_of_the_tracker_but_those_of_console_and_lift(described):
    one, several = (set(arguments(described(f'{name}.launch.py')))
                    for name in ('tracker', 'trackers'))
    assert several - one == {'cameras'}
    assert one - several == {
        'console', 'console_host', 'console_port', 'lift', 'depth', 'camera_info'}


def test_parameters_of_trackers_are_given_to_all_nodes(described):
    node = trackers(described('trackers.launch.py'), cameras='[front, left]', device='cpu')
    assert not hasattr(node, 'name')
    _, cameras, overrides = node.parameters
    assert cameras == {'cameras': ['front', 'left']}
    assert list(overrides) == ['device']


def test_one_topic_for_several_cameras_is_refused(described):
    module = described('trackers.launch.py')
    with pytest.raises(ValueError, match=r"image '/raw' is one topic for 2 cameras: write \{"):
        trackers(module, cameras='[front, left]', image='/raw')
    assert trackers(module, cameras='[front]', image='/raw').remappings == [
        ('/front/image', '/raw')]


@pytest.mark.parametrize('namespace, image, topic', [
    ('', '{camera}/image', '/front/image'), ('robot', '{camera}/raw', '/robot/front/raw'),
    ('/robot', '/{camera}_camera/image_raw', '/front_camera/image_raw')])
def test_each_camera_listens_to_the_topic_of_its_name(described, namespace, image, topic):
    node = trackers(described('trackers.launch.py'), cameras='[front, left]',
                    namespace=namespace, image=image)
    above = f'/{namespace.strip("/")}' if namespace else ''
    assert node.remappings[0] == (f'{above}/front/image', topic)
    assert node.remappings[1] == (f'{above}/left/image', topic.replace('front', 'left'))


@pytest.mark.parametrize('cameras', ['front', '[1, 2]', '{a: b}'])
def test_cameras_that_are_no_list_are_said(described, cameras):
    with pytest.raises(ValueError, match='no list of names'):
        trackers(described('trackers.launch.py'), cameras=cameras)

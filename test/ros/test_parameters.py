# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The settings as parameters of a node."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from sam2_tracker.core.config import FramePolicy, PARAMETERS
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.settings import When
from sam2_tracker.ros.parameters import NodeParameters, refuse_unmatched_files

DOMAIN_ID = 31

NAMES = (f'parameters_{number}' for number in itertools.count())


@pytest.fixture(scope='module', autouse=True)
def ros():
    rclpy.init(domain_id=DOMAIN_ID)
    yield
    rclpy.try_shutdown()


class Declared:

    def __init__(self, *overrides: str, unconfigured: bool = True) -> None:
        self.unconfigured = unconfigured
        arguments = ['--ros-args', *itertools.chain(*(('-p', text) for text in overrides))]
        self.node = Node(next(NAMES), cli_args=arguments, use_global_arguments=False)
        self.parameters = NodeParameters(self.node, lambda: self.unconfigured)

    def set(self, **values: object):  # noqa: A003
        changes = [Parameter(name.replace('__', '.'), value=value)
                   for name, value in values.items()]
        return self.node.set_parameters_atomically(changes)


def test_an_integer_is_taken_for_a_double_at_start():
    declared = Declared('tracking.lost_after_s:=5')
    assert declared.node.get_parameter('tracking.lost_after_s').value == 5.0
    assert type(declared.node.get_parameter('tracking.lost_after_s').value) is float


def test_an_integer_is_taken_for_a_double_live():
    declared = Declared()
    assert declared.set(annotate__opacity=1).successful
    assert declared.parameters.config.annotate.opacity == 1.0
    assert type(declared.parameters.config.annotate.opacity) is float


@pytest.mark.skipif(not hasattr(Node, 'add_pre_set_parameters_callback'),
                    reason='this rclpy stores values as they come')
def test_an_integer_that_is_set_for_a_double_is_stored_as_a_double():
    declared = Declared()
    assert declared.set(annotate__opacity=1, buffer__max_frames=50).successful
    stored = declared.node.get_parameter('annotate.opacity')
    assert (stored.type_, stored.value) == (Parameter.Type.DOUBLE, 1.0)
    assert declared.node.get_parameter('buffer.max_frames').type_ == Parameter.Type.INTEGER


ENTRY = '{ros__parameters: {model: nano}}'


@pytest.mark.parametrize('content, node_name', [
    (f'sam2_tracker: {ENTRY}', '/sam2_tracker'),
    (f'/sam2_tracker: {ENTRY}', '/sam2_tracker'),
    (f'/**: {ENTRY}', '/arm/left/sam2_tracker'),
    (f'/*: {ENTRY}', '/sam2_tracker'),
    (f'/arm/sam2_tracker: {ENTRY}', '/arm/sam2_tracker'),
    (f'/*/sam2_tracker: {ENTRY}', '/arm/sam2_tracker'),
    (f'/**/sam2_tracker: {ENTRY}', '/arm/left/sam2_tracker'),
    (f'arm: {{sam2_tracker: {ENTRY}}}', '/arm/sam2_tracker'),
    (f'camera: {ENTRY}\nsam2_tracker: {ENTRY}', '/sam2_tracker')])
def test_a_parameter_file_with_an_entry_for_the_node_is_taken(tmp_path, content, node_name):
    path = tmp_path / 'mine.yaml'
    path.write_text(content)
    refuse_unmatched_files(['--ros-args', '--params-file', str(path)], node_name)
    # rclpy matches it as well.
    namespace, _, name = node_name.rpartition('/')
    node = Node(name, namespace=namespace, use_global_arguments=False,
                cli_args=['--ros-args', '--params-file', str(path)])
    assert node._parameter_overrides['model'].value == 'nano'
    node.destroy_node()


def test_a_parameter_file_in_utf_16_is_looked_through_too(tmp_path):
    path = tmp_path / 'parameters.yaml'
    path.write_text('/other: {ros__parameters: {model: nano}}', encoding='utf-16')
    with pytest.raises(ConfigError, match='has no entry for /sam2_tracker: it has /other'):
        refuse_unmatched_files(['--ros-args', '--params-file', str(path)], '/sam2_tracker')
    path.write_text('/sam2_tracker: {ros__parameters: {model: nano}}', encoding='utf-16')
    refuse_unmatched_files(['--ros-args', '--params-file', str(path)], '/sam2_tracker')


@pytest.mark.parametrize('content, there', [
    (f'tracker: {ENTRY}', 'it has /tracker'),
    (f'/arm/sam2_tracker: {ENTRY}\ncamera: {ENTRY}', 'it has /arm/sam2_tracker, /camera'),
    (f'/*/sam2_tracker: {ENTRY}', r'it has /*/sam2_tracker'),
    ('', 'it has none at all')])
def test_a_parameter_file_without_an_entry_for_the_node_is_refused(tmp_path, content, there):
    path = tmp_path / 'mine.yaml'
    path.write_text(content)
    with pytest.raises(ConfigError) as raised:
        refuse_unmatched_files(['--ros-args', '--params-file', str(path)], '/sam2_tracker')
    assert str(raised.value) == (f'parameter file {path} has no entry for /sam2_tracker: {there}; '
                                 '/sam2_tracker or /** would be right')


@pytest.mark.parametrize('override, sentence', [
    ('buffer.jpeg_quality:=101',
     "parameter 'buffer.jpeg_quality' is 101: an integer from 1 to 100 is expected"),
    ('tracking.max_cond_frames:=1',
     "parameter 'tracking.max_cond_frames' is 1: an integer from 2 to 64 is expected"),
    ('frame_policy:=all', "parameter 'frame_policy' is 'all': one of latest, every is expected"),
    ('device:=0', "parameter 'device' is 0: auto, cpu, cuda or cuda:N is expected"),
    ('autostart:=1', "parameter 'autostart' is 1: true or false is expected"),
    ('buffer.max_frames:=true', "parameter 'buffer.max_frames' is True: an integer from 2"),
    ('prompt.timeout_s:=.nan', "parameter 'prompt.timeout_s' is nan: a double from 0.1")])
def test_a_bad_override_is_one_sentence(override, sentence):
    with pytest.raises(ConfigError) as refusal:
        Declared(override)
    assert str(refusal.value).startswith(sentence)


def test_a_misspelt_parameter_is_said_and_ignored(capfd):
    Declared('buffer.max_frame:=5', 'buffer.max_frames:=6')
    assert 'unknown parameters are ignored: buffer.max_frame' in capfd.readouterr().err


def test_overrides_reach_the_core():
    config = Declared(
        'frame_policy:=every', 'buffer.directory:=~/frames', 'tracking.max_objects:=3',
        'tracking.mask_threshold:=-1').parameters.config.core
    assert config.frame_policy is FramePolicy.EVERY
    assert config.buffer.directory == Path('~/frames').expanduser()
    assert (config.tracking.max_objects, config.tracking.mask_threshold) == (3, -1.0)


AT_CONFIGURE = [spec for spec in PARAMETERS.values() if spec.when is When.AT_CONFIGURE]
LIVE = [spec for spec in PARAMETERS.values() if spec.when is When.LIVE]


@pytest.fixture(scope='module')
def shared():
    return Declared()


@pytest.mark.parametrize('spec', AT_CONFIGURE, ids=lambda spec: spec.name)
def test_an_at_configure_parameter_is_settable_only_while_unconfigured(shared, spec):
    change = {spec.name.replace('.', '__'): spec.default}
    shared.unconfigured = False
    result = shared.set(**change)
    assert not result.successful
    assert result.reason.startswith(
        f"parameter '{spec.name}' can only be set while the node is unconfigured")
    shared.unconfigured = True
    assert shared.set(**change).successful


@pytest.mark.parametrize('spec', LIVE, ids=lambda spec: spec.name)
def test_a_live_parameter_is_settable_at_any_time(shared, spec):
    shared.unconfigured = False
    assert shared.set(**{spec.name.replace('.', '__'): spec.default}).successful


def test_a_fixed_parameter_is_read_only(shared):
    result = shared.set(autostart=False)
    assert not result.successful and 'read-only' in result.reason
    assert [spec.name for spec in PARAMETERS.values() if spec.when is When.FIXED] == ['autostart']


def test_a_refused_change_changes_nothing(shared):
    shared.unconfigured = True
    result = shared.set(image_max_value=4095, buffer__jpeg_quality=0)
    assert not result.successful and 'buffer.jpeg_quality' in result.reason
    assert shared.parameters.config.input.max_value == 65535
    assert shared.node.get_parameter('image_max_value').value == 65535


def test_an_image_size_that_no_model_has_is_refused_when_it_is_set(shared):
    shared.unconfigured = True
    result = shared.set(image_size=100)
    assert not result.successful and 'image_size' in result.reason and '32' in result.reason
    assert shared.parameters.config.core.model.image_size == 0
    with pytest.raises(ConfigError, match='is 100: a multiple of 32 from'):
        Declared('image_size:=100')


@pytest.mark.parametrize('name', PARAMETERS)
def test_every_parameter_is_described_to_ros_tools(shared, name):
    spec, described = PARAMETERS[name], shared.node.describe_parameter(name)
    assert described.description.startswith(spec.description)
    assert f'Settable: {spec.when.value}.' in described.description
    assert described.additional_constraints == spec.accepted
    ranges = [*described.integer_range, *described.floating_point_range]
    assert len(ranges) == (1 if spec.minimum is not None else 0)
    assert [each.step for each in described.integer_range if each.step] == (
        [spec.step] if spec.step > 1 else [])

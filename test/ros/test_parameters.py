# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The parameter table, its declaration, and what is written from it."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
import yaml

from sam2_tracker.core.config import CoreConfig, FramePolicy
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.settings import PARAMETERS, When
from sam2_tracker.ros.parameters import (
    core_config,
    input_config,
    NodeParameters,
)
from tools.docs import as_markdown, as_yaml

DOMAIN_ID = 31

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = (
    'model', 'checkpoint', 'device', 'precision', 'compile', 'image_size', 'batching',
    'image_transport',
    'image_reliability', 'image_max_value', 'frame_policy', 'buffer.directory',
    'buffer.max_frames', 'buffer.max_bytes', 'buffer.jpeg_quality', 'buffer.max_side',
    'buffer.keep', 'tracking.max_objects', 'tracking.max_cond_frames',
    'tracking.look_back_frames', 'tracking.lost_after_s', 'tracking.mask_threshold',
    'tracking.fill_hole_area', 'prompt.stamp_tolerance_s', 'prompt.timeout_s',
    'prompt.clicked_point', 'prompts_file', 'memory.directory', 'annotate.mask', 'annotate.box',
    'annotate.label', 'annotate.trace', 'annotate.opacity', 'autostart')
DEFAULTS = {name: spec.default for name, spec in PARAMETERS.items()}
WRONG = {'bool': 'yes', 'integer': 1.5, 'double': 'fast', 'string': 3}
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

    def set(self, **values: object):
        changes = [Parameter(name.replace('__', '.'), value=value)
                   for name, value in values.items()]
        return self.node.set_parameters_atomically(changes)


@pytest.mark.parametrize('name', CONTRACT)
def test_every_parameter_of_the_contract_has_a_row(name):
    spec = PARAMETERS[name]
    assert spec.description.endswith('.') and spec.check(spec.default) == spec.default


def test_the_table_has_no_parameter_beyond_the_contract():
    assert set(PARAMETERS) == set(CONTRACT)


def test_the_yaml_file_is_the_one_that_the_table_writes():
    assert (ROOT / 'config' / 'tracker.yaml').read_text() == as_yaml()


def test_the_yaml_file_has_every_parameter_with_its_default():
    loaded = yaml.safe_load(as_yaml())['/**']['ros__parameters']
    flat = {}
    for key, value in loaded.items():
        inner = value if isinstance(value, dict) else {'': value}
        flat.update({f'{key}.{name}'.rstrip('.'): entry for name, entry in inner.items()})
    assert flat == DEFAULTS
    assert all(type(flat[name]) is type(default) for name, default in DEFAULTS.items())


def test_the_readme_table_has_a_row_for_every_parameter():
    rows = as_markdown().splitlines()[2:]
    assert [row.split('`')[1] for row in rows] == list(PARAMETERS)


def test_the_defaults_are_the_cores_own():
    assert core_config(DEFAULTS) == CoreConfig()
    assert input_config(DEFAULTS).clicked_point is False


@pytest.mark.parametrize('name', CONTRACT)
def test_a_value_of_another_type_is_refused_with_a_sentence(name):
    spec = PARAMETERS[name]
    with pytest.raises(ConfigError) as refusal:
        spec.check(WRONG[spec.type_name])
    assert str(refusal.value).startswith(f"parameter '{name}' is ")
    assert str(refusal.value).endswith(f': {spec.accepted} is expected')


RANGED = [name for name, spec in PARAMETERS.items() if spec.minimum is not None]


@pytest.mark.parametrize('name', RANGED)
def test_a_number_outside_its_range_is_refused(name):
    spec = PARAMETERS[name]
    step = 1 if spec.type_name == 'integer' else 0.001
    assert spec.check(type(spec.default)(spec.minimum)) == spec.minimum
    assert spec.check(type(spec.default)(spec.maximum)) == spec.maximum
    for value in (spec.minimum - step, spec.maximum + step):
        with pytest.raises(ConfigError, match=f'from {spec.minimum} to {spec.maximum}'):
            spec.check(value)


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_a_double_that_is_no_number_is_refused(value):
    with pytest.raises(ConfigError):
        PARAMETERS['tracking.lost_after_s'].check(value)


@pytest.mark.parametrize('value', ['', 'gpu', 'cuda:', 'cuda:x', 'CPU'])
def test_an_unknown_device_is_refused(value):
    with pytest.raises(ConfigError, match='auto, cpu, cuda or cuda:N is expected'):
        PARAMETERS['device'].check(value)


def test_an_integer_is_taken_for_a_double_at_start():
    declared = Declared('tracking.lost_after_s:=5')
    assert declared.node.get_parameter('tracking.lost_after_s').value == 5.0
    assert type(declared.node.get_parameter('tracking.lost_after_s').value) is float


def test_an_integer_is_taken_for_a_double_live():
    declared = Declared()
    assert declared.set(annotate__opacity=1).successful
    assert declared.parameters.value('annotate.opacity') == 1.0
    assert type(declared.parameters.value('annotate.opacity')) is float


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
    config = core_config(Declared(
        'frame_policy:=every', 'buffer.directory:=~/frames', 'tracking.max_objects:=3',
        'tracking.mask_threshold:=-1').parameters.values())
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
    assert shared.parameters.value('image_max_value') == 65535


@pytest.mark.parametrize('name', CONTRACT)
def test_every_parameter_is_described_to_ros_tools(shared, name):
    spec, described = PARAMETERS[name], shared.node.describe_parameter(name)
    assert described.description.startswith(spec.description)
    assert f'Settable: {spec.when.value}.' in described.description
    assert described.additional_constraints == spec.accepted
    ranges = [*described.integer_range, *described.floating_point_range]
    assert len(ranges) == (1 if spec.minimum is not None else 0)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The settings, what is checked by them, and what is written from them; no ROS."""

from __future__ import annotations

from dataclasses import dataclass
import enum
import math
from pathlib import Path

import pytest
from sam2_tracker.core.config import CoreConfig, MODEL_NAMES, NodeConfig, PARAMETERS
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.settings import (
    from_values,
    group,
    ParameterSpec,
    setting,
    specs_of,
    values_of,
    When,
)
from sam2_tracker.models.zoo import MODELS
from tools import docs
import yaml

README = (Path(__file__).parents[2] / 'README.md').read_text()
CONTRACT = (
    'model', 'checkpoint', 'device', 'precision', 'image_size', 'batching',
    'cuda_graphs', 'image_transport',
    'image_reliability', 'image_max_value', 'image_max_pixels', 'frame_policy',
    'buffer.directory',
    'buffer.max_frames', 'buffer.max_bytes', 'buffer.jpeg_quality', 'buffer.max_side',
    'buffer.keep', 'tracking.max_objects', 'tracking.max_cond_frames', 'tracking.memory',
    'tracking.cuts', 'tracking.doubt', 'tracking.look_back_frames', 'tracking.lost_after_s',
    'tracking.mask_threshold', 'tracking.fill_hole_area', 'tracking.min_island_area',
    'prompt.stamp_tolerance_s', 'prompt.timeout_s', 'prompt.clicked_point', 'prompt.mouse',
    'prompt.mouse_object', 'prompts_file', 'detections.use', 'detections.min_score',
    'detections.classes', 'detections.confirm_frames', 'detections.match_iou',
    'detections.period_s', 'detections.remove_lost', 'memory.directory', 'annotate.mask',
    'annotate.box', 'annotate.label', 'annotate.trace', 'annotate.opacity', 'autostart')
# Groups that the node passes on whole whenever one of them changes.
PASSED_ON = {'tracking', 'annotate', 'detections'}
DEFAULTS = {name: spec.default for name, spec in PARAMETERS.items()}
WRONG = {'bool': 'yes', 'integer': 1.5, 'double': 'fast', 'string': 3}


@pytest.mark.parametrize('name', CONTRACT)
def test_every_parameter_of_the_contract_has_a_row(name):
    spec = PARAMETERS[name]
    assert spec.description.endswith('.') and spec.check(spec.default) == spec.default


def test_the_table_has_no_parameter_beyond_the_contract():
    assert set(PARAMETERS) == set(CONTRACT)


def test_the_yaml_file_and_the_readme_are_as_make_docs_writes_them():
    assert set(docs.written()) == {docs.YAML, docs.README}
    for path, text in docs.written().items():
        assert path.read_text() == text, f'{path.name} is out of date: run `make docs`'


def test_the_readme_has_every_parameter_as_the_table_has_it():
    assert docs.as_markdown() in README


def test_a_readme_that_lost_its_markers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(docs, 'README', tmp_path / 'README.md')
    docs.README.write_text(README.replace(docs.END, ''))
    with pytest.raises(ValueError, match='parameters:end'):
        docs.written()


def test_the_yaml_file_has_every_parameter_with_its_default():
    loaded = yaml.safe_load(docs.as_yaml())['/**']['ros__parameters']
    flat = {}
    for key, value in loaded.items():
        inner = value if isinstance(value, dict) else {'': value}
        flat.update({f'{key}.{name}'.rstrip('.'): entry for name, entry in inner.items()})
    assert flat == DEFAULTS
    assert all(type(flat[name]) is type(default) for name, default in DEFAULTS.items())


def test_the_readme_table_has_a_row_for_every_parameter():
    rows = docs.as_markdown().splitlines()[2:]
    assert [row.split('`')[1] for row in rows] == list(PARAMETERS)


def test_the_defaults_are_the_cores_own():
    config = from_values(NodeConfig, DEFAULTS)
    assert config == NodeConfig()
    assert config.core == CoreConfig()
    assert config.prompt.clicked_point is False


def test_every_model_of_the_zoo_may_be_chosen():
    assert tuple(MODELS) == MODEL_NAMES == PARAMETERS['model'].choices


class Colour(enum.Enum):
    RED = 'red'
    BLUE = 'blue'


@dataclass(frozen=True)
class Ink:
    colour: Colour = setting(Colour.RED, 'Of the ink.')
    width: float = setting(1.0, 'Of the line.', between=(0.5, 9.0))


@dataclass(frozen=True)
class Pen:
    ink: Ink = group(Ink)
    refill: Ink = group(Ink, prefix='spare_')
    box: Path | None = setting(None, 'Where it lies.', name='case')


def test_a_parameter_is_named_by_its_group_and_field():
    assert [spec.name for spec in specs_of(Pen)] == [
        'ink.colour', 'ink.width', 'spare_colour', 'spare_width', 'case']


def test_values_become_what_the_fields_hold():
    values = {'ink.colour': 'blue', 'spare_width': 2.0, 'case': '~/pens', 'of_others': 1}
    assert from_values(Pen, values) == Pen(
        Ink(Colour.BLUE), Ink(width=2.0), Path('~/pens').expanduser())
    assert from_values(Pen, {'case': ''}) == Pen()


def test_what_the_fields_hold_is_told_by_the_parameters_names():
    found = dict(values_of(NodeConfig()))
    assert list(found) == [spec.name for spec in specs_of(NodeConfig)] == list(PARAMETERS)
    assert (found['model'], found['checkpoint']) == ('nano', None)


def test_the_values_of_an_enum_are_the_choices_and_no_path_is_an_empty_text():
    colour, *_, case = specs_of(Pen)
    assert (colour.default, colour.choices) == ('red', ('red', 'blue'))
    assert (case.default, case.is_path) == ('', True)


def test_a_text_that_cannot_be_shown_is_no_value():
    *_, case = specs_of(Pen)
    word = ParameterSpec('word', '', When.LIVE, 'Any.')
    for text in ('\ud800', '\x1b[31m', 'a\nb'):
        for spec in (case, word):
            with pytest.raises(ConfigError, match=f"'{spec.name}' .* that cannot be printed"):
                spec.check(text)
    with pytest.raises(ConfigError, match=r'word.* has 257 characters: at most 256 are accepted'):
        word.check('a' * 257)
    assert case.check('/' + 'a' * 300) == '/' + 'a' * 300
    with pytest.raises(ConfigError, match=r'case.* has 4097 characters: at most 4096 are'):
        case.check('a' * 4097)


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


@pytest.mark.parametrize('value', [1, 33, 4095])
def test_a_number_between_two_steps_is_refused(value):
    with pytest.raises(ConfigError) as refusal:
        PARAMETERS['image_size'].check(value)
    assert str(refusal.value) == (
        f"parameter 'image_size' is {value}: a multiple of 32 from 0 to 4096 is expected")


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_a_double_that_is_no_number_is_refused(value):
    with pytest.raises(ConfigError):
        PARAMETERS['tracking.lost_after_s'].check(value)


@pytest.mark.parametrize('value', ['', 'gpu', 'cuda:', 'cuda:x', 'CPU'])
def test_an_unknown_device_is_refused(value):
    with pytest.raises(ConfigError, match='auto, cpu, cuda or cuda:N is expected'):
        PARAMETERS['device'].check(value)


def test_live_settings_are_where_changes_take_effect() -> None:
    live = {name for name, spec in PARAMETERS.items() if spec.when is When.LIVE}
    # Read each time that it is used; the groups are passed on whole.
    assert {name for name in live if name.split('.')[0] not in PASSED_ON} == {
        'image_max_value', 'prompt.mouse_object'
    }

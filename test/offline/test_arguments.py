# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The options that follow from the settings."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from sam2_tracker.core.config import ModelConfig, TrackingConfig
from sam2_tracker.core.settings import from_values, Option, setting
from sam2_tracker.offline.arguments import add_settings, parse


def test_without_options_the_settings_are_those_of_the_node():
    settings = parse(['clip.mp4']).settings
    assert settings.model == ModelConfig()
    assert settings.tracking == TrackingConfig()


def test_every_option_reaches_its_setting():
    settings = parse([
        'clip.mp4', '--model', 'sam2_hiera_tiny', '--checkpoint', 'tiny.pt', '--device', 'cuda:1',
        '--precision', 'float32', '--compile', 'full', '--batching', 'never',
        '--image-size', '512', '--max-objects', '3', '--max-cond-frames', '6', '--lost-after', '2',
        '--mask-threshold', '-1.5', '--fill-hole-area', '9']).settings
    assert settings.model == ModelConfig(
        'sam2_hiera_tiny', Path('tiny.pt'), 'cuda:1', 'float32', 'full', 512, 'never')
    assert settings.tracking == TrackingConfig(
        3, 6, lost_after_s=2.0, mask_threshold=-1.5, fill_hole_area=9)
    assert type(settings.tracking.lost_after_s) is float


def test_other_machines_are_told_the_whole_path_of_the_weights():
    settings = parse(['clip.mp4', '--checkpoint', 'tiny.pt', '--ray', 'local']).settings
    assert settings.model.checkpoint == Path('tiny.pt').absolute()


@pytest.mark.parametrize(('option', 'value', 'sentence'), [
    ('--max-cond-frames', '1', '1 is not an integer from 2 to 64'),
    ('--max-objects', 'many', 'many is not an integer from 1 to 1000'),
    ('--lost-after', '-1', '-1 is not a double from 0.0 to 86400.0'),
    ('--mask-threshold', 'nan', 'nan is not a double from -32.0 to 32.0'),
    ('--precision', 'half', "invalid choice: 'half'")])
def test_a_value_that_the_node_would_refuse_is_refused(capsys, option, value, sentence):
    with pytest.raises(SystemExit) as refusal:
        parse(['clip.mp4', option, value])
    assert refusal.value.code == 2
    assert f'argument {option}: {sentence}' in capsys.readouterr().err


@dataclass(frozen=True)
class Lamp:
    lit: bool = setting(True, 'Whether it shines.', option=Option('shine (%(default)s)'))
    watts: int = setting(40, 'Of the bulb.', between=(1, 100))


def test_a_switch_can_be_set_both_ways_and_a_setting_without_option_keeps_its_default():
    parser = argparse.ArgumentParser()
    add_settings(parser.add_argument_group(), Lamp)
    assert 'shine (True)' in parser.format_help()
    assert '--watts' not in parser.format_help()
    for given, lit in ([], True), (['--lit'], True), (['--no-lit'], False):
        assert from_values(Lamp, vars(parser.parse_args(given))) == Lamp(lit)

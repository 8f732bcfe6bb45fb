# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a person asks for with options, or is refused; options that follow from the settings."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.config import ModelConfig, TrackingConfig
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.settings import from_values, Option, setting
from sam2_tracker.offline.arguments import add_settings, parse


@pytest.mark.parametrize(
    ('options', 'frame', 'time_s'),
    [
        (['--at', '12'], 12, None),
        (['--at', '1.5'], None, 1.5),
        (['--at', '3s'], None, 3.0),
        ([], 0, None),
    ],
)
def test_quick_prompts_say_when(options: list[str], frame: int | None, time_s: float | None):
    [each] = parse(['a.mp4', '--point', '5,6', *options]).prompts
    assert (each.frame, each.time_s) == (frame, time_s)


def test_quick_points_and_a_box_are_one_object_and_boxes_are_several():
    [one] = parse(['a.mp4', '--point', '5,6', '--point', '7.5,8,0', '--box', '1,2,3,4']).prompts
    assert one.prompt.points_xy.tolist() == [[5, 6], [7.5, 8]]
    assert one.prompt.point_labels.tolist() == [1, 0]
    assert one.prompt.box_xyxy.tolist() == [1, 2, 3, 4]
    boxes = ['--box', '1,2,3,4', '--box', '5,6,7,8', '--label', 'cup']
    assert [each.prompt.label for each in parse(['a.mp4', *boxes]).prompts] == ['cup', 'cup']


def test_a_palette_mask_has_an_object_an_index(tmp_path: Path):
    pixels = np.zeros((4, 6), np.uint8)
    pixels[0, :2], pixels[3, 3:] = 1, 5
    picture = Image.fromarray(pixels)
    grey = tmp_path / 'grey.png'
    picture.save(grey)
    picture.putpalette([0, 0, 0, 255, 0, 0] * 128)
    indexed = tmp_path / 'indexed.png'
    picture.save(indexed)
    objects = [each.prompt for each in parse(['a.mp4', '--mask', str(indexed)]).prompts]
    assert [(prompt.object_id, int(prompt.mask_hw.sum())) for prompt in objects] == [
        (1, 2),
        (5, 3),
    ]
    with pytest.raises(PromptError, match=r'--mask .*grey\.png has the values 0, 1, 5: an object'):
        parse(['a.mp4', '--mask', str(grey)])
    Image.fromarray((pixels > 0).astype(np.uint8)).save(grey)
    [whole] = parse(['a.mp4', '--mask', str(grey)]).prompts
    assert (whole.prompt.object_id, int(whole.prompt.mask_hw.sum())) == (0, 5)


@pytest.mark.parametrize(
    'options',
    [
        ['--point', '5'], ['--point', '5,6,2'], ['--point', 'a,b'], ['--point', 'nan,1'],
        ['--box', '1,2,3'], ['--at', '-1'], ['--at', 'soon'], ['--rate', '0'],
        ['--direction', 'up'], ['--storage', 'zip'], ['--max-objects', '-1'],
        ['--lost-after', '-2'], ['--at', '1e300'], ['--rate', '1e-300'], ['--rate', '1e12'],
        ['--threads', '100000'],
    ],
)  # fmt: skip
def test_options_that_mean_nothing_end_with_code_2(
    options: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        parse(['a.mp4', *options])
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (['--mask', 'm.png', '--box', '1,2,3,4'], 'neither --point nor --box'),
        (['--point', '1,1', '--box', '1,2,3,4', '--box', '5,6,7,8'], 'which object'),
        (['--mask', 'nowhere.png'], 'nowhere.png cannot be read'),
        (['--prompts', 'nowhere.yaml'], 'nowhere.yaml: cannot be read'),
    ],
)
def test_prompts_that_do_not_fit_are_refused(options: list[str], reason: str):
    with pytest.raises(PromptError, match=reason):
        parse(['a.mp4', *options])


@pytest.mark.parametrize('text', ['clip\udcff.mp4', '\x1b[31mred', 'a\nb', 'a' * 5000])
@pytest.mark.parametrize('option', [[], ['--label'], ['--csv'], ['--load-memory']])
def test_arguments_that_cannot_be_shown_end_with_code_2(
    text: str, option: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        parse(['a.mp4', *option, text])
    assert ended.value.code == 2
    assert 'error: an argument ' in capsys.readouterr().err


def test_a_label_on_the_command_line_has_at_most_256_characters():
    with pytest.raises(PromptError, match='--label has 257 characters: at most 256 are accepted'):
        parse(['a.mp4', '--box', '1,2,3,4', '--label', 'a' * 257])


def test_without_options_the_settings_are_those_of_the_node():
    settings = parse(['clip.mp4']).settings
    assert settings.model == ModelConfig()
    assert settings.tracking == TrackingConfig()


def test_every_option_reaches_its_setting():
    settings = parse([
        'clip.mp4', '--model', 'sam2_hiera_tiny', '--checkpoint', 'tiny.pt', '--device', 'cuda:1',
        '--precision', 'float32', '--batching', 'never', '--no-cuda-graphs',
        '--image-size', '512', '--max-objects', '3', '--max-cond-frames', '6', '--lost-after', '2',
        '--memory', 'selective', '--mask-threshold', '-1.5', '--fill-hole-area', '9',
        '--min-island-area', '7', '--cuts', '--doubt']).settings
    assert settings.model == ModelConfig(
        'sam2_hiera_tiny', Path('tiny.pt'), 'cuda:1', 'float32', 512, 'never', cuda_graphs=False)
    assert settings.tracking == TrackingConfig(
        3, 6, 'selective', lost_after_s=2.0, mask_threshold=-1.5, fill_hole_area=9,
        min_island_area=7, cuts=True, doubt=True)
    assert type(settings.tracking.lost_after_s) is float


def test_other_machines_are_told_the_whole_path_of_the_weights():
    settings = parse(['clip.mp4', '--checkpoint', 'tiny.pt', '--ray', 'local']).settings
    assert settings.model.checkpoint == Path('tiny.pt').absolute()


@pytest.mark.parametrize(('option', 'value', 'sentence'), [
    ('--max-cond-frames', '1', '1 is not an integer from 2 to 64'),
    ('--max-objects', 'many', 'many is not an integer from 1 to 1000'),
    ('--lost-after', '-1', '-1 is not a double from 0.0 to 86400.0'),
    ('--mask-threshold', 'nan', 'nan is not a double from -32.0 to 32.0'),
    ('--memory', 'good', "invalid choice: 'good'"),
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

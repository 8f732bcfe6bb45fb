# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `prompt`, against a tracker on a model without a network, over DDS."""

from __future__ import annotations

from collections.abc import Sequence
import json
import os
from pathlib import Path
import signal
import subprocess
import threading

from node_rig import NodeRig
import numpy as np
from PIL import Image
from prompt_rig import HEIGHT, listed, LOOK_BACK, short_memory, start_over, WIDTH
import pytest
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.ros.client.prompt import main
from sam2_tracker.ros.client.prompt_options import (
    Action,
    ExitCode,
    make_parser,
    PREVIEW_FILE,
    split_arguments,
    wish_of,
)
from tracker_runner import executable, wait_until_it_handles_signals
from waiting import TIMEOUT_S

DOMAIN_ID = 76
IN_NAMESPACE = ('--ros-args', '-r', '__ns:=/rig')


def begin(*arguments: str, folder: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [executable('prompt'), *arguments, *IN_NAMESPACE], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID), 'COLUMNS': '80'})


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=90)
    return process.returncode, output, errors


def run(*arguments: str, folder: Path | None = None) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error."""
    return finished(begin(*arguments, folder=folder))


def asked(*arguments: str) -> dict:
    code, output, errors = run(*arguments, '--json')
    assert (code, errors) == (ExitCode.DONE, ''), (output, errors)
    return json.loads(output)


@pytest.fixture(scope='module')
def shared(graph):
    with short_memory(graph) as rig:
        yield rig


@pytest.fixture(name='rig')
def rig_fixture(shared: NodeRig) -> NodeRig:
    return start_over(shared)


def wish(*arguments: str):
    return wish_of(make_parser().parse_args(arguments))


def test_a_click_makes_an_object_and_the_answer_fits_a_terminal(rig):
    code, output, errors = run('--point', '20,20', '--label', 'cup', '--at',
                               format_stamp(rig.stamp_ns(rig.sent - 2)))
    assert (code, errors) == (0, '')
    found, = listed(rig)
    lines = output.splitlines()
    assert lines[0] == f'frame {format_stamp(rig.stamp_ns(rig.sent - 2))}'
    assert lines[2].split()[0] == str(found.id) and lines[2].endswith('cup')
    assert max(map(len, lines)) <= 80 and found.label == 'cup'


def test_a_script_refines_takes_back_renames_lists_and_removes(rig):
    made = asked('--point', '20,20', '--at', format_stamp(rig.stamp_ns(rig.sent - 2)))
    number = str(made['objects'][0]['id'])
    stamp = format_stamp(rig.stamp_ns(rig.sent - 1))
    before = asked('--list')['objects'][0]
    refined = asked('--object', number, '--point', '40,20', '--point', '5,5,0', '--at', stamp)
    assert refined['stamp'] == stamp and refined['objects'][0]['box'] != before['box']
    taken = asked('--object', number, '--clear', '--at', stamp)
    assert taken['objects'][0]['box'] == before['box']
    assert asked('--object', number, '--label', 'mug')['objects'][0]['label'] == 'mug'
    assert asked('--object', number, '--label', ' ')['objects'][0]['label'] == ''
    assert [each['id'] for each in asked('--list')['objects']] == [int(number)]
    assert asked('--remove', number)['message'] == f'object {number} is removed'
    assert asked('--list')['objects'] == []


def test_a_renaming_on_a_frame_too_long_ago_shows_the_newest_state(rig):
    asked('--point', '20,20', '--at', format_stamp(rig.stamp_ns(rig.sent - 1)))
    rig.track(LOOK_BACK + 2)
    known = asked('--list')
    cup, = known['objects']
    renamed = asked('--object', str(cup['id']), '--label', 'mug',
                    '--at', format_stamp(rig.stamp_ns(rig.sent - LOOK_BACK - 3)))
    assert cup['state'] == 'VISIBLE'
    assert renamed == {**known, 'objects': [{**cup, 'label': 'mug'}]}


def test_a_box_and_a_mask_make_objects_and_their_masks_are_written(rig, tmp_path):
    stamp = format_stamp(rig.stamp_ns(rig.sent - 1))
    boxes = asked('--box', '5,5,20,20', '--box', '30,5,50,30', '--at', stamp,
                  '--save-mask', str(tmp_path / 'both.png'))
    ids = {each['id'] for each in boxes['objects']}
    assert len(ids) == 2 and boxes['files'] == [str(tmp_path / 'both.png')]
    with Image.open(tmp_path / 'both.png') as picture:
        assert set(np.unique(np.asarray(picture))) <= {0, *ids}
        assert picture.size == (WIDTH, HEIGHT)
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[5:10, 5:10] = 255
    Image.fromarray(drawn).save(tmp_path / 'drawn.png')
    made = asked('--mask', str(tmp_path / 'drawn.png'), '--at', stamp,
                 '--save-mask', str(tmp_path / 'one.png'))
    with Image.open(tmp_path / 'one.png') as picture:
        assert (np.asarray(picture) == 255).sum() == made['objects'][0]['area']


def test_a_preview_changes_nothing_and_shows_the_frame_that_it_is_about(rig, tmp_path):
    process = begin('--point', '20,20', '--preview', folder=tmp_path)
    # A camera that goes on: the picture that the tracker answers about has to be among them.
    while process.poll() is None:
        rig.track()
    assert_previewed(rig, process, tmp_path)


def test_a_preview_of_a_frame_before_the_first_picture_is_asked_again(rig, tmp_path, monkeypatch):
    prompt, is_asked = rig.predictor.prompt, threading.Event()

    def heard(*arguments):
        is_asked.set()
        return prompt(*arguments)

    monkeypatch.setattr(rig.predictor, 'prompt', heard)
    process = begin('--point', '20,20', '--preview', folder=tmp_path)
    # The camera stands still until the tracker answers about what it has.
    assert is_asked.wait(TIMEOUT_S)
    while process.poll() is None:
        rig.track()
    assert_previewed(rig, process, tmp_path)


def assert_previewed(rig: NodeRig, process: subprocess.Popen[str], folder: Path) -> None:
    code, output, errors = finished(process)
    assert (code, errors) == (0, '')
    assert f'written: {PREVIEW_FILE}' in output and 'nothing is changed' in output
    stamp = output.splitlines()[0].removeprefix('frame ')
    number = next(each for each in range(rig.sent)
                  if format_stamp(rig.stamp_ns(each)) == stamp)
    with Image.open(folder / PREVIEW_FILE) as picture:
        pixels = np.asarray(picture.convert('RGB'))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert tuple(pixels[0, 0]) == (0, number % 256, 0)
    assert pixels.any(axis=2).sum() > 16
    assert listed(rig) == []


def test_reset_pause_and_resume(rig):
    asked('--point', '20,20', '--at', format_stamp(rig.stamp_ns(rig.sent - 1)))
    assert run('--pause')[:2] == (0, 'paused\n')
    assert run('--point', '20,20')[0] == ExitCode.REFUSED
    assert run('--resume')[:2] == (0, 'tracking\n')
    assert run('--reset')[:2] == (0, 'every object is removed\n')
    assert listed(rig) == []


def test_a_refusal_is_the_trackers_own_sentence_and_a_code_of_its_own(rig):
    code, output, errors = run('--object', '999', '--point', '20,20')
    assert (code, output) == (ExitCode.REFUSED, '')
    assert errors.startswith('object 999 is unknown: no object is tracked')
    code, output, errors = run('--object', '999', '--point', '20,20', '--json')
    assert (code, errors) == (ExitCode.REFUSED, '')
    assert json.loads(output)['success'] is False


def test_a_box_is_cut_at_the_picture_s_edge_and_refused_beside_it(rig):
    code, text, _ = run('--box=-20,-20,60,60')
    assert code == ExitCode.DONE and '  visible  ' in text
    code, text, errors = run('--box=-20,10,-5,60')
    assert (code, text) == (ExitCode.USAGE, '')
    assert errors.startswith('box (-20, 10, -5, 60) has no pixels in the image')


def test_a_file_that_cannot_be_written_is_said_and_the_object_is_there(rig, tmp_path):
    code, output, errors = run('--point', '20,20', '--save-mask', str(tmp_path),
                               '--at', format_stamp(rig.stamp_ns(rig.sent - 1)))
    assert code == ExitCode.NOT_WRITTEN and 'frame' in output
    assert str(tmp_path) in errors and len(errors.splitlines()) == 1
    assert len(listed(rig)) == 1


def test_a_mask_file_that_is_no_png_by_its_name_is_refused_before_anything_is_sent():
    code, output, errors = run('--point', '20,20', '--save-mask', 'mask.jpg')
    assert (code, output) == (ExitCode.USAGE, '')
    assert "'mask.jpg' is to be a PNG: end it with .png" in errors


def test_without_a_tracker_nothing_was_sent_and_that_is_said():
    code, output, errors = run('--list', '--tracker', 'nobody', '--timeout', '1')
    assert (code, output) == (ExitCode.NO_TRACKER, '')
    assert errors.startswith('/rig/nobody/list_objects is not there, and nothing was sent')


def test_where_no_answer_comes_it_is_said_that_it_may_have_been_done(rig):
    rig.predictor.gate.clear()
    code, _, errors = run('--point', '20,20', '--timeout', '5')
    rig.predictor.gate.set()
    assert code == ExitCode.NO_ANSWER and 'may have been done, or not' in errors


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=lambda sig: sig.name)
def test_a_signal_ends_it_without_a_traceback(number):
    process = begin('--list', '--tracker', 'nobody')
    wait_until_it_handles_signals(process)
    process.send_signal(number)
    code, _, errors = finished(process)
    assert code == ExitCode.INTERRUPTED and 'Traceback' not in errors


@pytest.mark.parametrize(('arguments', 'sentence'), [
    ((), 'what is to be done?'),
    (('--object', '3'), 'what is to be done?'),
    (('--point', '1,2', '--list'), '--list goes with no prompt'),
    (('--remove', '3', '--label', 'x'), '--remove goes with no prompt'),
    (('--object', '3', '--box', '1,2,3,4', '--box', '5,6,7,8'), '--object 3 with 2 boxes'),
    (('--clear', '--point', '1,2'), '--clear goes with --object'),
    (('--point', '1,2', '--label', 'a\x1b'), '--label'),
    (('--mask', '/nowhere.png'), '--mask /nowhere.png cannot be read'),
    (('--at', 'soon', '--point', '1,2'), "'soon' is not seconds.nanoseconds"),
    (('--object', '0', '--point', '1,2'), "'0' is not an id"),
    (('--timeout', '0', '--list'), 'not a number of seconds'),
    (('--list', '--reset'), 'not allowed with'),
    (('--box', '50,50,10,10'), '50,50,10,10: right is to be more than left'),
    (('--tracker', 'no name', '--list'), "'no name' is not the name of a node"),
])
def test_wrong_options_are_refused_with_a_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == ExitCode.USAGE and sentence in capsys.readouterr().err


def test_an_indexed_mask_makes_new_objects_whatever_its_indices(tmp_path):
    picture = Image.fromarray(np.array([[0, 7], [9, 0]], np.uint8))
    picture.putpalette([0, 0, 0] * 256)
    picture.save(tmp_path / 'indexed.png')
    assert [each.object_id for each in wish('--mask', str(tmp_path / 'indexed.png')).prompts] == [
        0, 0]


def test_options_become_what_is_asked():
    asked_for = wish('--object', '3', '--point', '1,2', '--point', '4,5,0', '--at', '12.5')
    prompt, = asked_for.prompts
    assert (prompt.object_id, asked_for.stamp_ns) == (3, 12_500_000_000)
    assert prompt.points_xy.tolist() == [[1, 2], [4, 5]]
    assert prompt.point_labels.tolist() == [1, 0]
    assert wish('--preview', '--point', '1,2').preview == Path(PREVIEW_FILE)
    assert wish('--remove', '4').action is Action.REMOVE


def test_ros_arguments_may_stand_anywhere():
    own: Sequence[str] = ['--list', '--ros-args', '-r', '__ns:=/a', '--', '--json']
    assert split_arguments(own) == (['--list', '--json'], ['--ros-args', '-r', '__ns:=/a'])
    assert split_arguments(['--list']) == (['--list'], [])


def test_help_has_examples_and_every_exit_code(capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    shown = capsys.readouterr().out
    assert shown.count('ros2 run sam2_tracker prompt --') >= 3
    assert all(f'\n  {code:d}  ' in shown for code in ExitCode)

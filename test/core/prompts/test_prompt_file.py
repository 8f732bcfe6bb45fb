# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Prompts files: what they may say, when it applies, how mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path

from fakes import frame
import numpy as np
from PIL import Image
import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.prompts.file import load_prompt_file, PromptFile
from sam2_tracker.core.prompts.schedule import PromptSchedule
from sam2_tracker.core.types import IdAllocator, ObjectState
from worker_rig import answer, running, WorkerRig


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> Path:
        path = tmp_path / 'prompts.yaml'
        path.write_text(text)
        return path

    return written


@pytest.fixture
def load(write):
    return lambda text: load_prompt_file(write(text))


def refusal(load, entry: str) -> str:
    with pytest.raises(PromptError) as raised:
        load(f'prompts:\n  - {{frame: 0, box: [1, 2, 3, 4]}}\n  - {entry}\n')
    message = str(raised.value)
    assert 'prompts.yaml, line 3 (prompt 2): ' in message
    return message.split('): ', 1)[1]


def test_a_file_of_the_documented_form_is_understood(load, tmp_path):
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3] = 1
    Image.fromarray(mask).save(tmp_path / 'ball.png')
    file = load("""
prompts:
  - frame: 3
    source: clip_a.mp4
    object: 1
    label: ball
    points: [[703, 303], [731.5, 256]]
    point_labels: [1, 0]
  - {time_s: 12.345, object: 2, box: [1, 2, 30, 40]}
  - {stamp: '1700000000.125', mask: ball.png}
""")
    first, second, third = file.prompts
    assert (first.frame, first.time_s, first.stamp_ns, first.source) == (
        3,
        None,
        None,
        'clip_a.mp4',
    )
    assert (first.prompt.object_id, first.prompt.label) == (1, 'ball')
    assert first.prompt.points_xy.tolist() == [[703, 303], [731.5, 256]]
    assert first.prompt.point_labels.tolist() == [1, 0]
    assert second.time_s == 12.345 and second.prompt.box_xyxy.tolist() == [1, 2, 30, 40]
    assert third.stamp_ns == 1_700_000_000_125_000_000
    assert third.prompt.object_id == 0
    assert np.array_equal(third.prompt.mask_hw, mask != 0)


def test_points_without_labels_are_positive(load):
    prompt = load('prompts:\n  - {frame: 0, points: [[1, 2], [3, 4]]}').prompts[0].prompt
    assert prompt.point_labels.tolist() == [1, 1]


@pytest.mark.parametrize('label', ['cup \U0001f964', '\U0010ffff', r'\ud83e\udd64', 'é \\ "'])
def test_json_is_understood_as_every_writer_writes_it(load, label):
    entries = {'prompts': [{'frame': 0, 'label': label, 'box': [1, 2, 3, 4]}]}
    assert load(json.dumps(entries)).prompts[0].prompt.label == label


def test_an_indexed_mask_counts_by_index(load, tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), 'P')
    picture.putpalette([9, 9, 9, 0, 0, 0])
    picture.save(tmp_path / 'm.png')
    mask = load('prompts:\n  - {frame: 0, mask: m.png}').prompts[0].prompt.mask_hw
    assert mask.tolist() == [[False, True], [True, False]]


def test_a_stamp_keeps_every_nanosecond(load):
    assert (
        load("prompts:\n  - {stamp: '1700000000.123456789', box: [1, 2, 3, 4]}")
        .prompts[0]
        .stamp_ns
        == 1_700_000_000_123_456_789
    )
    assert load("prompts:\n  - {stamp: '17', box: [1, 2, 3, 4]}").prompts[0].stamp_ns == 17 * 10**9


@pytest.mark.parametrize(
    ('entry', 'reason'),
    [
        ('{frame: -1, box: [1, 2, 3, 4]}', 'frame -1 is not a number from 0'),
        ('{frame: 1.5, box: [1, 2, 3, 4]}', 'frame 1.5 is not a number from 0'),
        ('{frame: yes, box: [1, 2, 3, 4]}', "frame 'yes' is not a number from 0"),
        ('{frame: true, box: [1, 2, 3, 4]}', 'frame True is not a number from 0'),
        ('{time_s: soon, box: [1, 2, 3, 4]}', "time_s 'soon' is not a number of seconds from 0"),
        ('{time_s: .nan, box: [1, 2, 3, 4]}', 'time_s nan is not a number of seconds from 0'),
        ('{time_s: .inf, box: [1, 2, 3, 4]}', 'time_s inf is not a number of seconds from 0'),
        ('{time_s: 1e308, box: [1, 2, 3, 4]}',
         'time_s 1e+308 is not a number of seconds from 0 to 9000000000'),
        ('{stamp: 1700000000.5, box: [1, 2, 3, 4]}', 'stamp 1700000000.5 is not seconds'),
        ('{stamp: now, box: [1, 2, 3, 4]}', "stamp 'now' is not seconds.nanoseconds in quotes"),
        ('{box: [1, 2, 3, 4]}', 'needs exactly one of frame, time_s, stamp; it has none'),
        (
            '{frame: 1, time_s: 2, box: [1, 2, 3, 4]}',
            'needs exactly one of frame, time_s, stamp; it has frame, time_s',
        ),
        ('{frame: 1, boxes: [1, 2, 3, 4]}', "unknown key 'boxes'; known are frame, time_s"),
        ('{frame: 1, box: [1, 2, 3]}', 'box [1, 2, 3] is not [left, top, right, bottom]'),
        ('{frame: 1, points: [1, 2]}', 'points [1, 2] is not a list of [x, y]'),
        ('{frame: 1, points: [[1, a]]}', "points [[1, 'a']] is not a list of [x, y]"),
        ('{frame: 1, points: [[1, 2]], point_labels: [a]}', "point_labels ['a'] is not a list"),
        (
            '{frame: 1, object: ball, box: [1, 2, 3, 4]}',
            "object 'ball' is not an id from 1 to 65535",
        ),
        ('{frame: 1, object: 70000, box: [1, 2, 3, 4]}', 'object 70000 is not an id from 1 to'),
        ('{frame: 1, label: [a], box: [1, 2, 3, 4]}', "label ['a'] is not a text"),
        ('{frame: 1, mask: missing.png}', 'mask missing.png cannot be read'),
        ('{frame: 1, mask: prompts.yaml}', 'mask prompts.yaml cannot be read'),
        ('frame', "'frame' is not a prompt: it has no keys"),
    ],
)
def test_mistakes_are_told_with_file_line_and_value(load, entry, reason):
    assert refusal(load, entry).startswith(reason)


@pytest.mark.parametrize('text', ['', 'prompts: 3', '- frame: 0', 'objects: []'])
def test_a_file_without_a_list_of_prompts_is_refused(load, text):
    with pytest.raises(PromptError, match="has no list 'prompts:' at the top"):
        load(text)


def test_a_file_that_is_not_yaml_is_refused_with_the_line(load):
    with pytest.raises(PromptError, match=r'prompts\.yaml: is not YAML: .*line 2'):
        load('prompts:\n  - {frame: 0')


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PromptError, match=r'none\.yaml: cannot be read: No such file[a-z ]+$'):
        load_prompt_file(tmp_path / 'none.yaml')


def test_an_empty_list_of_prompts_is_fine(load):
    assert load('prompts: []').prompts == ()


def test_prompts_for_other_sources_are_left_out(load):
    file = load(
        'prompts:\n  - {frame: 0, source: a.mp4, box: [1, 2, 3, 4]}\n'
        '  - {frame: 0, box: [1, 2, 3, 4]}'
    )
    assert len(file.for_source('a.mp4').prompts) == 2
    assert len(file.for_source('b.mp4').prompts) == 1
    assert len(file.for_source().prompts) == 1


def due_frames(file: PromptFile, stamps_s: list[float]) -> list[list[int]]:
    schedule = PromptSchedule(file.prompts, IdAllocator())
    return [
        [file.prompts.index(due.source) for due in schedule.due(frame(i, stamp_s=stamp_s))]
        for i, stamp_s in enumerate(stamps_s)
    ]


def test_prompts_are_due_by_frame_by_time_and_by_stamp(load):
    file = load("""
prompts:
  - {frame: 2, box: [1, 2, 3, 4]}
  - {time_s: 0.1, box: [1, 2, 3, 4]}
  - {time_s: 0.15, box: [1, 2, 3, 4]}
  - {stamp: '100.3', box: [1, 2, 3, 4]}
  - {time_s: 0, box: [1, 2, 3, 4]}
""")
    assert due_frames(file, [100, 100.1, 100.2, 100.3]) == [[4], [1], [0, 2], [3]]


def test_a_time_rounded_to_milliseconds_means_its_frame(load):
    file = load(
        'prompts:\n  - {time_s: 0.033, box: [1, 2, 3, 4]}\n  - {time_s: 0.067, box: [1, 2, 3, 4]}'
    )
    assert due_frames(file, [100, 100.033333, 100.066666]) == [[], [0], [1]]


def test_a_skipped_stamp_is_looked_up_when_the_stream_has_passed_it(load):
    file = load("prompts:\n  - {stamp: '100.15', box: [1, 2, 3, 4]}")
    schedule = PromptSchedule(file.prompts, IdAllocator())
    assert schedule.due(frame(0, stamp_s=100.1)) == ()
    (due,) = schedule.due(frame(1, stamp_s=100.2))
    assert due.stamp_ns == 100_150_000_000
    assert schedule.due(frame(2, stamp_s=100.3)) == ()


def test_ids_of_the_file_are_taken_and_the_numbering_goes_on_above(load):
    file = load('prompts:\n  - {frame: 5, object: 7, box: [1, 2, 3, 4]}')
    ids = IdAllocator()
    PromptSchedule(file.prompts, ids)
    assert ids.peek(1) == (8,)


def test_a_second_session_gives_the_files_objects_new_ids(load):
    file = load(
        'prompts:\n  - {frame: 0, object: 7, box: [1, 2, 3, 4]}\n'
        '  - {frame: 1, object: 7, box: [1, 2, 3, 4]}'
    )
    ids = IdAllocator()
    schedule = PromptSchedule(file.prompts, ids)
    given = []
    for _ in range(2):
        for index in range(2):
            for due in schedule.due(frame(index)):
                given.append((due.prompt.object_id, due.is_first))
                schedule.applied(due)
        schedule.restart()
    assert given == [(7, True), (7, False), (8, True), (8, False)]


LIVE = """
prompts:
  - {frame: 2, object: 5, label: cup, points: [[5, 6]]}
  - {time_s: 0.4, object: 5, points: [[9, 6]]}
  - {frame: 3, points: [[500, 6]]}
  - {stamp: '100.5', points: [[20, 6]]}
  - {stamp: '90', points: [[20, 6]]}
  - {frame: 0, source: other.mp4, points: [[20, 6]]}
"""


@pytest.fixture
def live(tmp_path, load):
    with running(WorkerRig(tmp_path / 'frames', prompts=load(LIVE))) as rig:
        yield rig


def test_prompts_of_a_file_are_in_the_result_of_their_frame(live):
    live.play(8)
    seen = [[each.id for each in result.objects] for result in live.results]
    assert seen == [[], [], [5], [5], [5], [5, 6], [5, 6], [5, 6]]
    assert live.results[2].objects[0].label == 'cup'
    memory = answer(live.worker.call(lambda tracker: tracker.memory(5)))
    assert memory.cond_indices == (2, 4)


def test_refused_prompts_of_a_file_are_logged_with_file_entry_and_value(live):
    live.play(8)
    lines = [line for _, line in live.lines]
    assert any(
        'prompts.yaml, line 5 (prompt 3): new object: point (500, 6) outside 64x48 frame' in line
        for line in lines
    )
    assert any('line 7 (prompt 5): no frame within' in line and '90.0' in line for line in lines)
    assert any('line 3 (prompt 1): applied to object 5' in line for line in lines)


def test_prompts_of_a_file_apply_again_when_the_stream_is_looped(live):
    live.play(15)
    for number in range(4):
        live.send(number)
    live.wait_until(lambda: len(live.results) == 20)
    assert [each.state for each in live.results[15].objects] == [ObjectState.LOST] * 2
    assert [[each.id for each in result.objects] for result in live.results[16:]] == [
        [],
        [],
        [7],
        [7],
    ]


def test_prompts_of_a_file_are_not_applied_again_when_the_size_changes(live):
    live.play(4)
    live.send(4, hw=(96, 128))
    for number in range(5, 8):
        live.send(number, hw=(96, 128))
    live.wait_until(lambda: len(live.results) == 8)
    assert [each.id for each in live.results[-1].objects] == [5, 6]


def test_an_object_of_a_file_that_was_removed_does_not_come_back(live):
    live.play(3)
    answer(live.worker.remove_object(5))
    live.play(2, 3)
    assert live.results[-1].objects == ()
    assert any('object 5 is unknown' in line for _, line in live.lines)

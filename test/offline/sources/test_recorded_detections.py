# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a detector found, read from COCO results, COCO data sets, MOT lines and bags."""

from __future__ import annotations

import json
from pathlib import Path

from bag_making import raw_messages, stamps, write_bag
from detection_making import coco_results, detection_array, mot_lines
import pytest
from sam2_tracker.core.config import DetectionsConfig
from sam2_tracker.core.detections.detection import Detection
from sam2_tracker.core.log import Level, silent
from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.sources.detections import load_detections, RecordedDetections

CLASSES = ('cat', 'dog')
FOUND = {
    0: [(10, 20, 30, 60, 0.9, 'dog'), (1, 2, 3, 4, 0.8, 'cat')],
    3: [(5, 5, 9, 9, 0.7, 'dog')]}
NAMED = DetectionsConfig(classes='1=cat,2=dog')
AS_READ = {
    0: (Detection((10, 20, 30, 60), 0.9, 'dog'), Detection((1, 2, 3, 4), 0.8, 'cat')),
    3: (Detection((5, 5, 9, 9), 0.7, 'dog'),)}


def read(tmp_path: Path, text: str, config: DetectionsConfig = NAMED) -> RecordedDetections:
    path = tmp_path / 'found.txt'
    path.write_text(text)
    return load_detections(str(path), tmp_path / 'clip.mp4', config, silent)


def test_coco_results_name_frames_by_numbers_from_0_and_classes_by_numbers(tmp_path: Path) -> None:
    recorded = read(tmp_path, coco_results(FOUND, CLASSES))
    assert recorded.by_number == AS_READ
    assert recorded.labels == ('cat', 'dog')
    assert read(tmp_path, coco_results(FOUND, CLASSES), DetectionsConfig()).labels == ('1', '2')


def test_coco_results_may_name_pictures(tmp_path: Path) -> None:
    found = {'folder/shot_7.jpg': FOUND[0], 'shot_8': FOUND[3]}     # of one folder, as known
    assert set(read(tmp_path, coco_results(found, CLASSES)).by_number) == {'shot_7', 'shot_8'}


def test_a_coco_data_set_has_names_and_frames_of_its_own(tmp_path: Path) -> None:
    row = {'image_id': 8, 'category_id': 5, 'bbox': [10, 20, 20, 40]}
    content = {'images': [{'id': 8, 'frame_index': 4}, {'id': 9}],
               'categories': [{'id': 5, 'name': 'hen'}],
               'annotations': [row, {**row, 'image_id': 9}]}
    recorded = read(tmp_path, json.dumps(content), DetectionsConfig())
    one = (Detection((10, 20, 30, 60), 1.0, 'hen'),)
    assert recorded.by_number == {4: one, 1: one}


ROW = {'category_id': 5, 'bbox': [10, 20, 20, 40]}
# (id, file_name, video_id) of two videos' pictures, as data sets of videos mix them.
OF_TWO = [(1, 'a/000.jpg', 70), (2, 'b/000.jpg', 71), (3, 'a/001.jpg', 70), (4, 'b/001.jpg', 71)]


def several_videos(images: list[dict[str, object]], **parts: object) -> str:
    """Return a data set with one box in each picture, as far right as its id says."""
    return json.dumps({
        'images': images, 'categories': [{'id': 5, 'name': 'hen'}], **parts,
        'annotations': [{**ROW, 'image_id': each['id'], 'bbox': [each['id'], 20, 20, 40]}
                        for each in images]})


def lefts(recorded: RecordedDetections) -> dict[int | str, list[float]]:
    """Return where the boxes of each frame begin."""
    return {frame: [each.box_xyxy[0] for each in found]
            for frame, found in recorded.by_number.items()}


def read_for(tmp_path: Path, recording: str, text: str,
             lines: list[tuple[Level, str]] | None = None) -> RecordedDetections:
    path = tmp_path / 'found.json'
    path.write_text(text)
    said = [] if lines is None else lines
    return load_detections(str(path), tmp_path / recording, DetectionsConfig(),
                           lambda level, line: said.append((level, line)))


@pytest.mark.parametrize('recording', ['b', 'b.mp4', 'elsewhere/b.mcap'])
@pytest.mark.parametrize('told_by', ['folder', 'video name', 'video file'])
def test_of_a_data_set_of_several_videos_that_of_the_recording_s_name_is_read(
    tmp_path: Path, recording: str, told_by: str
) -> None:
    parts: dict[str, object] = {}
    images: list[dict[str, object]] = [
        {'id': image_id, 'file_name': name} for image_id, name, _ in OF_TWO]
    if told_by != 'folder':
        images = [{'id': image_id, 'video_id': video} for image_id, _, video in OF_TWO]
        key, names = ('name', 'ab') if told_by == 'video name' else (
            'file_name', ('in/a.avi', 'in/b.avi'))
        parts['videos'] = [{'id': 70, key: names[0]}, {'id': 71, key: names[1]}]
    lines: list[tuple[Level, str]] = []
    recorded = read_for(tmp_path, recording, several_videos(images, **parts), lines)
    assert lefts(recorded) == {0: [2], 1: [4]}
    assert [level for level, line in lines if 'of the 2 videos' in line] == [Level.INFO]


def test_a_recording_may_be_called_as_the_folder_around_its_video_s_pictures(
    tmp_path: Path,
) -> None:
    images: list[dict[str, object]] = [
        {'id': image_id, 'file_name': f'MOT17-{name[0]}/img1/{name[2:]}'}
        for image_id, name, _ in OF_TWO]
    for recording in ('MOT17-b/img1', 'MOT17-b', 'MOT17-b.mp4'):
        assert lefts(read_for(tmp_path, recording, several_videos(images))) == {0: [2], 1: [4]}
    with pytest.raises(SourceError, match=r"may be any of 2: 'MOT17-a/img1', 'MOT17-b/img1'"):
        read_for(tmp_path, 'img1', several_videos(images))


def test_a_dot_in_a_video_s_name_is_a_part_of_it(tmp_path: Path) -> None:
    images: list[dict[str, object]] = [
        {'id': image_id, 'file_name': f'run.{"12"[name[0] == "b"]}/{name[2:]}'}
        for image_id, name, _ in OF_TWO]
    for recording in ('run.2', 'run.2.mp4'):
        assert lefts(read_for(tmp_path, recording, several_videos(images))) == {0: [2], 1: [4]}
    for recording in ('run.3', 'run', 'run.mcap'):
        with pytest.raises(SourceError, match=r"may be any of 2: 'run\.1', 'run\.2'"):
            read_for(tmp_path, recording, several_videos(images))


def test_which_of_several_videos_a_recording_is_has_to_be_told_by_its_name(
    tmp_path: Path,
) -> None:
    images: list[dict[str, object]] = [
        {'id': image_id, 'video_id': video} for image_id, _, video in OF_TWO]
    with pytest.raises(SourceError, match=(
            r'are not of one video: its pictures are of 2 videos, and by its name '
            r".*clip\.mp4 may be any of 2: '70', '71'; call it")):
        read_for(tmp_path, 'clip.mp4', several_videos(images))
    assert lefts(read_for(tmp_path, '71.mp4', several_videos(images))) == {0: [2], 1: [4]}
    many: list[dict[str, object]] = [
        {'id': number, 'file_name': f'{number:02}/0.jpg'} for number in range(20)]
    with pytest.raises(SourceError, match=r"any of 20: '00', '01', '02', '03', '04', \.\.\.;"):
        read_for(tmp_path, 'clip.mp4', several_videos(many))


def test_a_data_set_of_one_video_is_any_recording_s(tmp_path: Path) -> None:
    images: list[dict[str, object]] = [
        {'id': 1, 'file_name': 'a/0.jpg', 'video_id': 7}, {'id': 2, 'video_id': 7}]
    lines: list[tuple[Level, str]] = []
    text = several_videos(images, videos=[{'id': 7, 'name': 'a'}, {'id': 8, 'name': 'b'}])
    assert lefts(read_for(tmp_path, 'clip.mp4', text, lines)) == {0: [1], 1: [2]}
    assert lines == []


def test_results_that_name_pictures_of_several_folders_are_read_by_the_recording_s_name(
    tmp_path: Path,
) -> None:
    text = json.dumps([
        {**ROW, 'image_id': name, 'bbox': [number, 20, 20, 40]}
        for number, name in enumerate(('a/0.jpg', 'b/0.jpg', 'b/1.jpg', '2.jpg'))])
    assert lefts(read_for(tmp_path, 'b', text)) == {'0': [1], '1': [2], '2': [3]}
    with pytest.raises(SourceError, match="may be any of 2: 'a', 'b'"):
        read_for(tmp_path, 'clip.mp4', text)


@pytest.mark.parametrize(('images', 'sentence'), [
    ([{'id': 1, 'frame_index': 4}, {'id': 3, 'frame_index': 4}],
     r'ids 1 and 3 are both frame 4'),
    ([{'id': 1, 'frame_index': 1}, {'id': 2}], r'ids 1 and 2 are both frame 1'),
    ([{'id': 1}, {'id': 1}], 'two images have the id 1'),
])
def test_a_frame_that_a_data_set_has_twice_is_refused(
    tmp_path: Path, images: list[dict[str, object]], sentence: str
) -> None:
    with pytest.raises(SourceError, match=sentence):
        read_for(tmp_path, 'clip.mp4', several_videos(images))


def test_mot_lines_count_frames_from_1(tmp_path: Path) -> None:
    assert read(tmp_path, mot_lines(FOUND, CLASSES)).by_number == AS_READ
    bare = read(tmp_path, '1,-1,10,20,20,40,0.9,-1,-1,-1\n\n2,4,1,1,5,5\n', DetectionsConfig())
    assert bare.by_number == {0: (Detection((10, 20, 30, 60), 0.9, ''),),
                              1: (Detection((1, 1, 6, 6), 1.0, ''),)}


@pytest.mark.parametrize(('text', 'sentence'), [
    ('[{"image_id": 0, "category_id": 1}]', r"entry 0, .*: 'bbox' is missing"),
    ('[{"image_id": 0, "category_id": 1, "bbox": [1, 2]}]',
     r'entry 0, .*bbox \[1, 2\] is not \[x, y, width, height\]'),
    ('[{"image_id": -1, "category_id": 1, "bbox": [1, 2, 3, 4]}]', 'neither a frame number from'),
    ('[{"image_id": 0, "category_id": 1, "bbox": "1234"}]', "bbox '1234' is not "),
    ('[{"image_id": true, "category_id": 1, "bbox": [1, 2, 3, 4]}]', 'image_id True is neither'),
    ('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}, '
     '{"image_id": true, "category_id": 1, "bbox": [1, 2, 3, 4]}]', 'image_id True is neither'),
    ('[{"image_id": "", "category_id": 1, "bbox": [1, 2, 3, 4]}]', "image_id '' is neither"),
    ('[{"image_id": 0, "category_id": null, "bbox": [1, 2, 3, 4]}]', 'category_id None is ne'),
    ('[7]', 'entry 0, 7: '),
    ('{"images": []}', "'annotations' is missing"),
    ('{"images": [{"id": 1, "frame_index": 1e999}], "annotations": []}', 'infinity'),
    ('[{', 'damaged'),
    ('1,2,3\n', "line 1, '1,2,3': it has 3 of at least 6 numbers"),
    ('1,1,0,0,5,5\n0,1,2,3,4,5\n', 'line 2, .*frame 0 is not a number from 1'),
    ('hello', "line 1, 'hello'"),
    ('\xff\x00', 'line 1'),
])
def test_a_file_that_is_none_of_these_is_refused_with_the_place(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(SourceError, match=f'(?s){sentence}') as refusal:
        read(tmp_path, text)
    assert 'expected are COCO results' in str(refusal.value)


def test_boxes_that_cannot_be_used_are_said_once(tmp_path: Path) -> None:
    lines: list[tuple[Level, str]] = []
    path = tmp_path / 'found.txt'
    path.write_text('1,-1,0,0,0,5,0.9,2\n2,-1,0,0,0,5,0.9,2\n3,-1,0,0,nan,5,0.9,2\n'
                    '4,-1,0,0,5,5,0.2,2\n4,-1,0,0,5,5,0.9,7\n')
    recorded = load_detections(
        str(path), tmp_path, NAMED, lambda level, line: lines.append((level, line)))
    assert not any(recorded.by_number.values())
    assert [line.split(';')[0] for _, line in lines] == [
        'detections refused: box (0, 0, 0, 5) is 0 by 5 pixels',
        'detections refused: box (0, 0, nan, 5) is not four finite numbers',
        f'{path}: boxes that count: 0']
    assert lines[-1] == (Level.WARN, f'{path}: boxes that count: 0; left out: 2 (score below 0.5, '
                         'or not of 1=cat,2=dog); refused: 3')


def test_what_the_settings_leave_out_is_told_with_what_counts(tmp_path: Path) -> None:
    lines: list[tuple[Level, str]] = []

    def said(text: str) -> list[tuple[Level, str]]:
        path = tmp_path / 'found.txt'
        path.write_text(text)
        lines.clear()
        load_detections(str(path), tmp_path, DetectionsConfig(),
                        lambda level, line: lines.append((level, line)))
        return lines

    assert said('1,-1,0,0,5,5,0.9\n') == []
    assert [(level, line.partition(': ')[2]) for level, line in said(
        '1,-1,0,0,5,5,0.9\n1,-1,0,0,5,5,0.2\n')] == [
            (Level.INFO, 'boxes that count: 1; left out: 1 (score below 0.5); refused: 0')]
    assert [(level, line.partition(': ')[2]) for level, line in said('')] == [
        (Level.WARN, 'boxes that count: 0; left out: 0 (score below 0.5); refused: 0')]


def test_whole_numbers_may_be_written_as_tables_write_them(tmp_path: Path) -> None:
    recorded = read(tmp_path, '[{"image_id": 3.0, "category_id": 2.0, "bbox": [1, 2, 3, 4]}]')
    assert recorded.by_number == {3: (Detection((1, 2, 4, 6), 1.0, 'dog'),)}


@pytest.mark.parametrize('name', ['1700000000.125', '1700000000.125.png', 'in/1700000000.125.JPG'])
def test_a_pictures_name_may_have_dots_with_and_without_its_suffix(
    tmp_path: Path, name: str
) -> None:
    recorded = read(tmp_path, json.dumps([
        {'image_id': name, 'category_id': 1, 'bbox': [1, 2, 3, 4]}]))
    assert list(recorded.by_number) == ['1700000000.125']


def bag_with(tmp_path: Path, topic: str = '/yolo/detections') -> Path:
    first, _, _, fourth = stamps(4)
    messages = [*raw_messages(4), (topic, fourth + 900, detection_array(fourth, FOUND[3])),
                (topic, fourth + 990, detection_array(first, FOUND[0]))]
    return write_bag(tmp_path / 'bag', messages)


def test_a_topic_of_the_bag_is_read_by_stamps_with_the_definitions_that_the_bag_brings(
    tmp_path: Path,
) -> None:
    recorded = load_detections(
        'yolo/detections', bag_with(tmp_path), DetectionsConfig(), silent)
    assert [each.stamp_ns for each in recorded.by_stamp] == [stamps(4)[0], stamps(4)[3]]
    assert tuple(each.detections for each in recorded.by_stamp) == tuple(AS_READ.values())
    assert recorded.by_stamp[0].frame_id == 'camera'
    assert recorded.labels == ('cat', 'dog')


def test_what_is_neither_a_file_nor_a_topic_is_refused_with_the_topics_that_there_are(
    tmp_path: Path,
) -> None:
    bag = bag_with(tmp_path)
    with pytest.raises(SourceError, match=r'/nothing: no such file.*it has /yolo/detections'):
        load_detections('/nothing', bag, DetectionsConfig(), silent)
    with pytest.raises(SourceError, match=r'/camera/image: no such file.*has no such topic with '
                       r'vision_msgs/msg/Detection2DArray \(there it has sensor_msgs/msg/'):
        load_detections('/camera/image', bag, DetectionsConfig(), silent)
    (tmp_path / 'clip.mp4').touch()
    with pytest.raises(SourceError, match=r'no such file, and .*clip\.mp4 is no bag'):
        load_detections('found.json', tmp_path / 'clip.mp4', DetectionsConfig(), silent)


def test_other_detections_or_settings_have_another_fingerprint(tmp_path: Path) -> None:
    one, other = (coco_results(found, CLASSES) for found in (FOUND, {0: FOUND[3]}))
    prints = {read(tmp_path, text, config).fingerprint for text in (one, other)
              for config in (NAMED, DetectionsConfig())}
    assert len(prints) == 4
    assert read(tmp_path, one).fingerprint in prints

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A run is worked out, or refused, before it begins."""

from __future__ import annotations

from pathlib import Path

from bag_making import BagKind, raw_messages, write_bag
import cv2
import numpy as np
from PIL import Image
import pytest
from rosbags.rosbag2 import CompressionMode

from sam2_tracker.core.errors import ConfigError, FrameError, PromptError
from sam2_tracker.offline.arguments import parse
from sam2_tracker.offline.errors import OutputError, SourceError
from sam2_tracker.offline.run.job import distinct_names, Job, plan_job
from sam2_tracker.offline.run.journal import fingerprint_of
from sam2_tracker.offline.sources.open_source import open_source, SourceOptions

CLIPS = ('a.mp4', 'b.mp4')


def plan(*options: str) -> Job:
    request = parse(options)
    return plan_job(request.sources, request.prompts, request.outputs, request.settings)


def prompts_file(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / 'p.yaml'
    path.write_text('\n'.join(['prompts:', *lines]))
    return str(path)


def entry(object_id: int = 0, source: str = '', label: str = '') -> str:
    named = f', object: {object_id}' if object_id else ''
    placed = f", source: '{source}'" if source else ''
    called = f', label: {label}' if label else ''
    return f'  - {{frame: 0, points: [[1, 1]]{named}{placed}{called}}}'


def test_prompts_without_a_source_are_for_the_first_one():
    job = plan(*CLIPS, '--point', '5,6', '--masks', 'out')
    assert [(source.name, len(source.prompts)) for source in job.sources] == [('a', 1), ('b', 0)]
    assert job.taught == job.sources[:1]
    assert job.untaught == job.sources[1:]


def test_prompts_go_to_the_source_that_they_name_and_that_one_comes_first(tmp_path: Path):
    for name in ('b', 'b.mp4'):
        file = prompts_file(tmp_path, entry(source=name))
        job = plan(*CLIPS, '--prompts', file, '--masks', 'out')
        assert [(source.name, len(source.prompts)) for source in job.sources] == [
            ('b', 1),
            ('a', 0),
        ]


def test_a_prompt_for_a_source_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path):
    file = prompts_file(tmp_path, entry(source='c.mp4'))
    with pytest.raises(PromptError, match=r"line 2 .*'c\.mp4' is none of the sources a\.mp4, b"):
        plan(*CLIPS, '--prompts', file, '--masks', 'out')


def test_objects_without_an_id_are_numbered_above_all_others(tmp_path: Path):
    file = prompts_file(tmp_path, entry(), entry(7), entry())
    job = plan('a.mp4', '--prompts', file, '--masks', 'out')
    assert [each.prompt.object_id for each in job.sources[0].prompts] == [8, 7, 9]


def test_classes_are_the_same_for_all_sources(tmp_path: Path):
    file = prompts_file(tmp_path, entry(label='cup'), entry(), entry(label='cup'))
    job = plan(*CLIPS, '--prompts', file, '--masks', 'out')
    assert [source.classes.names for source in job.sources] == [('cup', 'object')] * 2


def test_recordings_of_the_same_name_are_told_apart(tmp_path: Path):
    folder = tmp_path / 'clip.mcap'
    folder.mkdir()
    paths = [Path('x/clip.mp4'), Path('y/clip.avi'), folder, Path('z/clip.mp4')]
    assert distinct_names(paths) == ['clip', 'clip_2', 'clip.mcap', 'clip_3']


def test_outputs_of_several_sources_lie_beside_each_other(tmp_path: Path):
    job = plan(
        *CLIPS, '--point', '1,1', '--output', 'bags', '--masks', 'masks', '--yolo', 'yolo',
        '--video', 'v_{source}.mp4', '--coco', '{source}/c.json',
    )  # fmt: skip
    places = [[str(target.path) for target in source.outputs.targets()] for source in job.sources]
    assert places[1] == ['bags/b', 'masks/b', 'yolo/labels/b', 'v_b.mp4', 'b/c.json']
    single = plan('a.mp4', '--point', '1,1', '--output', 'bag', '--masks', 'm')
    places = [str(target.path) for target in single.sources[0].outputs.targets()]
    assert places == ['bag', 'm/a']


def test_what_can_be_resumed_lies_beside_the_first_folder_in_whatever_order_outputs_are_given():
    options = ['--sheet', 's.png', '--frames', 'f', '--csv', 'c.csv', '--yolo', 'y', '--coco', 'c',
               '--masks', 'm', '--video', 'v.mp4', '--output', 'bag']
    job = plan('a.mp4', '--point', '1,1', *options)
    places = [str(target.path) for target in job.sources[0].outputs.targets()]
    assert places == ['bag', 'm/a', 'y/labels/a', 'f/a', 'v.mp4', 'c', 'c.csv', 's.png']
    assert job.journal_folder == Path('.bag.resume')


def test_one_file_for_several_sources_is_refused_with_what_to_write():
    with pytest.raises(ConfigError, match=r'--video out\.mp4 .* as out_\{source\}\.mp4'):
        plan(*CLIPS, '--point', '1,1', '--video', 'out.mp4')


def test_one_place_for_two_outputs_is_refused():
    with pytest.raises(ConfigError, match='named for two outputs'):
        plan('a.mp4', '--point', '1,1', '--video', 'out', '--coco', './out')


def test_topics_can_be_copied_from_bags_only():
    with pytest.raises(ConfigError, match=r'--copy-topics: source a\.mp4 is no bag'):
        plan('a.mp4', '--point', '1,1', '--output', 'bag', '--copy-topics')
    job = plan('a.mcap', '--point', '1,1', '--output', 'bag', '--copy-topics')
    assert job.sources[0].outputs.content.copied_from == Path('a.mcap')


def test_a_run_without_prompts_and_memory_is_refused():
    with pytest.raises(PromptError, match='nothing to track'):
        plan('a.mp4', '--masks', 'out')


def test_the_source_is_never_an_output():
    job = plan('clip.mp4', '--point', '1,1', '--video', './clip.mp4')
    with pytest.raises(OutputError, match='is the source itself'):
        job.sources[0].check_outputs(overwrite=True)


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
    [whole] = parse(['a.mp4', '--mask', str(grey)]).prompts
    assert (whole.prompt.object_id, int(whole.prompt.mask_hw.sum())) == (0, 5)


@pytest.mark.parametrize(
    'options',
    [
        ['--point', '5'], ['--point', '5,6,2'], ['--point', 'a,b'], ['--point', 'nan,1'],
        ['--box', '1,2,3'], ['--at', '-1'], ['--at', 'soon'], ['--rate', '0'],
        ['--direction', 'up'], ['--storage', 'zip'], ['--max-objects', '-1'],
        ['--lost-after', '-2'],
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


def test_every_kind_of_recording_is_recognised(tmp_path: Path):
    bag = write_bag(tmp_path / 'bag', raw_messages(2))
    folder = tmp_path / 'folder'
    folder.mkdir()
    Image.new('RGB', (8, 6)).save(folder / '0.png')
    video = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*'MJPG'), 10, (32, 24))
    for _ in range(3):
        writer.write(np.zeros((24, 32, 3), np.uint8))
    writer.release()
    paths = (bag, bag / 'bag.mcap', folder, video)
    counts = [len(list(open_source(path, SourceOptions()).frames())) for path in paths]
    assert counts == [2, 2, 1, 3]


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('nowhere.mp4', 'does not exist'),
        ('old.bag', 'ROS 1'),
        ('bag_0.mcap.zstd', 'give the folder'),
        ('notes.txt', 'not a video'),
        ('empty', 'no pictures'),
        ('cut_off', 'ros2 bag reindex'),
    ],
)
def test_what_is_no_recording_is_refused_with_a_way_out(tmp_path: Path, name: str, reason: str):
    path = tmp_path / name
    if name in ('empty', 'cut_off'):
        path.mkdir()
    elif name != 'nowhere.mp4':
        path.write_text('not a recording')
    if name == 'cut_off':
        (path / 'cut_off_0.mcap').touch()
    with pytest.raises((SourceError, FrameError), match=reason):
        open_source(path, SourceOptions())


def test_a_topic_for_a_video_is_refused(tmp_path: Path):
    (tmp_path / 'clip.mp4').touch()
    with pytest.raises(SourceError, match='--topic /cam means nothing'):
        open_source(tmp_path / 'clip.mp4', SourceOptions('/cam'))


def test_a_compressed_bag_is_recognised(tmp_path: Path):
    kind = BagKind(compression=CompressionMode.FILE)
    bag = write_bag(tmp_path / 'bag', raw_messages(2), kind)
    assert open_source(bag, SourceOptions()).frame_count == 2


def test_the_fingerprint_names_what_changed(tmp_path: Path):
    clip = tmp_path / 'a.mp4'
    clip.write_text('x')
    base = [str(clip), '--masks', 'out']
    found = [
        fingerprint_of(plan(*base, *options), clip.parent)
        for options in (
            ['--point', '1,1'],
            ['--point', '1,1'],
            ['--point', '1,2'],
            ['--point', '1,1', '--model', 'sam2.1_hiera_tiny'],
        )
    ]
    assert found[0] == found[1]
    assert {key for key in found[0] if found[0][key] != found[2][key]} == {'prompts of a'}
    assert {key for key in found[0] if found[0][key] != found[3][key]} == {'model'}
    clip.write_text('another video')
    changed = fingerprint_of(plan(*base, '--point', '1,1'), clip.parent)
    assert {key for key in changed if changed[key] != found[0][key]} == {'source a', 'weights'}

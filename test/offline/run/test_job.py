# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A run is worked out, or refused, before it begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sam2_tracker.core.errors import ConfigError, PromptError
from sam2_tracker.core.log import silent
from sam2_tracker.models.zoo import model_spec
from sam2_tracker.offline.arguments import parse
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.run import journal
from sam2_tracker.offline.run.job import distinct_names, Job, plan_job
from sam2_tracker.offline.run.journal import fingerprint_of
from sam2_tracker.offline.sources.detections import load_detections

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
    assert job.prompted == job.sources[:1]
    assert job.unprompted == job.sources[1:]


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


@pytest.mark.parametrize('name', ['clip', 'images', 'labels'])
def test_yolo_labels_lie_where_readers_look_for_those_of_the_pictures(name: str):
    options = ['--frames', 'images/set/images', '--yolo', 'images/set']
    job = plan(f'{name}.mp4', '--point', '1,1', *options)
    labels, frames = (str(target.path) for target in job.sources[0].outputs.targets())
    # They replace the last folder of that name in a picture's path.
    before, after = f'{frames}/00000.jpg'.rsplit('/images/', 1)
    assert f'{labels}/00000.jpg' == f'{before}/labels/{after}'
    assert Path(labels).parents[1] == Path('images/set')  # Where data.yaml goes.


def test_one_file_for_several_sources_is_refused_with_what_to_write():
    with pytest.raises(ConfigError, match=r'--video out\.mp4 .* as out_\{source\}\.mp4'):
        plan(*CLIPS, '--point', '1,1', '--video', 'out.mp4')


@pytest.mark.parametrize('name', ['out.avi', 'out.webm', 'out', '{source}.mkv'])
def test_a_video_of_another_kind_than_is_written_is_refused(name: str):
    with pytest.raises(ConfigError, match=f'--video {name}: what is written is MP4, so name it '):
        plan('a.mp4', '--point', '1,1', '--video', name)


def test_one_place_for_two_outputs_is_refused():
    with pytest.raises(ConfigError, match='named for two outputs'):
        plan('a.mp4', '--point', '1,1', '--csv', 'out', '--coco', './out')


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
            ['--point', '1,1', '--image-size', '320', '--memory', 'selective'],
        )
    ]
    assert found[0] == found[1]
    assert {key for key in found[0] if found[0][key] != found[2][key]} == {'prompts of a'}
    assert {key for key in found[0] if found[0][key] != found[3][key]} == {
        'model',
        'model configuration',
    }
    assert {key for key in found[0] if found[0][key] != found[4][key]} == {
        'image_size',
        'tracking.memory',
    }
    clip.write_text('another video')
    changed = fingerprint_of(plan(*base, '--point', '1,1'), clip.parent)
    assert {key for key in changed if changed[key] != found[0][key]} == {'source a', 'weights'}


def test_a_run_with_another_input_size_of_the_same_model_has_another_fingerprint(monkeypatch):
    job = plan('a.mp4', '--point', '1,1', '--masks', 'out')
    before = fingerprint_of(job, Path('weights'))
    smaller = replace(model_spec('nano'), overrides={'image_size': 384})
    monkeypatch.setattr(journal, 'model_spec', lambda name: smaller)
    after = fingerprint_of(job, Path('weights'))
    assert {key for key in before if before[key] != after[key]} == {'model configuration'}


def plan_with(found: Path, *options: str) -> Job:
    request = parse(['a.mp4', '--detections', str(found), '--masks', 'out', *options])
    recorded = load_detections(
        request.detections, request.sources[0], request.settings.detections, silent)
    return plan_job(request.sources, request.prompts, request.outputs, request.settings,
                    detections={request.sources[0]: recorded})


def test_detections_are_something_to_track_and_their_labels_are_classes(tmp_path):
    (tmp_path / 'found').write_text('1,-1,0,0,9,9,0.9,2\n1,-1,9,9,9,9,0.9,1\n')
    job = plan_with(tmp_path / 'found', '--classes', '1=hen,2=cat', '--point', '5,6',
                    '--label', 'cup')
    assert job.sources[0].classes.names == ('cup', 'cat', 'hen')
    with pytest.raises(ConfigError, match='--direction both does not go with --detections'):
        plan_with(tmp_path / 'found', '--direction', 'both')
    with pytest.raises(ConfigError, match='--save-memory does not go with --detections'):
        plan_with(tmp_path / 'found', '--save-memory', 'memory')


def test_a_run_with_other_detections_or_other_rules_for_them_is_not_resumed(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ('a.mp4', 'weights'):
        (tmp_path / name).touch()
    (tmp_path / 'found').write_text('1,-1,0,0,9,9,0.9,2\n')
    (tmp_path / 'other').write_text('2,-1,0,0,9,9,0.9,2\n')
    prints = [
        fingerprint_of(plan_with(tmp_path / name, *options), tmp_path / 'weights')
        for name, options in (('found', ()), ('other', ()), ('found', ('--confirm-frames', '1')))]
    differing = [{key for key in prints[0] if prints[0][key] != each[key]} for each in prints[1:]]
    assert differing == [{'detections of a'}] * 2

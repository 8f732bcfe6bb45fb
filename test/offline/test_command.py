# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The command as a person uses it, on small recordings, with the bundled model."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

from bag_making import FIRST_NS, picture, raw_image, raw_messages, write_bag
from command_rig import content, FRAMES, small_disk, whole_looking
import numpy as np
from PIL import Image
import pytest
from rosbags.rosbag2 import Reader
from sam2_tracker.offline.command import main
from video_making import blank_packets, VideoKind, write_video


def test_a_run_writes_every_output_and_nothing_else(finished: dict[str, bytes]):
    numbered = [f'{number:05d}' for number in range(FRAMES)]
    assert sorted(finished) == sorted([
        *(f'masks/first/{name}.png' for name in numbered),
        *(f'yolo/labels/first/{name}.txt' for name in numbered),
        *(f'frames/first/{name}.jpg' for name in numbered),
        *('bag/bag.mcap', 'bag/metadata.yaml', 'out.csv', 'out.json', 'out.mp4', 'sheet.png'),
        'yolo/data.yaml',
    ])  # fmt: skip
    coco = json.loads(finished['out.json'])
    assert len(coco['images']) == FRAMES
    assert {one['track_id'] for one in coco['annotations']} == {1, 4}
    assert [one['name'] for one in coco['categories']] == ['red', 'object']


def test_an_output_that_exists_is_kept_unless_overwriting_is_asked_for(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / 'out.csv'
    table.write_text('mine')
    arguments = [str(bags[0]), '--prompts', str(prompts), '--csv', str(table)]
    assert main(arguments) == 4
    assert '--overwrite' in capsys.readouterr().err
    assert table.read_text() == 'mine'
    assert main([*arguments, '--overwrite']) == 0
    assert table.read_text().startswith('frame,')


def test_a_damaged_video_is_tracked_to_its_end_and_told_by_summary_and_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    video = blank_packets(write_video(tmp_path, VideoKind('clip.mp4', 'mpeg4', count=6)), {2})
    masks = tmp_path / 'masks'
    arguments = [str(video), '--point', '20,20', '--masks', str(masks), '--image-size', '128']
    assert main(arguments) == 6
    said = capsys.readouterr()
    sentence = f'{video} is damaged: 1 damaged packet (the first at 0.080 s), 5 frames of the 6 '
    assert sentence in said.err
    assert sentence in said.out
    assert len(list((masks / video.stem).iterdir())) == 5


def test_a_palette_whose_masks_would_fill_the_memory_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pixels = np.arange(1600 * 1600, dtype=np.int64) % 201
    picture = Image.frombytes('P', (1600, 1600), pixels.astype(np.uint8).tobytes())
    picture.putpalette([value for index in range(256) for value in (index, 0, 0)])
    mask = tmp_path / 'mask.png'
    picture.save(mask)
    arguments = [str(tmp_path), '--mask', str(mask), '--csv', str(tmp_path / 'out.csv')]
    assert main(arguments) == 2
    assert f'--mask {mask} has 200 indices, whose masks have 512000000' in capsys.readouterr().err


def test_dark_16_bit_pictures_are_read_with_the_white_that_is_asked_for(tmp_path: Path):
    grey = np.full((64, 96), 1024, '<u2')
    grey[20:40, 30:50] = 4095
    message = raw_image(grey, FIRST_NS, 'mono16')
    bag = write_bag(tmp_path / 'bag', [('/camera/image', FIRST_NS, message)])
    arguments = [str(bag), '--point', '40,30', '--image-size', '128', '--frames']
    assert main([*arguments, str(tmp_path / 'frames'), '--image-max-value', '4095']) == 0
    written = np.array(Image.open(tmp_path / 'frames' / 'bag' / '00000.png'))
    assert written[0, 0].tolist() == [64] * 3
    assert written[30, 40].tolist() == [255] * 3


def test_what_is_learnt_on_one_recording_is_found_on_another(
    tmp_path: Path, bags: list[Path], prompts: Path
):
    both = [str(bag) for bag in bags[:2]]
    together, memory = tmp_path / 'together', tmp_path / 'memory.safetensors'
    options = ['--masks', str(together), '--save-memory', str(memory)]
    assert main([*both, '--prompts', str(prompts), *options]) == 0
    alone = tmp_path / 'alone'
    options = ['--masks', str(alone), '--load-memory', str(memory)]
    assert main([str(bags[1]), *options]) == 0
    found = content(alone / 'second')
    assert found == content(together / 'second')
    labels = [np.array(Image.open(path)) for path in sorted((alone / 'second').iterdir())]
    assert any((label == 1).any() for label in labels)


def test_a_memory_of_another_model_is_refused(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    memory = tmp_path / 'memory.safetensors'
    teach = [str(bags[0]), '--prompts', str(prompts), '--save-memory', str(memory)]
    assert main(teach) == 0
    use = [str(bags[1]), '--load-memory', str(memory), '--masks', str(tmp_path / 'm')]
    assert main([*use, '--image-size', '128']) == 5
    assert ', this model has 128: set image_size to ' in capsys.readouterr().err
    memory.write_bytes(memory.read_bytes()[:-100])
    assert main(use) == 5
    assert 'damaged' in capsys.readouterr().err


def test_a_memory_that_cannot_be_written_is_an_output_that_cannot(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / 'file').write_text('in the way')
    options = ['--prompts', str(prompts), '--masks', str(tmp_path / 'masks')]
    options += ['--save-memory', str(tmp_path / 'file' / 'memory.safetensors')]
    assert main([str(bags[0]), *options]) == 4
    assert 'memory.safetensors cannot be written' in capsys.readouterr().err
    (tmp_path / 'file').unlink()
    assert main([str(bags[0]), *options, '--resume']) == 0
    assert (tmp_path / 'file' / 'memory.safetensors').exists()


def test_other_files_in_a_folder_of_pictures_may_have_any_name(tmp_path: Path):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    (folder / 'notes\udcff.txt').write_text('no picture')
    for number in range(2):
        Image.new('RGB', (64, 48), (200, 30, 30)).save(folder / f'{number}.jpg')
    options = ['--box', '10,10,40,40', '--csv', str(tmp_path / 'out.csv')]
    assert main([str(folder), *options]) == 0


def test_a_memory_is_not_written_to_a_pipe_and_that_is_said_before_anything_is_tracked(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    os.mkfifo(tmp_path / 'pipe')
    options = ['--prompts', str(prompts), '--save-memory', str(tmp_path / 'pipe'), '--overwrite']
    assert main([str(bags[0]), *options]) == 4
    assert capsys.readouterr().err == (
        f'error: output {tmp_path}/pipe cannot be written: it is a pipe: a file is expected\n')
    assert (tmp_path / 'pipe').is_fifo()


def broken(tmp_path: Path) -> Path:
    bag = write_bag(tmp_path / 'broken', raw_messages(5))
    file = bag / 'broken.mcap'
    file.write_bytes(file.read_bytes()[:300])
    return bag


def closed(tmp_path: Path) -> Path:
    """Lay a link that not even root can look behind."""
    (tmp_path / 'closed.mp4').symlink_to('x' * 300)
    return tmp_path / 'closed.mp4'


@pytest.mark.parametrize(
    ('source', 'options', 'code', 'sentence'),
    [
        (lambda path: path / 'nowhere.mcap', [], 3, 'does not exist'),
        (broken, [], 3, 'cannot be read'),
        (lambda path: path / ('x' * 300), [], 3, 'cannot be read: [Errno 36] File name too long'),
        (closed, [], 3, 'closed.mp4 cannot be read: [Errno 36] File name too long'),
        (None, ['--masks', 'x' * 300], 4, 'cannot be written: [Errno 36] File name too long'),
        (None, ['--topic', '/other'], 3, '--topic one of'),
        (None, ['--at', '99'], 2, 'frame 99 is outside the source: it has frames 0 to 9'),
        (None, ['--point', '999,5'], 2, '--point: object 1: point (999, 5) outside 144x96'),
        (None, ['--model', 'huge'], 5, 'huge'),
        (None, ['--checkpoint', 'nowhere.pt'], 5, 'nowhere.pt'),
        (None, ['--load-memory', 'nowhere.safetensors'], 2, 'nowhere.safetensors'),
    ],
)
def test_what_is_wrong_is_one_sentence_and_a_code(
    tmp_path: Path,
    bags: list[Path],
    capsys: pytest.CaptureFixture[str],
    source: Callable[[Path], Path] | None,
    options: list[str],
    code: int,
    sentence: str,
):
    path = bags[0] if source is None else source(tmp_path)
    prompt = [] if '--point' in options else ['--point', '5,5']
    out = tmp_path / 'out'
    assert main([str(path), *prompt, *options, '--csv', str(out / 'out.csv')]) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert 'Traceback' not in said
    assert not whole_looking(out)


def test_one_bad_source_does_not_stop_the_others(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    sources = [str(bags[0]), str(broken(tmp_path)), str(bags[1])]
    masks = tmp_path / 'masks'
    arguments = [*sources, '--prompts', str(prompts), '--masks', str(masks)]
    assert main(arguments) == 3
    assert sorted(path.name for path in masks.iterdir() if path.name[0] != '.') == [
        'first',
        'second',
    ]
    assert 'broken: failed' in capsys.readouterr().out
    shutil.rmtree(tmp_path / 'broken')
    write_bag(tmp_path / 'broken', raw_messages(5))
    assert main([*arguments, '--resume']) == 0
    said = capsys.readouterr().out
    assert 'broken: 5 frames in' in said and 'first: complete already' in said


def test_an_output_that_fails_is_said_and_the_others_are_whole(
    tmp_path: Path,
    bags: list[Path],
    prompts: Path,
    finished: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
):
    options = ['--csv', str(tmp_path / 'out.csv'), '--sheet', str(tmp_path / 'sheet.png')]
    with small_disk(4000):
        assert main([str(bags[0]), '--prompts', str(prompts), *options]) == 4
    assert content(tmp_path) == {'out.csv': finished['out.csv']}
    said = capsys.readouterr()
    assert f'error: output {tmp_path}/sheet.png cannot be written: ' in said.err
    assert said.err.count('sheet.png') == 1 and 'Traceback' not in said.err
    assert '10 frames' in said.out and f'failed: output {tmp_path}/sheet.png' in said.out
    assert f'  {tmp_path}/out.csv\n' in said.out


def test_a_clock_that_is_set_while_recording_costs_no_output(tmp_path: Path):
    before_ns = 5 * 10**9
    messages = [
        ('/camera/image', before_ns + index, raw_image(picture(index), before_ns + index))
        for index in range(2)
    ]
    bag = write_bag(tmp_path / 'clock_set', messages + raw_messages(4))
    out = tmp_path / 'out'
    options = ['--video', str(out / 'out.mp4'), '--csv', str(out / 'out.csv')]
    assert main([str(bag), '--point', '5,5', *options]) == 0
    assert sorted(content(out)) == ['out.csv', 'out.mp4']


def test_what_a_full_disk_keeps_from_being_resumed_is_said_and_the_run_goes_on(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = [str(bags[0]), '--prompts', str(prompts), '--csv', str(tmp_path / 'out.csv')]
    with small_disk(4000):
        assert main([*arguments, '--save-every', '1e-9']) == 0
    said = capsys.readouterr().err
    assert 'warn: ' in said and '--resume would ' in said and 'error' not in said
    assert list(content(tmp_path)) == ['out.csv']


def test_a_run_that_was_told_to_keep_nothing_says_nothing_of_what_it_could_not_keep(
    tmp_path: Path, bags: list[Path], prompts: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = [str(bags[0]), '--prompts', str(prompts), '--csv', str(tmp_path / 'out.csv')]
    with small_disk(4000):
        assert main([*arguments, '--save-every', '0']) == 0
    assert 'resume' not in capsys.readouterr().err
    assert list(content(tmp_path)) == ['out.csv']


@pytest.mark.parametrize('direction', ['forward', 'both'])
def test_outputs_of_a_folder_are_called_as_its_pictures_are(
    tmp_path: Path, clip_folder: Path, direction: str
):
    folder = tmp_path / 'images'
    folder.mkdir()
    names = [f'{5 * number:05d}' for number in range(1, 7)]
    for name, file in zip(names, sorted(clip_folder.iterdir()), strict=False):
        (folder / f'{name}.jpg').write_bytes(file.read_bytes())
    out = tmp_path / 'out'
    options = ['--masks', str(out / 'masks'), '--coco', str(out / 'out.json')]
    options += ['--frames', str(out / 'images'), '--yolo', str(out), '--at', '2']
    options += ['--direction', direction, '--point', '20,20']
    assert main([str(folder), *options]) == 0
    assert sorted(content(out)) == sorted([
        *(f'masks/images/{name}.png' for name in names),
        *(f'images/images/{name}.jpg' for name in names),
        *(f'images/labels/{name}.txt' for name in names),
        *('data.yaml', 'out.json'),
    ])  # fmt: skip
    coco = json.loads((out / 'out.json').read_text())
    assert [one['file_name'] for one in coco['images']] == [f'images/{n}.jpg' for n in names]


def test_a_memory_that_cannot_be_written_does_not_stop_what_it_teaches(
    tmp_path: Path, bags: list[Path], prompts: Path
):
    (tmp_path / 'file').write_text('in the way')
    sources = [str(bags[0]), str(bags[1]), '--prompts', str(prompts)]
    masks, memory = tmp_path / 'masks', tmp_path / 'file' / 'memory.safetensors'
    assert main([*sources, '--masks', str(masks), '--save-memory', str(memory)]) == 4
    assert len(list((masks / 'second').iterdir())) == FRAMES


def test_a_bag_may_be_sqlite3_with_the_sources_topics_and_the_annotated_pictures(
    tmp_path: Path, bags: list[Path], prompts: Path
):
    bag = tmp_path / 'bag'
    options = ['--storage', 'sqlite3', '--copy-topics', '--annotated', '--output', str(bag)]
    assert main([str(bags[0]), '--prompts', str(prompts), *options]) == 0
    with Reader(bag) as reader:
        counts = {one.topic: one.msgcount for one in reader.connections}
    assert counts == {
        '/camera/compressed': FRAMES,
        '/sam2_tracker/objects': FRAMES,
        '/sam2_tracker/label_image': FRAMES,
        '/sam2_tracker/annotated/compressed': FRAMES,
        '/sam2_tracker/object_1/mask': FRAMES,
        # It is prompted on frame 3 only.
        '/sam2_tracker/object_4/mask': FRAMES - 3,
    }


def test_no_part_of_ros_is_imported(tmp_path: Path, bags: list[Path], prompts: Path):
    root = Path(__file__).resolve().parents[2]
    program = (
        'import sys\n'
        'from sam2_tracker.offline.command import main\n'
        'code = main(sys.argv[1:])\n'
        "ros = {'rclpy', 'sensor_msgs', 'cv_bridge', 'sam2_tracker_msgs'} & set(sys.modules)\n"
        'sys.exit(code or bool(ros))\n'
    )
    arguments = [str(bags[0]), '--prompts', str(prompts), '--output', str(tmp_path / 'bag')]
    done = subprocess.run(
        [sys.executable, '-c', program, *arguments],
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root)},
        capture_output=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert b'10 frames' in done.stdout

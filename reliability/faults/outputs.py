# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the offline command writes and replaces: data sets, videos, devices, full disks."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
import random
import signal
import stat
import subprocess
import time

import cv2
import numpy as np
import PIL.Image
from reliability import disks, recordings
from reliability.pictures import encoded, picture, write_folder
from reliability.processes import Ended, offline_command
from reliability.stage import finished_files, Stage
from reliability.verdicts import expect, fault
from rosbags.highlevel import AnyReader
import yaml

_LEAST_IOU = 0.99
_MASK_TOPIC = '/sam2_tracker/object_1/mask'


def _run(stage: Stage, source: Path, *options: object) -> Ended:
    ended = stage.process(source, *stage.box, *options)
    expect(ended.code == 0, f'exit code {ended.code}: {ended.last_words}')
    return ended


@fault('The `data.yaml` of `--yolo`: its folders are found from any working directory, as '
       'ultralytics resolves them.')
def yolo_data_file(stage: Stage) -> None:
    data_set = stage.folder / 'set'
    _run(stage, stage.clip(3), '--frames', data_set / 'images', '--yolo', data_set)
    described = yaml.safe_load((data_set / 'data.yaml').read_text())
    # As it reads them: `path`, or without one the file's own folder, then the set's names.
    base = Path(described.get('path') or data_set)
    stage.said = f'path: {described.get("path")}, train: {described["train"]}'
    expect(base.is_absolute() and (base / described['train']).is_dir(),
           f'from another folder {base / described["train"]} is looked for')


def _label_of(picture_path: Path) -> Path:
    """Return where ultralytics looks for a picture's labels: the last `images` is `labels`."""
    before, _, after = str(picture_path).rpartition('/images/')
    return Path(f'{before}/labels/{after}').with_suffix('.txt')


@fault('A source folder that is named `images`: its labels lie where ultralytics looks for '
       'them, or it is refused.')
def folder_named_images(stage: Stage) -> None:
    clip = write_folder(stage.folder / 'source' / 'images', 3)
    data_set = stage.folder / 'set'
    ended = stage.process(clip, *stage.box, '--frames', data_set / 'images', '--yolo', data_set)
    if ended.code:
        expect('images' in ended.err, f'exit code {ended.code}: {ended.last_words}')
        return
    shown = sorted((data_set / 'images').rglob('*.jpg'))
    lost = [path.name for path in shown if not _label_of(path).exists()]
    expect(shown and not lost, f'of {len(shown)} pictures {len(lost)} have no labels where they '
                               'are looked for')


def _read_back(line: str, hw: tuple[int, int]) -> np.ndarray:
    """Draw a label's polygon as ultralytics does: scaled, cut to whole pixels, filled."""
    height, width = hw
    points = np.array(line.split()[1:], np.float64).reshape(-1, 2) * (width, height)
    drawn = np.zeros(hw, np.uint8)
    cv2.fillPoly(drawn, [points.astype(np.int32)], 1)
    return drawn > 0


@fault(f'Small objects in YOLO labels, read back: a mean IoU of {_LEAST_IOU} with the '
       'masks, and none is lost.')
def yolo_small_objects(stage: Stage) -> None:
    hw, clip = (120, 160), stage.folder / 'clip'
    clip.mkdir()
    for number in range(6):
        pixels = picture(number, hw, has_red=False)
        pixels[50:57, 40 + number:47 + number] = (220, 40, 40)
        (clip / f'{number:05d}.jpg').write_bytes(encoded(pixels))
    ended = stage.process(clip, '--box', '39,49,48,58', '--yolo', stage.folder / 'set', '--masks',
                          stage.folder / 'masks')
    expect(ended.code == 0, ended.last_words)
    overlaps = []
    for path in sorted((stage.folder / 'masks').rglob('*.png')):
        mask = np.asarray(PIL.Image.open(path)) > 0
        label = next((stage.folder / 'set' / 'labels').rglob(f'{path.stem}.txt'), None)
        lines = label.read_text().splitlines() if label else []
        if mask.any():
            drawn = _read_back(lines[0], hw) if lines else np.zeros(hw, bool)
            overlaps.append(float((mask & drawn).sum() / (mask | drawn).sum()))
    expect(overlaps, 'the object was not tracked')
    stage.lost = f'{sum(each == 0 for each in overlaps)} of {len(overlaps)} objects'
    mean = float(np.mean(overlaps))
    expect(min(overlaps) > 0 and mean >= _LEAST_IOU, f'mean IoU {mean:.3f}, least '
                                                     f'{min(overlaps):.3f}')


@fault('JPEGs with an EXIF orientation are exported: without the tag, with the same pixels.')
def exif_orientation(stage: Stage) -> None:
    clip, frames = stage.folder / 'clip', stage.folder / 'frames'
    clip.mkdir()
    for number in range(3):
        exif = PIL.Image.Exif()
        exif[0x0112] = 6
        (clip / f'{number}.jpg').write_bytes(encoded(picture(number), exif=exif.tobytes()))
    _run(stage, clip, '--frames', frames)
    for before, after in zip(sorted(clip.iterdir()), sorted(frames.rglob('*.*')), strict=True):
        with PIL.Image.open(before) as source, PIL.Image.open(after) as exported:
            expect(exported.getexif().get(0x0112, 1) == 1,
                   'the exported JPEG still has the tag, its labels are for the unrotated one')
            expect(np.array_equal(np.asarray(source), np.asarray(exported)),
                   'the exported pixels are others')


@fault('Pictures that begin at 00005.jpg: masks and COCO keep their names.')
def names_of_pictures(stage: Stage) -> None:
    clip = write_folder(stage.folder / 'clip', 3, first=5)
    _run(stage, clip, '--masks', stage.folder / 'masks', '--coco', stage.folder / 'o.json')
    masks = sorted(path.stem for path in (stage.folder / 'masks').rglob('*.png'))
    listed = json.loads((stage.folder / 'o.json').read_text())['images']
    names = sorted(Path(each['file_name']).name for each in listed)
    expect(masks == ['00005', '00006', '00007'], f'masks are called {", ".join(masks)}')
    expect(names == [f'{stem}.jpg' for stem in masks], f'COCO names {", ".join(names)}')


@fault('`--copy-topics` over a bag that has an old `object_1/mask`: refused by name, or not '
       'mixed.')
def copy_topics_twice(stage: Stage) -> None:
    old = [(_MASK_TOPIC, stamp_ns, recordings.image_message(
        np.zeros((120, 160), np.uint8), stamp_ns, 'mono8')) for stamp_ns in recordings.stamps(5)]
    images = [(recordings.TOPIC, stamp_ns, recordings.image_message(picture(number), stamp_ns))
              for number, stamp_ns in enumerate(recordings.stamps(5))]
    bag = recordings.write_bag(stage.folder / 'bag', [*old, *images])
    twice = stage.folder / 'twice'
    ended = stage.process(bag, *stage.box, '--topic', recordings.TOPIC, '--output', twice,
                          '--copy-topics')
    if ended.code:
        expect('/sam2_tracker/' in ended.err, f'refused, but not by name: {ended.last_words}')
        return
    with AnyReader([twice]) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
    mixed = {topic: count for topic, count in counts.items()
             if topic.startswith('/sam2_tracker/') and count > 5}
    expect(not mixed, f'{_MASK_TOPIC} and others hold old and new: {mixed}')


def _jumping_bag(stage: Stage, jump_s: float) -> Path:
    first = [5 * 10 ** 9 + number * recordings.PERIOD_NS for number in range(6)]
    return recordings.write_image_bag(
        stage.folder / 'bag', 6, [each + (int(jump_s * 1e9) if number > 2 else 0)
                                  for number, each in enumerate(first)])


def _all_outputs(stage: Stage, bag: Path) -> None:
    ended = stage.process(bag, *stage.box, '--video', stage.folder / 'o.mp4', '--csv',
                          stage.folder / 'o.csv', '--masks', stage.folder / 'masks')
    there = [name for name in ('o.csv', 'masks') if (stage.folder / name).exists()]
    stage.lost = f'{2 - len(there)} of 2 other outputs'
    expect(len(there) == 2, f'with exit code {ended.code} only {there or "nothing"} is there')
    expect(ended.code == 0 or 'mp4' in ended.err, f'the video is not named: {ended.last_words}')


@fault('A clock that is set while recording (1970, then now), with `--video`: the other '
       'outputs are written, no traceback.')
def clock_set_while_recording(stage: Stage) -> None:
    _all_outputs(stage, _jumping_bag(stage, 1_700_000_000.0))


@fault('A recording with a pause of 8 hours, with `--video`: all outputs are written.')
def pause_of_eight_hours(stage: Stage) -> None:
    _all_outputs(stage, _jumping_bag(stage, 8 * 3600.0))


@fault('`--overwrite` onto a device node and onto a FIFO: refused, they stay what they are.',
       disks.no_root)
def overwrite_device(stage: Stage) -> None:
    clip, device, pipe = stage.clip(2), stage.folder / 'null', stage.folder / 'pipe'
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mkfifo(pipe)
    for path in (device, pipe):
        before = path.lstat().st_mode
        ended = stage.process(clip, *stage.box, '--csv', path, '--overwrite', timeout_s=25.0)
        expect(path.lstat().st_mode == before, f'{path.name} was replaced by a regular file')
        expect(ended.code == 4, f'{path.name}: exit code {ended.code}')


@fault('A link is planted under the name of an unfinished output: it is not followed.')
def planted_output_links(stage: Stage) -> None:
    secret = stage.folder / 'secret.txt'
    secret.write_text('precious')
    for name in ('o.csv', 'o.json', 'o.mp4', 'masks'):
        (stage.folder / f'.{name}.part').symlink_to(secret)
    clip = stage.clip(2)
    stage.process(clip, *stage.box, '--csv', stage.folder / 'o.csv', '--coco',
                  stage.folder / 'o.json', '--video', stage.folder / 'o.mp4', '--masks',
                  stage.folder / 'masks')
    expect(secret.read_bytes() == b'precious', 'what a planted link points to was overwritten')


_SIZE_KIB = 64
_FULL_OUTPUTS = (('--video', 'v.mp4'), ('--masks', 'masks'), ('--csv', 'o.csv'),
                 ('--output', 'bag'), ('--save-memory', 's.safetensors'))


@fault('The disk of an output is full, with `--save-every 0`: exit code 4 with the name of '
       'that output.', disks.no_tmpfs, limit_s=150.0)
def output_disk_full(stage: Stage) -> None:
    clip = stage.clip(20)
    for option, name in _FULL_OUTPUTS:
        disk = disks.mount_tmpfs(stage.folder / f'disk{option}', _SIZE_KIB, 200)
        disks.leave_free(disk, _SIZE_KIB, 0)
        ended = stage.process(clip, *stage.box, '--save-every', '0', option, disk / name)
        expect(ended.code == 4, f'{option}: exit code {ended.code}: {ended.last_words}')
        expect('.resume' not in ended.err,
               f'{option}: it fails over a file that nobody asked for: {ended.last_words[-120:]}')
        expect(name in ended.err, f'{option}: {ended.last_words}')
        expect(not finished_files(disk / name), f'{option}: something looks finished')


@fault('Killed three times at any moment and resumed: the bytes of an undisturbed run.',
       limit_s=200.0)
def killed_and_resumed(stage: Stage) -> None:
    clip, chance = stage.clip(120), random.Random(4)

    def options(name: str) -> list[str]:
        folder = stage.folder / name
        folder.mkdir(exist_ok=True)
        return offline_command(clip, *stage.box, '--threads', 1, '--save-every', 1, '--csv',
                               folder / 'o.csv', '--masks', folder / 'masks', '--resume')
    begun_s = time.monotonic()
    subprocess.run(options('whole'), check=True, capture_output=True)
    took_s = time.monotonic() - begun_s
    for _ in range(3):
        process = subprocess.Popen(options('killed'), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.3, 0.8) * took_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
    expect(subprocess.run(options('killed'), capture_output=True).returncode == 0,
           'the last run fails')
    for path in (path for path in (stage.folder / 'whole').rglob('*') if path.is_file()):
        other = stage.folder / 'killed' / path.relative_to(stage.folder / 'whole')
        expect(other.exists() and other.read_bytes() == path.read_bytes(), f'{other.name} differs')


@fault('Two runs at once onto the same outputs: one is refused or both end well, what '
       'is there is whole.')
def two_runs_at_once(stage: Stage) -> None:
    clip, table = stage.clip(40), stage.folder / 'o.csv'
    command = offline_command(clip, *stage.box, '--csv', table, '--masks', stage.folder / 'masks')
    runs = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]
    said = [run.communicate(timeout=75)[1] for run in runs]
    stage.said = ' / '.join(filter(None, (each.strip()[-150:] for each in said)))
    expect(not any('Traceback' in each for each in said), 'a traceback')
    expect(any(run.returncode == 0 for run in runs), 'both failed')
    with table.open() as file:
        rows = list(csv.DictReader(file))
    masks = len(list((stage.folder / 'masks').rglob('*.png')))
    expect(len(rows) == 40 and masks == 40, f'{len(rows)} rows and {masks} masks of 40')

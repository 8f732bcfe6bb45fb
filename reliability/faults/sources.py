# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of which something is missing: every frame comes, or it is said which not."""

from __future__ import annotations

from pathlib import Path
import re
import shutil
import threading
import time

import cv2
import numpy as np
from reliability import recordings
from reliability.pictures import picture, red_box
from reliability.processes import Ended, executable
from reliability.robot import Robot
from reliability.stage import finished_files, Stage
from reliability.verdicts import expect, fault, lied
from rosbags.rosbag2 import StoragePlugin

_FRAMES = 24
_NOT_DECODED = r'decod|damaged|missing|lost|undecod|corrupt|skipped'


def _tracked(stage: Stage, source: Path, *options: object) -> tuple[Ended, int]:
    """Track the red square through a recording; return how many frames have a row."""
    table = stage.folder / 'out.csv'
    table.unlink(missing_ok=True)
    ended = stage.process(source, *stage.box, '--csv', table, *options)
    rows = table.read_text().splitlines()[1:] if table.exists() else []
    return ended, len({row.split(',')[0] for row in rows})


@fault(f'One damaged packet in an H.264 video of {_FRAMES} frames: the others are tracked, '
       'what is missing is said, the exit code is not 0.')
def damaged_packet(stage: Stage) -> None:
    whole = recordings.write_video(stage.folder / 'whole.mp4', _FRAMES, g='5', bf='0')
    damaged = recordings.damage_packet(whole, stage.folder / 'damaged.mp4', 8)
    ended, frames = _tracked(stage, damaged)
    stage.lost = f'{_FRAMES - frames} of {_FRAMES} frames'
    expect(frames >= _FRAMES - 1 or ended.code, f'{frames} of {_FRAMES} frames, exit code 0')
    expect(frames >= _FRAMES - 1, f'{frames} of {_FRAMES} frames')
    expect(re.search(_NOT_DECODED, ended.err + ended.out), 'what is missing is not said')
    expect(ended.code, 'exit code 0')


@fault('A damaged frame in an MJPEG video: the others are tracked, what is missing is said.')
def damaged_mjpeg(stage: Stage) -> None:
    whole = recordings.write_video(stage.folder / 'whole.avi', _FRAMES, codec='mjpeg')
    damaged = recordings.damage_packet(whole, stage.folder / 'damaged.avi', 8)
    ended, frames = _tracked(stage, damaged)
    stage.lost = f'{_FRAMES - frames} of {_FRAMES} frames'
    expect(frames >= _FRAMES - 1, f'{frames} of {_FRAMES} frames, exit code {ended.code}')
    expect(re.search(_NOT_DECODED, ended.err + ended.out) and ended.code,
           f'what is missing is not said, exit code {ended.code}')


@fault('2,000 damaged bytes in an MP4 of 60 frames: the difference to the count of the '
       'container is said, the exit code is not 0.')
def damaged_bytes(stage: Stage) -> None:
    file = recordings.write_video(stage.folder / 'clip.mp4', 60, g='10')
    content = bytearray(file.read_bytes())
    # Between the index, at either end, and the middle: pictures only.
    begin = content.index(b'mdat') + len(content) // 3
    size = min(2000, len(content) // 4)
    content[begin:begin + size] = np.random.default_rng(0).bytes(size)
    file.write_bytes(content)
    ended, frames = _tracked(stage, file)
    stage.lost = f'{60 - frames} of 60 frames'
    if frames < 60 or re.search(_NOT_DECODED, ended.err + ended.out):
        expect(re.search(_NOT_DECODED, ended.err + ended.out), f'{frames} of 60 without a word')
        expect(ended.code, f'{frames} of 60 frames, exit code 0')


@fault('One damaged packet in a video that `video_source` plays: it goes on behind it.')
def damaged_packet_played(stage: Stage) -> None:
    whole = recordings.write_video(stage.folder / 'whole.mp4', _FRAMES, g='5', bf='0')
    damaged = recordings.damage_packet(whole, stage.folder / 'damaged.mp4', 8)
    from sensor_msgs.msg import Image

    watcher, came = Robot(stage.domain_id, name='watcher', image='/unused'), []
    watcher.node.create_subscription(Image, '/image', came.append, 100)
    player = stage.program([executable('video_source'), '--ros-args', '-p', f'path:={damaged}',
                            '-p', 'wait_for_subscriber:=true'])
    watcher.wait(lambda: len(came) >= _FRAMES - 1, 30.0)
    stage.said = ' / '.join(player.printed.strip().splitlines()[-2:])[-300:]
    watcher.close()
    stage.lost = f'{_FRAMES - len(came)} of {_FRAMES} frames'
    expect(len(came) >= _FRAMES - 1, f'{len(came)} of {_FRAMES} pictures were published')


@fault('An interlaced H.264 video, twice: both runs see the same pictures, and those that '
       'were recorded.')
def interlaced_video(stage: Stage) -> None:
    file = recordings.write_video(stage.folder / 'clip.mp4', 8, (240, 320),
                                  **{'flags': '+ilme+ildct', 'x264-params': 'tff=1'})
    box = '--box', ','.join(map(str, red_box(0, (240, 320))))
    seen = []
    for run in ('one', 'two'):
        frames = stage.folder / run
        ended = stage.process(file, *box, '--frames', frames)
        expect(ended.code == 0, ended.last_words)
        seen.append([cv2.imread(str(path))[:, :, ::-1] for path in sorted(frames.rglob('*.*'))])
    expect(all(np.array_equal(*pair) for pair in zip(*seen, strict=True)),
           'two runs saw other pictures')
    apart = max(float(np.abs(pixels.astype(float) - picture(number, (240, 320))).mean())
                for number, pixels in enumerate(seen[0]))
    expect(apart < 12, f'the pictures differ by {apart:.0f} from what was recorded')


@fault('A bag file with a live write-ahead log: all 6 frames, or refused by name.')
def bag_with_write_ahead_log(stage: Stage) -> None:
    file = recordings.write_bag_with_log(stage.folder / 'bag', 6)
    ended, frames = _tracked(stage, file)
    stage.lost = f'{6 - frames} of 6 frames'
    if ended.code:
        expect('wal' in ended.err.lower() or 'write-ahead' in ended.err,
               f'refused, but not for its log: {ended.last_words}')
        return
    expect(frames == 6, f'{frames} of 6 frames, exit code 0')


@fault('A video whose first stream is a cover picture: the film is tracked, and it is said '
       'which stream was taken.')
def cover_picture_first(stage: Stage) -> None:
    file = recordings.write_video_with_cover(stage.folder / 'clip.mkv', 12)
    ended, frames = _tracked(stage, file)
    expect(frames == 12, f'{frames} frames of 12, exit code {ended.code}: {ended.last_words}')
    expect('stream' in ended.err + ended.out, 'it is not said which stream was taken')


@fault('A video whose size changes in the middle: refused as the docs say, not stretched.')
def size_changes_in_video(stage: Stage) -> None:
    parts = [recordings.write_video(stage.folder / f'{name}.h264', 8, hw)
             for name, hw in (('a', (120, 160)), ('b', (96, 128)))]
    file = stage.folder / 'both.h264'
    file.write_bytes(b''.join(part.read_bytes() for part in parts))
    ended, frames = _tracked(stage, file)
    expect(ended.code, f'{frames} frames, exit code 0')
    expect('160x120' in ended.err or '128x96' in ended.err,
           f'refused, but not for its sizes: {ended.last_words}')


def _grey16(number: int) -> np.ndarray:
    shaded = np.mgrid[:120, :160].sum(0) * 60 + 9000
    left, top, right, bottom = red_box(number)
    shaded[top:bottom, left:right] = 60000
    return shaded.astype(np.uint16)


@fault('16-bit grey PNGs in a bag, which the live node tracks: tracked offline too.')
def grey_png_of_16_bits(stage: Stage) -> None:
    bag = recordings.write_image_bag(
        stage.folder / 'bag', 4, make=lambda number, stamp_ns: recordings.compressed_message(
            cv2.imencode('.png', _grey16(number))[1].tobytes(), stamp_ns,
            'mono16; png compressed '))
    ended, frames = _tracked(stage, bag)
    expect(ended.code == 0, f'refused: {ended.last_words}')
    expect(frames == 4, f'{frames} of 4 frames')


@fault("mono16 of 12 bits in a bag: with an option like the node's image_max_value the "
       'picture is not black.')
def mono16_of_12_bits(stage: Stage) -> None:
    bag = recordings.write_image_bag(
        stage.folder / 'bag', 4, make=lambda number, stamp_ns: recordings.image_message(
            _grey16(number) // 16, stamp_ns, 'mono16'))
    ended, frames = _tracked(stage, bag, '--image-max-value', 4095, '--frames',
                             stage.folder / 'frames')
    expect(ended.code == 0 and frames == 4, f'exit code {ended.code}: {ended.last_words}')
    seen = cv2.imread(str(next((stage.folder / 'frames').rglob('*.*'))), cv2.IMREAD_GRAYSCALE)
    expect(seen.max() > 200, f'the brightest pixel is {seen.max()} of 255')


@fault('An MCAP whose image topic has two channels, with `--copy-topics`: all frames, no '
       'traceback.')
def two_channels_of_a_topic(stage: Stage) -> None:
    file = recordings.write_two_channels(stage.folder / 'two.mcap', 6)
    ended, frames = _tracked(stage, file, '--output', stage.folder / 'bag', '--copy-topics')
    expect(ended.code == 0 and frames == 6, f'exit code {ended.code}, {frames} of 6 frames')


@fault('An AppleDouble file `._000.jpg` beside each picture: the folder is tracked.')
def apple_double_files(stage: Stage) -> None:
    clip = stage.clip(4)
    for path in list(clip.iterdir()):
        path.with_name(f'._{path.name}').write_bytes(
            bytes.fromhex('0005160700020000') + b'Mac OS X        ' + bytes(4072))
    ended, frames = _tracked(stage, clip)
    expect('object at 0x' not in ended.err, f'it says {ended.last_words}')
    expect(ended.code == 0 and frames == 4, f'exit code {ended.code}: {ended.last_words}')


@fault('Bags that are cut in half, noise in the middle, empty, in both storages: '
       'refused with exit code 3, no traceback.', limit_s=150.0)
def broken_bags(stage: Stage) -> None:
    for storage in (StoragePlugin.MCAP, StoragePlugin.SQLITE3):
        bag = recordings.write_image_bag(stage.folder / storage.name, 20, storage=storage)
        file = next(path for path in bag.iterdir() if path.suffix in {'.mcap', '.db3'})
        content = file.read_bytes()
        half = len(content) // 2
        for name, broken in (
                ('cut in half', content[:half]), ('empty', b''),
                ('noise in the middle', content[:half] + np.random.default_rng(0).bytes(3000)
                 + content[half + 3000:])):
            file.write_bytes(broken)
            ended, frames = _tracked(stage, bag)
            if ended.code == 0 and frames == 20:
                continue
            expect(ended.code == 3, f'{storage.name} {name}: exit code {ended.code}, '
                                    f'{frames} of 20 frames: {ended.last_words[:120]}')
        shutil.rmtree(bag)


@fault('A folder of pictures is deleted while it is tracked: exit code 3 with the name '
       'of a picture, nothing that looks finished.')
def folder_deleted_meanwhile(stage: Stage) -> None:
    clip, table = stage.clip(200), stage.folder / 'out.csv'

    def delete_when_tracking() -> None:
        end_s = time.monotonic() + 30.0
        while not any(stage.folder.glob('.masks*/**/*.png')) and time.monotonic() < end_s:
            time.sleep(0.02)
        shutil.rmtree(clip)
    deleting = threading.Thread(target=delete_when_tracking, daemon=True)
    deleting.start()
    ended = stage.process(clip, *stage.box, '--csv', table, '--masks', stage.folder / 'masks')
    expect(ended.code == 3, f'exit code {ended.code}: {ended.last_words}')
    if there := [*finished_files(table), *finished_files(stage.folder / 'masks')]:
        lied(f'{there[0].name} looks finished')

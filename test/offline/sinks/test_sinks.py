# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the outputs contain, and that two runs write the same bytes."""

from __future__ import annotations

from collections.abc import Callable
import csv
from dataclasses import replace
import io
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps
import pytest
from results import fill, HW, result
from sam2_tracker.core.types import TrackedFrame
from sam2_tracker.offline.sinks.annotations import (
    Classes,
    CocoFile,
    COLUMNS,
    ObjectTable,
    YoloFolder,
)
from sam2_tracker.offline.sinks.pictures import (
    AnnotatedVideo,
    ContactSheet,
    FrameFolder,
    MaskFolder,
    TILES,
    without_orientation,
)
from sam2_tracker.offline.sinks.sink import Sink

CLASSES = Classes.of(['cup', '', 'cup'])


def test_classes_are_numbered_in_the_order_in_which_they_come():
    assert CLASSES.names == ('cup', 'object')
    assert [CLASSES.number('cup'), CLASSES.number('')] == [0, 1]


def test_masks_are_palette_pngs_whose_pixels_are_ids(tmp_path: Path):
    fill(MaskFolder(tmp_path / 'masks'))
    names = [f'{number:05d}.png' for number in range(6)]
    assert sorted(path.name for path in (tmp_path / 'masks').iterdir()) == names
    with Image.open(tmp_path / 'masks' / '00002.png') as picture:
        assert picture.mode == 'P'
        assert np.array_equal(np.array(picture), result(2).tracked.label_image)


def test_coco_has_every_visible_object_with_its_mask_and_track(tmp_path: Path):
    fill(CocoFile(tmp_path / 'out.json', 'clip', CLASSES))
    assert [path.name for path in tmp_path.iterdir()] == ['out.json']
    coco = json.loads((tmp_path / 'out.json').read_text())
    assert [image['id'] for image in coco['images']] == [1, 2, 3, 4, 5, 6]
    assert coco['images'][2]['file_name'] == 'clip/00002.jpg'
    assert coco['images'][2]['stamp'] == '1700000000.080000000'
    assert coco['categories'] == [
        {'id': 1, 'name': 'cup', 'supercategory': ''},
        {'id': 2, 'name': 'object', 'supercategory': ''},
    ]
    assert [one['id'] for one in coco['annotations']] == list(range(1, 11))
    tracks = [(one['image_id'], one['track_id']) for one in coco['annotations']]
    assert (3, 1) in tracks and (4, 1) not in tracks and (4, 2) in tracks


def test_coco_masks_decode_to_the_objects_own_masks(tmp_path: Path):
    from supervision import rle_to_mask

    fill(CocoFile(tmp_path / 'out.json', 'clip', CLASSES))
    coco = json.loads((tmp_path / 'out.json').read_text())
    for one in coco['annotations']:
        tracked = result(one['image_id'] - 1).tracked
        mask = tracked.masks[one['track_id'] - 1]
        assert one['segmentation']['size'] == list(HW)
        decoded = rle_to_mask(one['segmentation']['counts'], (HW[1], HW[0]))
        assert np.array_equal(decoded, mask)
        assert one['area'] == mask.sum()
        left, top, width, height = one['bbox']
        assert mask[top:top + height, left:left + width].sum() == mask.sum()


def test_the_official_coco_code_reads_the_masks(tmp_path: Path):
    pycocotools = pytest.importorskip('pycocotools.coco', reason='pycocotools is not installed')
    fill(CocoFile(tmp_path / 'out.json', 'clip', CLASSES))
    coco = pycocotools.COCO(str(tmp_path / 'out.json'))
    for one in coco.loadAnns(coco.getAnnIds()):
        mask = result(one['image_id'] - 1).tracked.masks[one['track_id'] - 1]
        assert np.array_equal(coco.annToMask(one), mask)


def test_the_table_has_a_row_an_object_and_frame(tmp_path: Path):
    fill(ObjectTable(tmp_path / 'out.csv'))
    with (tmp_path / 'out.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert tuple(rows[0]) == COLUMNS
    assert rows[4] == {
        'frame': '2',
        'stamp': '1700000000.080000000',
        'object': '1',
        'label': 'cup',
        'state': 'visible',
        'score': '0.875000',
        'x': '8',
        'y': '10',
        'width': '12',
        'height': '12',
        'area': '144',
        'centroid_x': '13.500',
        'centroid_y': '15.500',
    }
    assert rows[6]['state'] == 'occluded'
    assert rows[6]['area'] == '0'


def test_the_video_has_every_frame_at_its_time_with_the_masks_drawn(tmp_path: Path):
    fill(AnnotatedVideo(tmp_path / 'out.mp4', 25.0))
    capture = cv2.VideoCapture(str(tmp_path / 'out.mp4'))
    times_ms, pictures = [], []
    while capture.grab():
        times_ms.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        pictures.append(capture.retrieve()[1])
    assert times_ms == pytest.approx([0, 40, 80, 120, 160, 200])
    assert pictures[0].shape == (*HW, 3)
    plain = cv2.cvtColor(result(0).tracked.frame.image_rgb, cv2.COLOR_RGB2BGR)
    change = np.abs(pictures[0].astype(int) - plain).sum(axis=2)
    inside = result(0).tracked.masks[0]
    assert change[inside].mean() > 60
    assert change[HW[0] // 2 + 10:, HW[1] // 2 + 10:].mean() < 30


@pytest.mark.parametrize('pause_s', [8 * 3600, 1_700_000_000], ids=['night', 'clock set'])
def test_a_video_leaves_out_a_pause_that_its_format_cannot_hold(tmp_path: Path, pause_s: int):
    said: list[str] = []
    sink = AnnotatedVideo(tmp_path / 'out.mp4', 25.0, lambda level, line: said.append(line))
    for number in range(8):
        one = result(number)
        pause_ns = ((number > 2) + (number > 5)) * pause_s * 10**9
        frame = replace(one.tracked.frame, stamp_ns=one.tracked.frame.stamp_ns + pause_ns)
        sink.write(replace(one, tracked=replace(one.tracked, frame=frame)))
    sink.finish()
    assert times_ms(tmp_path / 'out.mp4') == pytest.approx([40 * number for number in range(8)])
    assert said == [
        f'out.mp4: frame 3 comes {pause_s}.0 s after the one before; in the video 0.040 s, as '
        'after any pause of more than 3600 s'
    ]


def test_a_pause_that_its_format_can_hold_stays_in_a_video(tmp_path: Path):
    sink = AnnotatedVideo(tmp_path / 'out.mp4', 25.0)
    for number in range(6):
        one = result(number)
        frame = replace(one.tracked.frame, stamp_ns=number * 3600 * 10**9)
        sink.write(replace(one, tracked=replace(one.tracked, frame=frame)))
    sink.finish()
    assert times_ms(tmp_path / 'out.mp4') == pytest.approx([3.6e6 * i for i in range(6)])


def times_ms(path: Path) -> list[float]:
    capture, found = cv2.VideoCapture(str(path)), []
    while capture.grab():
        found.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    return found


def test_a_video_of_odd_size_is_padded(tmp_path: Path):
    sink = AnnotatedVideo(tmp_path / 'out.mp4', 25.0)
    one = result(0)
    odd = one.tracked.frame.image_rgb[:47, :63]
    frame = replace(one.tracked.frame, image_rgb=odd, source_hw=(47, 63))
    masks = tuple(mask[:47, :63] for mask in one.tracked.masks)
    sink.write(replace(one, tracked=replace(one.tracked, frame=frame, masks=masks)))
    sink.finish()
    assert cv2.VideoCapture(str(tmp_path / 'out.mp4')).read()[1].shape == (48, 64, 3)


def test_a_video_has_the_same_bytes_however_often_it_is_written(tmp_path: Path):
    grain = np.random.default_rng(0).integers(0, 255, (12, 18, 3)).astype(np.uint8)
    scene = grain.repeat(8, 0).repeat(8, 1)
    written = set()
    for _ in range(40):
        sink = AnnotatedVideo(tmp_path / 'out.mp4', 25.0)
        for number in range(40):
            image = np.ascontiguousarray(np.roll(scene, (number, 2 * number), (0, 1)))
            frame = replace(result(number).tracked.frame, image_rgb=image, source_hw=(96, 144))
            sink.write(replace(result(number), tracked=TrackedFrame(frame, ())))
        sink.finish()
        written.add((tmp_path / 'out.mp4').read_bytes())
    assert len(written) == 1


def test_the_contact_sheet_spreads_over_a_recording_of_any_length(tmp_path: Path):
    sink = ContactSheet(tmp_path / 'sheet.png')
    for number in range(100):
        sink.write(result(number % 10) if number < 10 else numbered(number))
    assert 5 <= len(sink._tiles) <= TILES
    assert min(sink._tiles) == 0 and max(sink._tiles) >= 90
    sink.finish()
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape[1] > 3 * 400


def numbered(number: int):
    return replace(result(number % 10), number=number)


def test_frames_are_the_sources_own_jpegs_or_lossless(tmp_path: Path):
    sink = FrameFolder(tmp_path / 'frames')
    sink.write(result(0))
    sink.write(replace(result(1), payload=None))
    assert (tmp_path / 'frames' / '00000.jpg').read_bytes() == result(0).payload
    pixels = np.array(Image.open(tmp_path / 'frames' / '00001.png'))
    assert np.array_equal(pixels, result(1).tracked.frame.image_rgb)
    assert replace(result(1), payload=None).picture_name == '00001.png'


@pytest.mark.parametrize(
    ('file_name', 'is_jpeg', 'stem', 'picture'),
    [
        ('00005.jpg', True, '00005', '00005.jpg'),
        ('IMG 1.b.JPEG', True, 'IMG 1.b', 'IMG 1.b.JPEG'),
        ('left.png', False, 'left', 'left.png'),
        ('really_a_png.jpg', False, 'really_a_png', 'really_a_png.png'),
        ('', True, '00000', '00000.jpg'),
        ('', False, '00000', '00000.png'),
    ],
)
def test_outputs_are_called_as_the_pictures_are(
    tmp_path: Path, file_name: str, is_jpeg: bool, stem: str, picture: str
):
    one = replace(result(0), file_name=file_name)
    one = one if is_jpeg else replace(one, payload=None)
    sinks = {
        'masks': MaskFolder(tmp_path / 'masks'),
        'frames': FrameFolder(tmp_path / 'frames'),
        'labels': YoloFolder(tmp_path / 'labels', CLASSES),
        'coco': CocoFile(tmp_path / 'coco.json', 'clip', CLASSES),
    }
    for sink in sinks.values():
        sink.write(one)
        sink.finish()
    named = {
        path.name: [file.name for file in path.iterdir()]
        for path in tmp_path.iterdir()
        if path.is_dir()
    }
    assert named == {'masks': [f'{stem}.png'], 'frames': [picture], 'labels': [f'{stem}.txt']}
    coco = json.loads((tmp_path / 'coco.json').read_text())
    assert coco['images'][0]['file_name'] == f'clip/{picture}'


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/>'
    b'<tiff:Orientation>8</tiff:Orientation></x:xmpmeta>'
)


@pytest.mark.parametrize('byte_order', ['<', '>'])
@pytest.mark.parametrize('xmp', [b'', XMP])
def test_exported_jpegs_are_seen_as_they_were_tracked(
    tmp_path: Path, byte_order: str, xmp: bytes
):
    exif = Image.Exif()
    exif.endian = byte_order
    exif[0x010F], exif[0x0112], exif[0x0132] = 'Some Camera Maker', 6, '2026:01:01 00:00:00'
    stream = io.BytesIO()
    image_rgb = result(0).tracked.frame.image_rgb
    Image.fromarray(image_rgb).save(stream, 'JPEG', quality=95, exif=exif.tobytes(), xmp=xmp)
    turned = stream.getvalue()
    sink = FrameFolder(tmp_path / 'frames')
    sink.write(replace(result(0), payload=turned))
    exported = (tmp_path / 'frames' / '00000.jpg').read_bytes()
    with Image.open(io.BytesIO(exported)) as picture:
        assert picture.getexif().get(0x0112, 1) == 1
        assert picture.getexif()[0x010F] == 'Some Camera Maker'
        assert picture.getexif()[0x0132] == '2026:01:01 00:00:00'
        assert ImageOps.exif_transpose(picture).size == (HW[1], HW[0])
    # OpenCV turns pictures by their tag unless there is none.
    assert cv2.imdecode(np.frombuffer(exported, np.uint8), cv2.IMREAD_COLOR).shape[:2] == HW
    scan = turned.index(b'\xff\xda')
    assert exported[scan:] == turned[scan:] and len(exported) == len(turned)


def test_a_jpeg_without_a_tag_or_with_a_damaged_one_stays_as_it_is():
    whole = result(0).payload
    assert without_orientation(whole) == whole
    for exif in (b'', b'MM', b'II*\0\xff\xff\xff\xff', b'II*\0\x08\0\0\0\xff\xff\x12\x01'):
        segment = b'Exif\0\0' + exif
        odd = whole[:2] + b'\xff\xe1' + (len(segment) + 2).to_bytes(2, 'big') + segment
        assert without_orientation(odd + whole[2:]) == odd + whole[2:]
        assert without_orientation(odd[:-1]) == odd[:-1]


@pytest.mark.parametrize(
    'make',
    [
        lambda path: CocoFile(path, 'clip', CLASSES),
        lambda path: AnnotatedVideo(path, 25.0),
        ObjectTable,
        ContactSheet,
    ],
    ids=['coco', 'video', 'table', 'sheet'],
)
def test_two_runs_write_the_same_bytes(tmp_path: Path, make: Callable[[Path], Sink]):
    for name in ('one', 'two'):
        fill(make(tmp_path / name), 15)
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'two').read_bytes()

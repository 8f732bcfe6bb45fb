# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Pack annotated clips and stills into one data file: ``python -m training.pack --output pack.zip``.

The file is small enough to travel to a rented GPU. Clips are copied as they are where they fit,
else encoded again; masks are differences from frame to frame, compressed without loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
import io
import json
import lzma
from pathlib import Path
import re
import zipfile

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sam2_tracker.core.command_line import positive_float, positive_int, refusing, writing

UInt8 = NDArray[np.uint8]
# They share their source videos with sequences kept for judging.
LEFT_OUT = ('davis2016-train_drift-turn', 'davis2016-train_motocross-bumps')
# Films of which no frame is trained on; the clips of a film stand together. The first of each
# line are measured while training, the others only kept out.
HELD_BACK: dict[str, tuple[str, ...]] = {
    'salmon': ('samlabeler_salmon_b', 'samlabeler_salmon_c', 'samlabeler_salmon_a',
               'samlabeler_salmon_d'),
    'shoal': ('samlabeler_shoal_a', 'samlabeler_shoal_e', 'samlabeler_shoal_b',
              'samlabeler_shoal_c', 'samlabeler_shoal_d'),
    'two pandas in a yard': ('pandads_panda_yard_a', 'pandads_panda_yard_b'),
    'puppies': ('genomnimatte-site_five-beagles',),
    'cars on a motorway': ('groundedsam2_car_b', 'groundedsam2_car_a'),
    'swans': ('omnimattezero_three_swans_lake', 'omnimattezero_swan_lake'),
    'things on a table': ('kazak_table', 'kazak_flatlay'),
    'gymnast': ('void_trampoline',),
    'walker in a park': ('davis2016-train_lucia',),
    'skater': ('davis2016-train_rollerblade',),
}
MEASURED_A_FILM = 2
# One to three frames a second: a stride would skip what links the frames.
SLOW_FILM = re.compile(r'_desk|_table|_tools|_flatlay|_gamepad|^pandads_|^bms_')
LARGEST_STRIDE = 6
MOST_OBJECTS = 8
# Tried in turn until the file fits: clips' rate factor (None: as they are), stills' WebP quality.
QUALITIES = ((None, 80), (27, 60), (29, 40), (29, 30), (32, 25), (34, 20))
FINEST = 20             # rate factor of a clip that is as it was but for its size


class PackError(ValueError):
    """What is to be packed is damaged, or too large at every quality."""


@dataclass(frozen=True)
class Still:
    """A picture (H, W, 3) and its (H, W) object numbers, 0 = none of them."""

    rgb: UInt8
    labels: UInt8


def held_back_clips() -> frozenset[str]:
    """Name every clip that is not trained on."""
    return frozenset(name for clips in HELD_BACK.values() for name in clips)


def measured_clips() -> tuple[str, ...]:
    """Name the held-back clips that tell how training goes, at most two a film."""
    return tuple(name for clips in HELD_BACK.values() for name in clips[:MEASURED_A_FILM])


def read_clip(folder: Path) -> tuple[list[UInt8], UInt8]:
    """
    Read a clip's frames (H, W, 3) in RGB and its labels (T, H, W).

    :raises PackError: if it is damaged, or has not as many masks as frames
    """
    try:
        frames = list(decode(folder / 'video.mp4'))
        labels = [np.asarray(Image.open(path)) for path in sorted(folder.glob('*.png'))]
    except (av.FFmpegError, OSError) as error:
        raise PackError(f'{folder} cannot be read: {error}') from error
    if len(frames) != len(labels) or not frames:
        raise PackError(f'{folder} has {len(frames)} frames and {len(labels)} masks')
    return frames, keep_largest(np.stack(labels))


def decode(video: Path | io.BytesIO) -> Iterator[UInt8]:
    """Decode a video file's frames, (H, W, 3) in RGB."""
    with av.open(video if isinstance(video, io.BytesIO) else str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format='rgb24')


def encode(frames: list[UInt8], rate_factor: int) -> bytes:
    """Encode frames of even sides as H.264."""
    buffer = io.BytesIO()
    with av.open(buffer, 'w', format='mp4') as container:
        stream = container.add_stream('libx264', rate=Fraction(24))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = 'yuv420p'
        stream.options = {'crf': str(rate_factor), 'preset': 'medium', 'threads': '1'}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())
    return buffer.getvalue()


def keep_largest(labels: UInt8, most: int = MOST_OBJECTS) -> UInt8:
    """Keep the largest objects of (..., H, W) labels, numbered from 1; the others become 0."""
    areas = np.bincount(labels.ravel(), minlength=256)
    areas[0] = 0
    order = [label for label in np.argsort(-areas, kind='stable')[:most] if areas[label]]
    table = np.zeros(256, np.uint8)
    table[sorted(order)] = np.arange(1, len(order) + 1)
    return table[labels]


def shrunk(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Fit (width, height) to a short side in pixels, both even; never larger."""
    scale = min(1.0, side / min(size))
    return (2 * round(size[0] * scale / 2), 2 * round(size[1] * scale / 2))


def pack_labels(labels: UInt8) -> bytes:
    """Compress (T, H, W) labels: each frame as its difference from the one before."""
    changes = labels.copy()
    changes[1:] ^= labels[:-1]
    return lzma.compress(changes.tobytes(), preset=1)


def unpack_labels(packed: bytes, shape: tuple[int, int, int]) -> UInt8:
    """Give back what :func:`pack_labels` took."""
    changes = np.frombuffer(lzma.decompress(packed), np.uint8).reshape(shape)
    return np.bitwise_xor.accumulate(changes, axis=0)


def find_stills(root: Path) -> Iterator[tuple[Path, Path]]:
    """List pictures with their masks: COCO's, DUTS's and those of the ``stills-*`` folders."""
    for picture in sorted((root / 'coco128-panoptic').glob('*/images/*.jpg')):
        yield picture, picture.parents[1] / 'instances' / f'{picture.stem}.png'
    for picture in sorted((root / 'duts-train-400/images').glob('*.jpg')):
        yield picture, picture.parents[1] / 'masks' / f'{picture.stem}.png'
    for picture in sorted(root.glob('stills-*/*.jpg')):
        yield picture, picture.with_suffix('.png')


def read_still(picture: Path, mask: Path, side: int) -> Still:
    """Read a still at a short side of at most so many pixels."""
    rgb = Image.open(picture).convert('RGB')
    labels = np.asarray(Image.open(mask))
    labels = labels[..., 0] if labels.ndim == 3 else labels
    if labels.max() == 255:     # one object, in white
        labels = (labels > 127).astype(np.uint8)
    size = shrunk(rgb.size, side)
    return Still(np.asarray(rgb.resize(size, Image.Resampling.BOX)),
                 keep_largest(cv2.resize(labels.astype(np.uint8), size,
                                         interpolation=cv2.INTER_NEAREST)))


class Packer:
    """
    Everything that goes into a data file, written at one quality after another until it fits.

    :param root: folder with ``video`` and the folders of stills
    :param side: short side of clips in pixels, at most
    :param still_side: the same for stills
    """

    def __init__(self, root: Path, side: int, still_side: int) -> None:
        self.side = side
        self.encoded: dict[tuple[str, int | None], tuple[bytes, bytes, list[int]]] = {}
        self.folders = [folder for folder in sorted((root / 'video').glob('*'))
                        if (folder / 'video.mp4').exists() and folder.name not in LEFT_OUT]
        self.stills = [read_still(*paths, still_side) for paths in find_stills(root)]
        if not self.folders and not self.stills:
            raise FileNotFoundError(f'no clips and no stills in {root}')

    def write(self, output: Path, most_bytes: int) -> int:
        """
        Write the file at the best quality that fits, never leaving half a file.

        :returns: its size in bytes
        :raises PackError: if a clip is damaged, or all is too large at every quality
        :raises OSError: if it cannot be written
        """
        partial = output.with_suffix('.partial')
        size = 0
        try:
            for rate_factor, quality in QUALITIES:
                self._write(partial, rate_factor, quality)
                size = partial.stat().st_size
                print(f'clips at {rate_factor or "their own"} rate, stills at WebP {quality}: '
                      f'{size / 1e6:.1f} MB', flush=True)
                if size <= most_bytes:
                    partial.replace(output)
                    return size
        finally:
            partial.unlink(missing_ok=True)
        raise PackError(f'{size / 1e6:.1f} MB at the lowest quality, more than '
                        f'{most_bytes / 1e6:.1f}; try a smaller --side or --still-side')

    def _write(self, path: Path, rate_factor: int | None, quality: int) -> None:
        held = held_back_clips()
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as file:
            clips = []
            for folder in self.folders:
                video, labels, shape = self._clip(folder, rate_factor)
                file.writestr(f'clips/{folder.name}.mp4', video)
                file.writestr(f'clips/{folder.name}.xz', labels)
                clips.append({'name': folder.name, 'shape': shape,
                              'stride': 1 if SLOW_FILM.search(folder.name) else LARGEST_STRIDE,
                              'held_back': folder.name in held})
            for number, still in enumerate(self.stills):
                _, encoded = cv2.imencode('.webp', still.rgb[..., ::-1],
                                          [cv2.IMWRITE_WEBP_QUALITY, quality])
                file.writestr(f'stills/{number:05d}.webp', encoded.tobytes())
                _, encoded = cv2.imencode('.png', still.labels,
                                          [cv2.IMWRITE_PNG_COMPRESSION, 9])
                file.writestr(f'stills/{number:05d}.png', encoded.tobytes())
            file.writestr('index.json', json.dumps({'clips': clips,
                                                    'stills': len(self.stills)}, indent=1))

    def _clip(self, folder: Path, rate_factor: int | None) -> tuple[bytes, bytes, list[int]]:
        """Give a clip's video, its packed labels and their shape, encoded once a rate."""
        key = (folder.name, rate_factor)
        if key not in self.encoded:
            frames, labels = read_clip(folder)
            size = shrunk((labels.shape[2], labels.shape[1]), self.side)
            if rate_factor is None and min(labels.shape[1:]) <= self.side:
                video = (folder / 'video.mp4').read_bytes()
            else:
                labels = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST)
                                   for frame in labels]).astype(np.uint8)
                video = encode([np.asarray(Image.fromarray(frame).resize(
                    size, Image.Resampling.BOX)) for frame in frames], rate_factor or FINEST)
            self.encoded[key] = (video, pack_labels(labels), list(labels.shape))
        return self.encoded[key]


def main(line: Sequence[str] | None = None) -> None:
    """Pack as the command line says."""
    parser = argparse.ArgumentParser(prog='python -m training.pack', description=__doc__)
    parser.add_argument('--data', type=Path, default=Path('../shared/data/train'))
    parser.add_argument('--output', type=Path, required=True)
    parser.add_argument('--mb', type=positive_float, default=42.0, help='size of the file at most')
    parser.add_argument('--side', type=positive_int, default=384,
                        help="clips' short side in pixels at most")
    parser.add_argument('--still-side', type=positive_int, default=272)
    arguments = parser.parse_args(line)
    if arguments.output.is_dir():
        parser.error(f'--output takes a file, and {arguments.output} is a folder')
    partial = arguments.output.with_suffix('.partial')
    with refusing(parser.prog):
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()         # what can't be written is found out before minutes of reading
        partial.unlink()
        packer = Packer(arguments.data, arguments.side, arguments.still_side)
    try:
        with writing(parser.prog):
            packer.write(arguments.output, round(arguments.mb * 1e6))
    except PackError as error:
        parser.error(str(error))
    print(f'{arguments.output}: {len(packer.folders)} clips, {len(packer.stills)} stills, '
          f'{len(held_back_clips())} clips named as held back')


if __name__ == '__main__':
    main()

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: each target makes an input of random numbers and feeds it to the package."""

from __future__ import annotations

from collections.abc import Callable
import io
import json
from pathlib import Path
from random import Random
import struct
from typing import Any

import numpy as np
import PIL.Image
from reliability.mutations import mutate, mutate_tree, mutate_words
from reliability.package_parts import FuzzedParts

Feed = Callable[[Random], None]
_HW = (48, 64)
_LARGEST = 2 ** 32 - 1
_SIDES = (0, 1, 2, 3, 4, 5, 8, 17, 64, 2 ** 31, _LARGEST)
_MOST_BYTES = 300_000
_COORDINATES = (0.0, -0.0, 1.0, -1.0, 5e-324, 1e308, -1e308, float('nan'), float('inf'),
                47.5, 63.999999999, 64.0)
_EDGES = (0, 1, 2, 47, 48, 64, 65, 2 ** 31, _LARGEST)


class WrongResultError(Exception):
    """What was accepted is not what the package promises."""


def _promise(holds: object, otherwise: str) -> None:
    if not holds:
        raise WrongResultError(otherwise)


def messages(parts: FuzzedParts, _: Path) -> Feed:
    """Feed raw images, masks and prompts as messages."""
    def feed(random: Random) -> None:
        if random.random() < 0.6:
            _feed_image(parts, random)
        else:
            _feed_prompts(parts, random)
    return feed


def _feed_image(parts: FuzzedParts, random: Random) -> None:
    from reliability.robot import to_bytes
    from sensor_msgs.msg import Image

    encoding = random.choice([*parts.encodings, '', 'rgb16', 'jpeg', '8UC1', 'bayer_rggb16'])
    width, height = (random.choice(_SIDES) if random.random() < 0.7 else random.randrange(1, 200)
                     for _ in range(2))
    row = width * parts.encodings.get(encoding, 1)
    step = random.choice((row, row, row + random.randrange(9), 0, width, _LARGEST)) & _LARGEST
    rows = height * 3 // 2 if encoding.startswith('nv') else height
    size = max(0, min(step * rows, _MOST_BYTES) + random.choice((0, 0, 0, 1, -1)))
    message = Image(encoding=encoding, width=width, height=height, step=step,
                    is_bigendian=random.choice((0, 0, 1, 255)))
    message.data = to_bytes(random.randbytes(min(size, 64)).ljust(size, b'\x80'))
    if random.random() < 0.1:
        _promise(parts.mask(message).shape == (height, width), 'a mask has another size')
        return
    pixels = parts.image(message, random.choice((1, 4095, 65535)))
    _promise(pixels.shape == (height, width, 3) and pixels.dtype == np.uint8,
             f'{pixels.dtype} of shape {pixels.shape} from {width}x{height} {encoding}')


def _prompt_message(random: Random) -> Any:
    from geometry_msgs.msg import Point
    from sam2_tracker_msgs.msg import Prompt
    from sensor_msgs.msg import RegionOfInterest

    message = Prompt(object_id=random.choice((0, 0, 1, 2, 65535)),
                     label=random.choice(('', 'cup', '\n', '\x1b[2J', 'L' * 300)))
    message.points = [Point(**{axis: random.choice(_COORDINATES) for axis in 'xyz'})
                      for _ in range(random.randrange(3))]
    labels = len(message.points) if random.random() < 0.7 else random.randrange(4)
    message.point_labels = [random.choice((0, 1, 2, 255)) for _ in range(labels)]
    if random.random() < 0.4:
        message.box = RegionOfInterest(**{name: random.choice(_EDGES) for name in (
            'x_offset', 'y_offset', 'width', 'height')})
    if random.random() < 0.3:
        _add_mask(message, random)
    return message


def _add_mask(message: Any, random: Random) -> None:
    from reliability.robot import to_bytes

    mask = message.mask
    mask.height, mask.width = random.choice((_HW, _HW, (0, 0), _HW[::-1]))
    mask.step = random.choice((mask.width, mask.width + 3, 0))
    mask.encoding = random.choice(('mono8', 'mono8', '', 'rgb8'))
    mask.data = to_bytes(bytes([random.choice((0, 1))]) * (mask.step * mask.height))


def _feed_prompts(parts: FuzzedParts, random: Random) -> None:
    checked = parts.prompts([_prompt_message(random) for _ in range(random.randrange(4))], _HW)
    height, width = _HW
    for prompt in checked:
        _promise(np.isfinite(prompt.points_xy).all(), 'a point that is no number was taken')
        if prompt.box_xyxy is not None:
            left, top, right, bottom = prompt.box_xyxy
            _promise(0 <= left < right <= width and 0 <= top < bottom <= height,
                     f'the box {prompt.box_xyxy} was taken')


_PROMPTS = b"""prompts:
  - frame: 0
    object: 1
    label: ball
    points: [[3, 3], [7, 2]]
    point_labels: [1, 0]
  - time_s: 4.2
    object: 2
    label: hand
    box: [4, 2, 5, 9]
  - stamp: "1700000000.125"
    mask: mask.png
    source: tuesday.mp4
"""
_YAML_WORDS = (
    'null', '~', '.nan', '.inf', '-1', '0', '1e999', '[]', '{}', '[[1,2]]', '"x"', '!!int ""',
    '!!binary "x"', '&a', '*a', '<<:', '? ', ': ', '- ', '2024-02-30', '1:2:3', '0x', '0b2', '0o9',
    '1_0', '!!set {a}', '"\\ud800"', '"\\x00"', '!<tag>', '%YAML 9.9', '---', '...', '#', '|', '>',
    "'", 'true', '[1, 2, 3]', '9' * 25, '9' * 400, '1.5', '!!float 1', '!!null 1',
    '!!timestamp 1', '!!omap [1]', 'mask: .', 'prompts:', 'source: [a]', 'object: 70000',
    'object: true', 'label: "\\e[2J"')


def prompts_file(parts: FuzzedParts, folder: Path) -> Feed:
    """Feed a prompts file with the mask beside it."""
    sink = io.BytesIO()
    PIL.Image.fromarray(np.eye(20, dtype=np.uint8) * 255).save(sink, 'PNG')
    mask, file = sink.getvalue(), folder / 'prompts.yaml'

    def feed(random: Random) -> None:
        content = _PROMPTS
        for _ in range(random.randrange(1, 4)):
            content = (mutate_words(content, _YAML_WORDS, random) if random.random() < 0.7
                       else mutate(content, random, random.choice((1, 2))))
        file.write_bytes(content)
        (folder / 'mask.png').write_bytes(
            mutate(mask, random) if random.random() < 0.5 else mask)
        for each in parts.prompt_file(file).prompts:
            each.prompt.label.encode()
    return feed


def memory_file(parts: FuzzedParts, folder: Path) -> Feed:
    """Feed a file of object memories."""
    seed, file = folder / 'seed.safetensors', folder / 'fed.safetensors'
    parts.save_memory(seed)
    good = seed.read_bytes()
    length = struct.unpack('<Q', good[:8])[0]

    def changed_head(random: Random) -> bytes:
        head = json.loads(good[8:8 + length])
        for _ in range(random.randrange(1, 4)):
            if random.random() < 0.5:
                mutate_tree(head, random)
            else:
                _change_objects(head, random)
        written = json.dumps(head).encode()
        return struct.pack('<Q', len(written)) + written + good[8 + length:]

    def feed(random: Random) -> None:
        file.write_bytes(mutate(good, random) if random.random() < 0.4 else changed_head(random))
        for each in parts.load_memory(file):
            each.label.encode()
            _promise(1 <= each.object_id <= 65535, f'object id {each.object_id} was taken')
    return feed


def _change_objects(head: dict[str, Any], random: Random) -> None:
    metadata = head.get('__metadata__')
    if not isinstance(metadata, dict) or not isinstance(metadata.get('objects'), str):
        return
    try:
        objects = json.loads(metadata['objects'])
    except ValueError:
        return
    mutate_tree(objects, random)
    metadata['objects'] = json.dumps(objects)


def jpeg(parts: FuzzedParts, _: Path) -> Feed:
    """Feed compressed images: JPEGs and PNGs of every kind."""
    seeds = _compressed_seeds()

    def feed(random: Random) -> None:
        from reliability.robot import to_bytes
        from sensor_msgs.msg import CompressedImage

        message = CompressedImage(format=random.choice(
            ('jpeg', 'png', '', 'rgb8; jpeg compressed bgr8', 'mono16; png compressed ')))
        message.data = to_bytes(mutate(random.choice(seeds), random))
        pixels = parts.ingest(message)
        _promise(pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8,
                 f'{pixels.dtype} of shape {pixels.shape}')
    return feed


def _compressed_seeds() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (*_HW, 3)).astype(np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    kinds: list[tuple[str, str, dict[str, Any]]] = [
        ('JPEG', mode, {**options, 'exif': exif.tobytes()})
        for mode in ('RGB', 'L', 'CMYK') for options in ({}, {'progressive': True})]
    kinds += [('PNG', mode, {}) for mode in ('RGB', 'L', 'P', 'RGBA', 'LA', '1')]
    made = []
    for form, mode, options in kinds:
        sink = io.BytesIO()
        PIL.Image.fromarray(noise).convert(mode).save(sink, form, **options)
        made.append(sink.getvalue())
    sink = io.BytesIO()
    PIL.Image.fromarray(np.full(_HW, 40000, np.uint16)).save(sink, 'PNG')
    return [*made, sink.getvalue()]


TARGETS: dict[str, Callable[[FuzzedParts, Path], Feed]] = {
    'messages': messages, 'prompts_file': prompts_file, 'memory_file': memory_file, 'jpeg': jpeg}

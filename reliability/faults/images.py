# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Images that are none: sizes that lie, broken payloads, bombs; and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
import struct
import threading
import time
from typing import Any
import zlib

import numpy as np
import PIL.Image
from reliability.pictures import encoded, picture
from reliability.processes import usage
from reliability.robot import to_bytes
from reliability.stage import Live, Stage
from reliability.verdicts import expect, fault, FrozeError

WARN = 1
_LARGEST = 2 ** 32 - 1
_SIDE = 13000
_STALL_S = 3.0
_GROWTH_MIB = 700


def _raw(**fields: Any) -> dict[str, Any]:
    """Describe a raw image of zeros: width, height and step as given, `size` bytes of data."""
    described = {'width': 160, 'height': 120, 'encoding': 'rgb8', **fields}
    described.setdefault('step', described['width'] * 3)
    size = described.pop('size', described['step'] * described['height'])
    return {**described, 'data': to_bytes(bytes(size))}


RAW_IMAGES: dict[str, Callable[[], dict[str, Any]]] = {
    'no size': lambda: _raw(width=0, height=0, size=0),
    'no width': lambda: _raw(width=0, size=100),
    'no data': lambda: _raw(size=0),
    'small step': lambda: _raw(step=10),
    'step 0': lambda: _raw(step=0, size=160 * 120 * 3),
    'largest step': lambda: _raw(step=_LARGEST, size=1000),
    'data short': lambda: _raw(size=1000),
    'data long': lambda: _raw(size=160 * 120 * 3 + 1),
    'largest size': lambda: _raw(width=_LARGEST, height=_LARGEST, step=_LARGEST, size=500),
    'escape as encoding': lambda: _raw(encoding='\x1b[31mX\n' * 3),
    'long encoding': lambda: _raw(encoding='A' * 100_000),
    'float depth': lambda: _raw(encoding='32FC1', step=640),
    'odd nv12': lambda: _raw(encoding='nv12', width=161, height=121, step=161, size=161 * 181),
    'odd mono16 step': lambda: _raw(encoding='mono16', step=321),
    'nanoseconds too many': lambda: _raw(),
}


@fault(f'{len(RAW_IMAGES)} raw images whose sizes, steps, encodings or stamps lie: each '
       'is refused, the object is tracked on.')
def raw_images_that_lie(stage: Stage) -> None:
    live = stage.live()
    for name, describe in RAW_IMAGES.items():
        message = live.robot.image(picture(0), live.robot.next_stamp(), **describe())
        if name.startswith('nanoseconds'):
            message.header.stamp.nanosec = _LARGEST
        live.robot.send(message)
        live.track()
        expect(1 in live.objects(), f'after {name} the object is gone')
    expect('\x1b[31mX' not in live.program.log.read_text(errors='replace'),
           'escapes of an encoding are in the log')
    counted = live.figure('images refused')
    expect(counted >= len(RAW_IMAGES) - 2,
           f'{counted:.0f} of {len(RAW_IMAGES)} are counted as refused')


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (struct.pack('>I', len(content)) + kind + content
            + struct.pack('>I', zlib.crc32(kind + content)))


def png_of_zeros(side: int) -> bytes:
    """Return a PNG of one bit a pixel that is small as a file and large as a picture."""
    packer, row = zlib.compressobj(9), bytes((side + 7) // 8 + 1)
    packed = b''.join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    head = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + _chunk(b'IHDR', head) + _chunk(b'IDAT', packed)
            + _chunk(b'IEND', b''))


def _with_size(payload: bytes, width: int, height: int) -> bytes:
    changed = bytearray(payload)
    place = changed.index(b'\xff\xc0') + 5
    changed[place:place + 4] = struct.pack('>HH', height, width)
    return bytes(changed)


def broken_payloads() -> dict[str, bytes]:
    """Return compressed images that are none."""
    jpeg, png = encoded(picture(0)), encoded(picture(0), 'PNG')
    return {
        'empty': b'', 'one byte': b'\xff', 'text': b'hello' * 100, 'gif': b'GIF89a' + bytes(50),
        'half a jpeg': jpeg[:len(jpeg) // 2], 'half with an end': jpeg[:len(jpeg) // 2]
        + b'\xff\xd9', 'head of a jpeg': jpeg[:300], 'no size': _with_size(jpeg, 0, 0),
        'largest size': _with_size(jpeg, 65500, 65500),
        '30000 wide': _with_size(jpeg, 30000, 30000),
        'half a png': png[:len(png) // 2], 'wrong checksum': png[:100] + b'\xff' + png[101:],
        'png of 30000': png_of_zeros(30000)}


@fault('Compressed images that are empty, cut, of another format or of absurd sizes: '
       'each is refused, the object is tracked on.')
def broken_compressed_images(stage: Stage) -> None:
    live = stage.live(compressed=True)
    for name, payload in broken_payloads().items():
        live.robot.send(live.robot.jpeg(payload, live.robot.next_stamp()))
        live.track()
        expect(live.objects().get(1), f'after {name} the object is gone')
    expect(live.objects()[1].state != 3, 'the object is lost')


class Watched:
    """Notes the most memory that a process holds, meanwhile."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        first = usage(pid)
        self.first_kib = self.peak_kib = first.memory_kib if first else 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            now = usage(self._pid)
            self.peak_kib = max(self.peak_kib, now.memory_kib if now else 0)

    def grown_mib(self) -> float:
        """Stop watching and return by how much it grew."""
        self._over.set()
        self._thread.join()
        return (self.peak_kib - self.first_kib) / 1024


def _huge_picture(stage: Stage, payload: bytes) -> None:
    live: Live = stage.live(compressed=True)
    watched, begun_s = Watched(live.program.pid), time.monotonic()
    live.robot.send(live.robot.jpeg(payload, live.robot.next_stamp()))
    # Or it would be skipped for a newer one.
    live.robot.wait(lambda: live.robot.stamp_ns in live.robot.stamps() or live.said, 1.0)
    live.track(40.0)
    took_s, grown_mib = time.monotonic() - begun_s, watched.grown_mib()
    stage.said = live.said
    if took_s > _STALL_S:
        raise FrozeError(f'the stream stood still for {took_s:.0f} s')
    expect(grown_mib < _GROWTH_MIB, f'the node took {grown_mib:.0f} MiB more for one picture')
    expect(live.said, 'the log does not say it')
    expect(live.objects()[1].state != 3, 'the object is lost')


@fault(f'A grey JPEG of {_SIDE}x{_SIDE}: refused by image_max_pixels, without a stall of 3 '
       f's or {_GROWTH_MIB} MiB.')
def huge_jpeg(stage: Stage) -> None:
    grey = PIL.Image.new('L', (_SIDE, _SIDE))
    _huge_picture(stage, encoded(np.asarray(grey), quality=1))


@fault(f'A PNG of {_SIDE}x{_SIDE}, some kilobytes: refused by image_max_pixels, without a '
       f'stall of 3 s or {_GROWTH_MIB} MiB.')
def huge_png(stage: Stage) -> None:
    _huge_picture(stage, png_of_zeros(_SIDE))


@fault('Every image is refused (32FC1): WARN on /diagnostics, and one line in the log.')
def every_image_refused(stage: Stage) -> None:
    live = stage.live()
    end_s, since = time.monotonic() + 6.0, len(live.robot.health)
    while time.monotonic() < end_s:
        live.robot.send(live.robot.image(picture(0), live.robot.next_stamp(), encoding='32FC1',
                                         step=640, data=to_bytes(bytes(640 * 120))))
        time.sleep(0.1)
    lines = live.log.count('32FC1')
    told = [each.message for each in live.robot.health[since:] if each.level >= WARN]
    stage.said = f'{live.said} / diagnostics: {told[-1] if told else ""}'
    live.track()
    expect(1 <= lines <= 3, f'the log says it {lines} times')
    expect(any('refused' in each or '32FC1' in each for each in told),
           f'/diagnostics says {live.robot.health[-1].message!r}, '
           f'and {told[-1] if told else "nothing"!r}')


@fault("The camera's topic has no publisher: WARN on /diagnostics, in the log and in the "
       "refusal of a prompt, with the topic's name.")
def topic_without_publisher(stage: Stage) -> None:
    from reliability.robot import click

    live = stage.live(namespace='alone', is_active=False)
    # The remapping of a namespace is to /image: leave that topic.
    live.robot.node.destroy_publisher(live.robot.camera)
    end_s = time.monotonic() + 60.0
    while live.robot.state(2.0) != 'active' and time.monotonic() < end_s:
        live.refuse_dead()
    live.robot.wait(lambda: live.said and live.robot.health[-1].level >= WARN, 12.0)
    health = live.robot.health[-1]
    reason = live.refused(live.robot.add([click(5, 5)]), 'a prompt without any picture')
    stage.said = f'{live.said} / diagnostics: {health.message} / prompt: {reason}'
    expect(health.level >= WARN and '/image' in health.message,
           f'/diagnostics says {health.message!r}')
    expect('/image' in live.said, 'no line in the log names the topic')
    expect('/image' in reason, f'the refusal of a prompt does not name it: {reason}')

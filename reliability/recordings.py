# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings as they go wrong in practice: videos and bags, made anew for each check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
import sqlite3
from typing import Any

import av
import numpy as np
from reliability.pictures import HW, Picture, picture
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
TOPIC = '/camera/image_raw'
FIRST_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
STORE = get_typestore(Stores.ROS2_JAZZY)
_TYPES = STORE.types


def write_video(path: Path, count: int, hw: tuple[int, int] = HW, codec: str = 'libx264',
                **options: str) -> Path:
    """Write a video at 10 frames a second."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width = hw
        stream.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
        _encode(container, stream, (picture(number, hw) for number in range(count)))
    return path


def _encode(container: Any, stream: Any, pictures: Iterable[Picture]) -> None:
    for number, pixels in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(pixels, format='rgb24').reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = number, Fraction(1, 10)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def damage_packet(whole: Path, damaged: Path, index: int) -> Path:
    """Copy a video with the bytes of one packet replaced by zeros."""
    with av.open(str(whole)) as source, av.open(str(damaged), 'w') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = (packet for packet in source.demux(video=0) if packet.size)
        for number, packet in enumerate(packets):
            copied = av.Packet(bytes(packet.size) if number == index else bytes(packet))
            copied.pts, copied.dts = packet.pts, packet.dts
            copied.time_base, copied.duration = packet.time_base, packet.duration
            copied.is_keyframe, copied.stream = packet.is_keyframe, stream
            target.mux(copied)
    return damaged


def write_video_with_cover(path: Path, count: int) -> Path:
    """Write a video whose first stream is a single small picture, as a cover is."""
    with av.open(str(path), 'w') as container:
        cover = container.add_stream('mjpeg', rate=10)
        cover.height, cover.width, cover.pix_fmt = 48, 64, 'yuvj420p'
        film = container.add_stream('libx264', rate=10)
        film.height, film.width, film.pix_fmt = *HW, 'yuv420p'
        _encode(container, cover, [picture(0, (48, 64))])
        _encode(container, film, (picture(number) for number in range(count)))
    return path


def image_message(pixels: Picture, stamp_ns: int, encoding: str = 'rgb8') -> Any:
    """Return an Image for a bag."""
    return _TYPES[IMAGE](
        header=_header(stamp_ns), height=pixels.shape[0], width=pixels.shape[1],
        encoding=encoding, is_bigendian=0, step=pixels.nbytes // pixels.shape[0],
        data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8))


def compressed_message(payload: bytes, stamp_ns: int, form: str) -> Any:
    """Return a CompressedImage for a bag."""
    return _TYPES[COMPRESSED](header=_header(stamp_ns), format=form,
                              data=np.frombuffer(payload, np.uint8))


def _header(stamp_ns: int) -> Any:
    sec, nanosec = divmod(stamp_ns, 10 ** 9)
    return _TYPES['std_msgs/msg/Header'](
        stamp=_TYPES['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec), frame_id='camera')


def stamps(count: int) -> list[int]:
    """Return the stamps of an ordinary recording."""
    return [FIRST_NS + number * PERIOD_NS for number in range(count)]


def write_bag(path: Path, messages: Sequence[tuple[str, int, Any]],
              storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """
    Write a bag.

    :param messages: topic, time and message of each
    """
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections = {}
        for topic, stamp_ns, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], stamp_ns, STORE.serialize_cdr(message, kind))
    return path


def write_image_bag(path: Path, count: int, times_ns: Sequence[int] = (),
                    make: Callable[[int, int], Any] | None = None,
                    storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """
    Write a bag of images on one topic.

    :param times_ns: stamps, ordinary ones if empty
    :param make: returns the message of a number and a stamp
    """
    made = make or (lambda number, stamp_ns: image_message(picture(number), stamp_ns))
    topic = TOPIC
    messages = [(number, stamp_ns, made(number, stamp_ns))
                for number, stamp_ns in enumerate(times_ns or stamps(count))]
    if messages and messages[0][2].__msgtype__ == COMPRESSED:
        topic = f'{TOPIC}/compressed'
    return write_bag(path, [(topic, stamp_ns, each) for _, stamp_ns, each in messages], storage)


def write_bag_with_log(folder: Path, count: int) -> Path:
    """
    Write what a killed recorder leaves: half of the images are in the write-ahead log only.

    :return: the .db3
    """
    whole = write_image_bag(folder.with_name('whole'), count, storage=StoragePlugin.SQLITE3)
    rows_of = sqlite3.connect(next(whole.glob('*.db3')))
    script, rows = list(rows_of.iterdump()), rows_of.execute('SELECT * FROM messages').fetchall()
    rows_of.close()
    folder.mkdir()
    file = folder / 'b_0.db3'
    database = sqlite3.connect(folder.with_name('work.db3'), isolation_level=None)
    database.execute('PRAGMA journal_mode=WAL')
    database.execute('PRAGMA wal_autocheckpoint=0')
    database.executescript('\n'.join(line for line in script
                                     if not line.startswith('INSERT INTO "messages"')))
    place = ', '.join('?' * len(rows[0]))
    for number, row in enumerate(rows):
        database.execute(f'INSERT INTO messages VALUES({place})', row)
        if number == count // 2 - 1:
            database.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    for ending in ('', '-wal'):
        source = folder.with_name(f'work.db3{ending}')
        file.with_name(f'{file.name}{ending}').write_bytes(source.read_bytes())
    database.close()
    return file


def write_two_channels(path: Path, count: int) -> Path:
    """Write an MCAP whose image topic has two channels, as of two publishers."""
    from mcap.writer import Writer as McapWriter

    definition, _ = STORE.generate_msgdef(IMAGE, ros_version=2)
    with path.open('wb') as file:
        writer = McapWriter(file)
        writer.start(profile='ros2')
        schema = writer.register_schema(IMAGE, 'ros2msg', definition.encode())
        channels = [writer.register_channel(TOPIC, 'cdr', schema, {'offered_qos_profiles': ''})
                    for _ in range(2)]
        for number, stamp_ns in enumerate(stamps(count)):
            message = STORE.serialize_cdr(image_message(picture(number), stamp_ns), IMAGE)
            writer.add_message(channels[number % 2], stamp_ns, bytes(message), stamp_ns, number)
        writer.finish()
    return path

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Write small rosbag2 recordings of every kind, to read them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

STORE = get_typestore(Stores.ROS2_JAZZY)
FIRST_NS = 1_700_000_000_000_000_000
STEP_NS = 40_000_000


@dataclass(frozen=True)
class BagKind:
    """How a bag is stored."""

    storage: StoragePlugin = StoragePlugin.MCAP
    compression: CompressionMode = CompressionMode.NONE
    version: int = 9


def picture(number: int, hw: tuple[int, int] = (24, 32)) -> np.ndarray:
    """Return pixels that tell which frame they are."""
    height, width = hw
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width) * 5 % 256
    image[..., 1] = np.arange(height)[:, None] * 7
    image[..., 2] = 10 * number % 256
    return image


def jpeg_of(image_rgb: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image_rgb).save(stream, 'JPEG', quality=95)
    return stream.getvalue()


def header(stamp_ns: int, frame_id: str = 'camera') -> Any:
    stamp = STORE.types['builtin_interfaces/msg/Time'](
        sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9
    )
    return STORE.types['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def raw_image(image_rgb: np.ndarray, stamp_ns: int, encoding: str = 'rgb8') -> Any:
    height, width = image_rgb.shape[:2]
    return STORE.types['sensor_msgs/msg/Image'](
        header=header(stamp_ns),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=image_rgb.nbytes // height,
        data=np.frombuffer(image_rgb.tobytes(), np.uint8),
    )


def compressed_image(payload: bytes, stamp_ns: int, kind: str = 'jpeg') -> Any:
    return STORE.types['sensor_msgs/msg/CompressedImage'](
        header=header(stamp_ns), format=kind, data=np.frombuffer(payload, np.uint8)
    )


def text(words: str) -> Any:
    return STORE.types['std_msgs/msg/String'](data=words)


def write_bag(
    path: Path, messages: Sequence[tuple[str, int, Any]], kind: BagKind = BagKind()
) -> Path:
    """
    Write a bag.

    :param messages: topic, record time and message of each
    """
    writer = Writer(path, version=kind.version, storage_plugin=kind.storage)
    writer.set_compression(kind.compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for topic, recorded_ns, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, message.__msgtype__, typestore=STORE
                )
            writer.write(
                connections[topic], recorded_ns, STORE.serialize_cdr(message, message.__msgtype__)
            )
    return path


def stamps(count: int) -> list[int]:
    return [FIRST_NS + number * STEP_NS for number in range(count)]


def raw_messages(count: int, topic: str = '/camera/image') -> list[tuple[str, int, Any]]:
    return [
        (topic, stamp_ns + 5, raw_image(picture(number), stamp_ns))
        for number, stamp_ns in enumerate(stamps(count))
    ]


def split_bag(path: Path, parts: int, frames_each: int) -> Path:
    """Write a bag of several files: each is a bag of its own, joined by one metadata.yaml."""
    from ruamel.yaml import YAML

    yaml = YAML(typ='safe')
    path.mkdir()
    joined: dict[str, Any] = {}
    messages = raw_messages(parts * frames_each)
    for part in range(parts):
        piece = messages[part * frames_each:(part + 1) * frames_each]
        folder = write_bag(path.parent / f'{path.name}_{part}', piece)
        info = yaml.load((folder / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
        (folder / f'{folder.name}.mcap').rename(path / f'{folder.name}.mcap')
        _join(joined, info)
    with (path / 'metadata.yaml').open('w') as stream:
        yaml.dump({'rosbag2_bagfile_information': joined}, stream)
    return path


def _join(joined: dict[str, Any], info: dict[str, Any]) -> None:
    if not joined:
        joined.update(info)
        return
    joined['relative_file_paths'] += info['relative_file_paths']
    joined['files'] += info['files']
    joined['message_count'] += info['message_count']
    joined['topics_with_message_count'][0]['message_count'] += info['message_count']
    end_ns = info['starting_time']['nanoseconds_since_epoch'] + info['duration']['nanoseconds']
    start_ns = joined['starting_time']['nanoseconds_since_epoch']
    joined['duration']['nanoseconds'] = end_ns - start_ns


def write_mcap(
    path: Path, messages: Sequence[tuple[str, int, Any]], channels: int, **options: Any
) -> Path:
    """
    Write a single .mcap.

    :param channels: of each topic, which take turns
    :param options: of mcap's writer
    """
    from mcap.writer import Writer as McapWriter

    with path.open('wb') as stream:
        writer = McapWriter(stream, **options)
        writer.start(profile='ros2')
        known: dict[str, list[int]] = {}
        for number, (topic, recorded_ns, message) in enumerate(messages):
            kind = message.__msgtype__
            if topic not in known:
                text, _ = STORE.generate_msgdef(kind, ros_version=2)
                schema = writer.register_schema(kind, 'ros2msg', text.encode())
                metadata = {'offered_qos_profiles': ''}
                known[topic] = [
                    writer.register_channel(topic, 'cdr', schema, metadata)
                    for _ in range(channels)
                ]
            channel = known[topic][number % channels]
            raw = bytes(STORE.serialize_cdr(message, kind))
            writer.add_message(channel, recorded_ns, raw, recorded_ns, number)
        writer.finish()
    return path

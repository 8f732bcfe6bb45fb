# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Write small videos of many kinds, whole and damaged, to read them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


@dataclass(frozen=True)
class VideoKind:
    """
    How a video is encoded.

    :param ticks: time of each frame in frame periods, None for one after the other
    :param context: attributes of the encoder
    :param degrees: the picture is to be turned by, against the clock
    """

    name: str
    codec: str = 'libx264'
    pixels: str = 'yuv420p'
    size: tuple[int, int] = (96, 64)
    count: int = 12
    options: Mapping[str, str] = field(default_factory=dict)
    ticks: Sequence[int] | None = None
    context: Mapping[str, int] = field(default_factory=dict)
    degrees: int = 0


def moving_square(number: int, size: tuple[int, int]) -> np.ndarray:
    """Return RGB: a smooth ground of many colours, and a red square farther right each frame."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    rgb = np.stack(
        [60 + x * 120 // width, 40 + y * 180 // height, 90 + (x + y) * 90 // (width + height)], -1
    ).astype(np.uint8)
    left = 4 + 2 * number
    rgb[height // 4:height // 2, left:left + width // 4] = (220, 40, 30)
    return rgb


def write_video(folder: Path, kind: VideoKind, rate: int = 25) -> Path:
    path = folder / kind.name
    with av.open(str(path), 'w') as container:
        stream: Any = container.add_stream(kind.codec, rate=rate, options=dict(kind.options))
        stream.width, stream.height = kind.size
        stream.pix_fmt = kind.pixels
        for name, value in kind.context.items():
            setattr(stream.codec_context, name, value)
        if kind.degrees:
            stream.set_display_rotation(kind.degrees)
        for number in range(kind.count):
            picture = moving_square(number, kind.size)
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24').reformat(
                format=kind.pixels
            )
            frame.pts = number if kind.ticks is None else kind.ticks[number]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def blank_packets(path: Path, numbers: set[int]) -> Path:
    """Copy a video with zeros for the content of some of its packets."""
    damaged = path.with_name(f'damaged_{path.name}')
    with av.open(str(path)) as source, av.open(str(damaged), 'w') as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            content = bytes(packet.size) if number in numbers else bytes(packet)
            copy = av.Packet(content)
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.duration, copy.is_keyframe = packet.duration, packet.is_keyframe
            copy.stream = stream
            container.mux(copy)
    return damaged

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels of the tracker's own output messages."""

from __future__ import annotations

import numpy as np
from sam2_tracker.core.types import BoolArray, UInt8Array, UInt16Array  # noqa: I101
from sensor_msgs.msg import Image


def label_image_from_msg(msg: Image) -> UInt16Array:
    """Return (height, width) uint16 of a mono16 message."""
    order = '>u2' if msg.is_bigendian else '<u2'
    return np.frombuffer(msg.data, order).reshape(msg.height, msg.width).astype(np.uint16)


def mask_from_msg(msg: Image) -> BoolArray:
    """Return (height, width) bool of a mono8 message."""
    return np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width) > 0


def picture_from_msg(msg: Image) -> UInt8Array:
    """Return (height, width, 3) uint8 of a bgr8 message."""
    return np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, 3)

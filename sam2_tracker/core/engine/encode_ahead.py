# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The next picture, encoded while objects are tracked on this one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from sam2_tracker.core.engine.features import EncodedFrame
from sam2_tracker.core.types import UInt8Array


class EncodeAhead:
    """
    Holds at most one picture that is being encoded in another thread.

    :param encode: may run beside everything else that the model does
    """

    def __init__(self, encode: Callable[[UInt8Array], EncodedFrame]) -> None:
        self._encode = encode
        self._thread: ThreadPoolExecutor | None = None
        self._image_rgb: UInt8Array | None = None
        self._features: Future[EncodedFrame] | None = None

    def begin(self, image_rgb: UInt8Array) -> None:
        """
        Begin to encode a picture; one that was begun before and never taken is forgotten.

        :param image_rgb: (height, width, 3) uint8, not to be written to
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix='encode ahead')
        self._image_rgb = image_rgb
        self._features = self._thread.submit(self._encode, image_rgb)

    def take(self, image_rgb: UInt8Array) -> EncodedFrame | None:
        """Wait for a picture's features if it was begun, the very same array; None otherwise."""
        if self._features is None or image_rgb is not self._image_rgb:
            return None
        features, self._features, self._image_rgb = self._features, None, None
        return features.result()

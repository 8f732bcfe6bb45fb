# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The processed frames that a refinement may go back to: their stamps and their features."""

from __future__ import annotations

from collections import deque, OrderedDict
import itertools
import statistics

from sam2_tracker.core.frames.source import FrameLookup
from sam2_tracker.core.protocols import FrameFeatures, PredictorProtocol
from sam2_tracker.core.types import Frame

_LOOK_BACK_S = 2.0
# What a measured rate can lead to: one frame in two seconds, or one every 16 ms.
_MIN_FRAMES = 4
_MAX_FRAMES = 120
# Until the rate is known: what 30 frames a second would give.
_DEFAULT_FRAMES = 60
_RATE_FRAMES = 30
# Several objects that catch up from far back share what is computed again.
_RECOMPUTED_FRAMES = 4


class LookBack:
    """
    The processed frames that a refinement may go back to, and their stamps.

    :param frames: how many, 0 for two seconds at the measured rate
    """

    def __init__(self, frames: int) -> None:
        self.fixed_frames = frames
        self.oldest_index = 0
        self._stamps: deque[tuple[int, int]] = deque()

    @property
    def frames(self) -> int:
        """Return how many processed frames a refinement may go back."""
        if self.fixed_frames > 0:
            return self.fixed_frames
        recent = [stamp_ns for _, stamp_ns in list(self._stamps)[-_RATE_FRAMES:]]
        if len(recent) < 3:
            return _DEFAULT_FRAMES
        period_ns = statistics.median(
            later - earlier for earlier, later in itertools.pairwise(recent)
        )
        return min(max(round(_LOOK_BACK_S * 1e9 / period_ns), _MIN_FRAMES), _MAX_FRAMES)

    @property
    def oldest_stamp_ns(self) -> int | None:
        """Return the stamp of the oldest frame that a refinement may go back to, None if none."""
        return self._stamps[0][1] if self._stamps else None

    @property
    def stamps_by_index(self) -> dict[int, int]:
        """Return the stamps of the frames that a refinement may go back to."""
        return dict(self._stamps)

    def add(self, index: int, stamp_ns: int) -> None:
        """
        Take in the newest processed frame.

        What was forgotten stays forgotten: where the rate rises the window grows from now on.
        """
        self._stamps.append((index, stamp_ns))
        self.oldest_index = max(self.oldest_index, index - self.frames)
        while self._stamps[0][0] < self.oldest_index:
            self._stamps.popleft()

    def clear(self) -> None:
        """Begin again, with frame 0 of a new session."""
        self.oldest_index = 0
        self._stamps.clear()


class FeatureCache:
    """
    Hands out the features of any processed frame that is still buffered.

    Those within the look-back are held; others are computed again when asked for.

    :param frames: where the pixels of frames beyond the look-back come from
    """

    def __init__(self, predictor: PredictorProtocol, frames: FrameLookup) -> None:
        self._predictor = predictor
        self._frames = frames
        self._recent: dict[int, FrameFeatures] = {}
        self._oldest_index = 0
        self._recomputed: OrderedDict[tuple[str, int], FrameFeatures] = OrderedDict()

    def add(self, index: int, features: FrameFeatures) -> None:
        """Keep a processed frame's features as long as it is within the look-back."""
        self._recent[index] = features

    def forget_before(self, oldest_index: int) -> None:
        """Forget the features of frames before the look-back."""
        self._oldest_index = oldest_index
        for old in [known for known in self._recent if known < oldest_index]:
            del self._recent[old]

    def of_index(self, index: int, picture: Frame | None = None) -> FrameFeatures:
        """
        Return the features of a processed frame.

        :param picture: that frame, if it is at hand
        :raises FrameError: if neither they nor the frame are there any more
        """
        if index in self._recent:
            return self._recent[index]
        key = ('index', index)
        if key not in self._recomputed:
            image_rgb = self._frames.image(index) if picture is None else picture.image_rgb
            features = self._predictor.encode(image_rgb)
            if index >= self._oldest_index:
                self.add(index, features)
                return features
            self._keep(key, features)
        return self._recomputed[key]

    def of_frame(self, frame: Frame) -> FrameFeatures:
        """Return the features of a frame that was not processed; its index means nothing."""
        key = ('stamp', frame.stamp_ns)
        if key not in self._recomputed:
            self._keep(key, self._predictor.encode(frame.image_rgb))
        return self._recomputed[key]

    def _keep(self, key: tuple[str, int], features: FrameFeatures) -> None:
        self._recomputed[key] = features
        while len(self._recomputed) > _RECOMPUTED_FRAMES:
            self._recomputed.popitem(last=False)

    def clear(self) -> None:
        """Forget everything, for a new session."""
        self._recent.clear()
        self._recomputed.clear()
        self._oldest_index = 0

    @property
    def nbytes(self) -> int:
        """Return the bytes held on the device."""
        return sum(
            features.nbytes for features in (*self._recent.values(), *self._recomputed.values())
        )

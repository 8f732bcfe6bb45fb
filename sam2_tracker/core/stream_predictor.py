# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Stock SAM 2 with hooks: the class that the model's configuration names."""

from __future__ import annotations

from typing import Any

from sam2.sam2_video_predictor import SAM2VideoPredictor

from sam2_tracker.core.features import SharedPositions


class StreamPredictor(SAM2VideoPredictor):
    """
    `SAM2VideoPredictor` of sam2 1.1.0 without its needless work; every result stays the same.

    Built by `build_sam2_video_predictor` with `++model._target_=` this class. Weights are those
    of stock SAM 2.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        side = self.sam_image_embedding_size
        neck = self.image_encoder.neck
        neck.position_encoding = SharedPositions(neck.position_encoding, (side, side))
        self.memory_encoder.position_encoding = SharedPositions(
            self.memory_encoder.position_encoding, (side, side))

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Models whose settings differ from SAM 2.1's, nano and SAM 2.0, are as exact."""

from __future__ import annotations

from functools import cache

import pytest
from stock import differing, disc_mask, disc_xy, points, read_clip, StockSession, Stream

from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.models.loader import build_predictor, build_stock_predictor

END, REFINED, NOW = 26, 18, 22


@pytest.mark.parametrize('name', ['nano', 'sam2_hiera_tiny'])
def test_other_models_with_a_correction_equal_stock_on_every_frame(
        one_thread, clip_folder, name):
    config = ModelConfig(name, device='cpu', image_size=128)
    stock = StockSession(build_stock_predictor(config, random_weights=True), clip_folder)
    stock.prompt(1, 0, disc_mask(0, 0))
    expected = stock.propagate(0, NOW + 1)
    stock.prompt(1, REFINED, points([disc_xy(1, REFINED)]))
    expected |= stock.propagate(REFINED, END)

    model = build_predictor(config, random_weights=True)
    encode, pictures = Predictor(model).encode, read_clip(clip_folder)
    encoded = cache(lambda index: encode(pictures[index]))
    for batched in (False, True):
        stream = Stream(Predictor(model, batched=batched), encoded, look_back=NOW - REFINED)
        stream.add(1, 0, disc_mask(0, 0))
        stream.track(1, NOW + 1)
        stream.refine(1, REFINED, points([disc_xy(1, REFINED)]), NOW)
        stream.track(NOW + 1, END)
        assert differing(stream.results, expected) == []

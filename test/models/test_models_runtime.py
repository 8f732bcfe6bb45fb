# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""From settings to a predictor: whether several objects go through it together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('sam2')

from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine import batching
from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import Prompt
from sam2_tracker.models.loader import build_tracking_predictor

CONFIG = ModelConfig(device='cpu', image_size=96)


@pytest.mark.parametrize(('setting', 'passes'), [('auto', 0), ('never', 0), ('always', 1)])
def test_objects_share_a_pass_as_the_setting_says(setting: str, passes: int,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[int] = []
    forward = batching.BatchTracker.forward

    def counted(self, *arguments, **named):
        shared.append(1)
        return forward(self, *arguments, **named)

    monkeypatch.setattr(batching.BatchTracker, 'forward', counted)
    predictor = build_tracking_predictor(replace(CONFIG, batching=setting))
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    features = predictor.encode(picture)
    memories = [predictor.new_memory((48, 64)) for _ in range(2)]
    for x, memory in zip((10, 40), memories, strict=True):
        click = Prompt(points_xy=np.array([[x, 20]], np.float32),
                       point_labels=np.ones(1, np.int32))
        predictor.prompt(memory, 0, features, click, clear_previous=False)
    predictor.track([TrackStep(memory, 0, features) for memory in memories])
    predictor.track([TrackStep(memory, 1, features) for memory in memories])
    assert len(shared) == passes


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(ModelError, match="batching 'mostly' is none of auto, always, never"):
        build_tracking_predictor(replace(CONFIG, batching='mostly'))
    with pytest.raises(ModelError, match='batching has to be auto or always'):
        build_tracking_predictor(replace(CONFIG, batching='never', compile='full')).warm_up()

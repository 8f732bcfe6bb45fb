# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the offline tests share: the small random model and clip of the core's tests."""

from __future__ import annotations

from pathlib import Path
import sys
from typing import Any

import pytest

# The reference, stock SAM 2 over a folder, is the core's.
sys.path.append(str(Path(__file__).resolve().parent.parent / 'core'))


@pytest.fixture(scope='session')
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stock import write_clip

    return write_clip(tmp_path_factory.mktemp('clip'))


@pytest.fixture(scope='session')
def stock_model() -> Any:
    """Give stock SAM 2 with random weights, four conditioning frames."""
    from stock import build
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    return build()


@pytest.fixture(scope='session')
def predictor(stock_model: Any) -> Any:
    """Give our predictor with the same weights, looped: bit-identical."""
    from stock import build, OURS

    from sam2_tracker.core.predictor import Predictor

    model = build(target=OURS)
    model.load_state_dict(stock_model.state_dict())
    return Predictor(model)

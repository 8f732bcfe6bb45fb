# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the core's tests share: a small model with random weights, and a clip."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
import os
from pathlib import Path
from typing import Any

import pytest

# Stock SAM 2 draws a bar for every call; tqdm reads this when it is imported.
os.environ.setdefault('TQDM_DISABLE', '1')


@pytest.fixture(scope='session')
def one_thread() -> None:
    """Make torch round the same everywhere: with one thread."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@pytest.fixture(scope='session')
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stock import write_clip

    return write_clip(tmp_path_factory.mktemp('clip'))


@pytest.fixture(scope='session')
def stock_model(one_thread: None) -> Any:
    """Give stock SAM 2, four conditioning frames."""
    from stock import build

    return build()


@pytest.fixture(scope='session')
def predictor(one_thread: None, stock_model: Any) -> Any:
    """Give our predictor with the same weights, looped: bit-identical."""
    from sam2_tracker.core.engine.predictor import Predictor
    from stock import build, OURS

    model = build(target=OURS)
    model.load_state_dict(stock_model.state_dict())
    return Predictor(model)


@pytest.fixture(scope='module')
def encoded_once(predictor: Any) -> Any:
    """Give that predictor; what it encoded before in a module it does not encode again."""
    from stock import EncodedOnce

    return EncodedOnce(predictor)


@pytest.fixture(scope='session')
def encoded(predictor: Any, clip_folder: Path) -> Callable[[int], Any]:
    """Give the features of the clip's frames, each computed once."""
    from stock import read_clip

    pictures = read_clip(clip_folder)
    return cache(lambda index: predictor.encode(pictures[index]))

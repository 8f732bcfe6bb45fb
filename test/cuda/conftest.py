# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Tests that need a GPU: skipped, with the reason, where there is none."""

from __future__ import annotations

from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / 'core'))


@pytest.fixture(scope='session', autouse=True)
def needs_cuda() -> None:
    """Skip where torch finds no GPU."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip(f'torch {torch.__version__} finds no GPU here; `python -m '
                    'benchmarks.gpu.carry` makes a folder that takes these tests to one')


@pytest.fixture(scope='session')
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stock import write_clip

    return write_clip(tmp_path_factory.mktemp('clip'))

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of models share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope='module')
def with_one_thread() -> Iterator[None]:
    """Make torch round the same everywhere."""
    torch = pytest.importorskip('torch')
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

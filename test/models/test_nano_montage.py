# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What nano follows in one shot of the demo's montage is not called visible in the next."""

from __future__ import annotations

from benchmarks.beliefs import CUTS, follow_montage
from demo.fetch_clip import VIDEO
import pytest

# They live on in the next shot without `cuts`; `python -m benchmarks.robustness cuts` has all.
NAMES = frozenset({'roof', 'bag'})


@pytest.mark.skipif(not VIDEO.exists(), reason=f'no {VIDEO}: python -m demo.fetch_clip')
def test_no_object_of_one_shot_is_visible_in_the_next() -> None:
    found = follow_montage('stock', cuts=True, names=NAMES)
    assert found.cuts == list(CUTS)
    assert found.own.keys() == NAMES and min(found.own.values()) > 20
    assert sum(found.next_shot.values()) == 0

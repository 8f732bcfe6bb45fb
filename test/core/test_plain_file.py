# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Files of a user, read whole."""

from __future__ import annotations

from pathlib import Path
import tracemalloc

import pytest
from sam2_tracker.core.plain_file import read_whole


def test_reading_takes_memory_for_what_is_there_not_for_what_may_be(tmp_path: Path) -> None:
    file = tmp_path / 'small'
    file.write_bytes(b'small')
    tracemalloc.start()
    try:
        assert read_whole(file, 1 << 31) == b'small'
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_file_of_more_than_the_most_is_refused_with_both_sizes(tmp_path: Path) -> None:
    file = tmp_path / 'large'
    file.write_bytes(bytes(11))
    assert read_whole(file, 11) == bytes(11)
    with pytest.raises(OSError, match='it has 11 bytes: at most 10 are read'):
        read_whole(file, 10)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""From repeated measurements to figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Half of the measurements are at most `p50`, 19 of 20 at most `p95`."""

    p50: float
    p95: float

    @property
    def shown(self) -> str:
        """Return both as text."""
        return f'{self.p50:.1f} / {self.p95:.1f}'


def spread(values: Sequence[float]) -> Spread:
    """
    Summarise repeated measurements.

    :raises ValueError: if there is none
    """
    if not values:
        raise ValueError('nothing was measured')
    ordered = np.asarray(values, float)
    return Spread(float(np.median(ordered)), float(np.quantile(ordered, 0.95)))


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """
    Fit a line by least squares and return what a value grows by for each 1 of `at`.

    :raises ValueError: with fewer than two different places
    """
    if len(set(at)) < 2:
        raise ValueError(f'a line needs two places or more, not {len(set(at))}')
    return float(np.polyfit(np.asarray(at, float), np.asarray(values, float), 1)[0])

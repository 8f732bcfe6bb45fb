# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The images that `benchmarks.transport` sends: sizes, rates and reliabilities."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Cell:
    """
    Images of one kind, three bytes a pixel.

    :param reliability: of publisher and subscriber: 'reliable' or 'best effort'
    """

    reliability: str
    width: int
    height: int
    rate_hz: int

    @property
    def name(self) -> str:
        """Return what its images carry as their frame."""
        return f'{self.reliability} {self.width}x{self.height} {self.rate_hz}'

    @property
    def megabytes(self) -> float:
        """Return the size of one image, in millions of bytes."""
        return 3 * self.width * self.height / 1e6


RELIABILITIES = ('reliable', 'best effort')
SIZES_WH = ((216, 160), (480, 360), (640, 480), (1280, 720), (1920, 1080))
RATES_HZ = (5, 15, 30)
CELLS = tuple(Cell(reliability, width, height, rate_hz)
              for reliability, (width, height), rate_hz
              in product(RELIABILITIES, SIZES_WH, RATES_HZ))

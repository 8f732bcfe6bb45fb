# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""From the labels of objects to the class numbers of data sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

UNLABELLED = 'object'


@dataclass(frozen=True)
class Classes:
    """
    The classes of all recordings of one run, so that their data sets fit together.

    :param names: in the order of their numbers, from 0
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: Iterable[str]) -> Classes:
        """Return the classes of these labels, in the order in which they come first."""
        return cls(tuple(dict.fromkeys(label or UNLABELLED for label in labels)))

    def number(self, label: str) -> int:
        """Return a label's class."""
        return self.names.index(label or UNLABELLED)

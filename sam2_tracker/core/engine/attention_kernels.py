# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Which kernel attends to memory on a GPU: from a table that was measured, the same in every run.

Apart: platform, it is CUDA's choice alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import sdpa_kernel, SDPBackend

TABLE = Path(__file__).with_suffix('.json')

_BACKENDS = {'flash': SDPBackend.FLASH_ATTENTION, 'cudnn': SDPBackend.CUDNN_ATTENTION,
             'efficient': SDPBackend.EFFICIENT_ATTENTION, 'math': SDPBackend.MATH}


@dataclass(frozen=True)
class Choice:
    """
    How to attend.

    :param kernel: flash, cudnn, efficient or math; '' for torch's own choice
    :param folds: attend to memory as it is and project what was attended to, not all of memory
    """

    kernel: str = ''
    folds: bool = False

    @contextlib.contextmanager
    def selected(self) -> Iterator[None]:
        """Let torch take this kernel first, and any other where it cannot run."""
        if not self.kernel:
            yield
            return
        first = _BACKENDS[self.kernel]
        others = [each for each in _BACKENDS.values() if each is not first]
        with sdpa_kernel([first, *others], set_priority=True):
            yield


@dataclass(frozen=True)
class AttentionKernels:
    """
    The choices for one device.

    :param choices: by the least number of objects, ascending; empty leaves all to torch
    """

    choices: tuple[tuple[int, Choice], ...] = ()

    @classmethod
    def of(cls, device: torch.device, dtype: torch.dtype) -> AttentionKernels:
        """Return what the table has for a device: only for bfloat16, and only for CUDA."""
        if device.type != 'cuda' or dtype is not torch.bfloat16:
            return cls()
        return cls.from_rows(json.loads(TABLE.read_text())['rows'],
                             torch.cuda.get_device_capability(device))

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, Any]],
                  capability: tuple[int, int]) -> AttentionKernels:
        """Return the choices of the rows for a compute capability."""
        found = {int(row['from_objects']): Choice(row['kernel'], row['folds'])
                 for row in rows if tuple(row['capability']) == capability}
        return cls(tuple(sorted(found.items())))

    def choice(self, objects: int) -> Choice:
        """Return how to attend for so many objects in one pass."""
        fitting = [choice for least, choice in self.choices if least <= objects]
        return fitting[-1] if fitting else Choice()

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves even if it is cut off, the time that it has left, and what it measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import json
from pathlib import Path
import time
import traceback
from typing import Any

from benchmarks.clips import SHORTEST_CLIP
from benchmarks.ways import Setting
from sam2_tracker.core.config import ModelConfig

Hw = tuple[int, int]

# Seconds that a part is not begun in any more: it could say nothing.
LEAST_S = 3.0


class OutOfTimeError(Exception):
    """The budget is spent; what was measured so far counts."""


class Notes:
    """
    Writes each figure down when it is known, as a line of JSON, and watches the clock.

    :param path: of the lines; those of an earlier run are replaced
    :param budget_s: for everything from now on
    """

    def __init__(self, path: Path, budget_s: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines = path.open('w')
        self._begun_s = time.monotonic()
        self._budget_s = budget_s
        self.rows: list[dict[str, Any]] = []

    def add(self, part: str, **figures: Any) -> None:
        """Note figures of a part."""
        row = {'part': part, **figures, 'at_s': round(self.passed_s, 1)}
        self.rows.append(row)
        line = json.dumps(row)
        print(line, flush=True)
        self._lines.write(line + '\n')
        self._lines.flush()

    @property
    def passed_s(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._begun_s

    def check(self) -> None:
        """
        Go on only if there is time.

        :raises OutOfTimeError: if there is none
        """
        if self.passed_s > self._budget_s:
            raise OutOfTimeError

    def run(self, part: str, work: Callable[[], None]) -> None:
        """Let a part fail or run late without losing the rest."""
        if self.passed_s > self._budget_s - LEAST_S:
            self.add(part, skipped='no time was left')
            return
        try:
            work()
        except OutOfTimeError:
            self.add(part, cut_off='the time was up')
        except Exception as error:  # noqa: BLE001 - the other parts have their own to say
            traceback.print_exc()
            self.add(part, failed=f'{type(error).__name__}: {str(error)[:300]}')

    def close(self) -> None:
        """End."""
        self._lines.close()


@dataclass(frozen=True)
class Row:
    """A model that tracks so many objects in pictures of one size."""

    model: str
    objects: int
    hw: Hw = (480, 640)


@dataclass(frozen=True)
class Plan:
    """
    What is measured, in this order until the time is up.

    :param rows: of the table of speed
    :param image_size: side of the models' input, 0 for their own
    :param stock_frames: that count, after `warm_up`
    :param our_frames: likewise
    :param exact_frames: of the real clip
    :param resized: sizes of pictures whose resize is compared
    :param counts: of objects where stages and attention are timed
    """

    device: str
    rows: tuple[Row, ...]
    image_size: int = 0
    warm_up: int = 16
    stock_frames: int = 8
    our_frames: int = 40
    exact_frames: int = 30
    resized: tuple[Hw, ...] = ((480, 640), (720, 1280), (1080, 1920), (1920, 1080), (854, 480))
    counts: tuple[int, ...] = field(default=(1, 16))

    @property
    def is_cuda(self) -> bool:
        """Tell whether it is for a GPU."""
        return self.device.partition(':')[0] == 'cuda'

    @property
    def clip_frames(self) -> int:
        """Return how many frames a clip needs."""
        return max(SHORTEST_CLIP, self.warm_up + max(self.stock_frames, self.our_frames))

    def setting(self, model: str, precision: str = 'bfloat16') -> Setting:
        """Return what all ways of a row have in common."""
        config = ModelConfig(model, device=self.device, image_size=self.image_size)
        return Setting(config, model != 'nano', precision)


_TINY, _LARGE, _BASE = ('sam2.1_hiera_tiny', 'sam2.1_hiera_large', 'sam2.1_hiera_base_plus')
_FULL_HD = (1080, 1920)


def plan_for(device: str) -> Plan:
    """Return the plan of a GPU, or a rehearsal at small sizes for a CPU."""
    if device.partition(':')[0] == 'cuda':
        rows = (*(Row(_TINY, count) for count in (1, 16, 4, 32)),
                *(Row(_TINY, count, _FULL_HD) for count in (1, 16)),
                *(Row(model, count) for model in (_LARGE, _BASE) for count in (1, 16)),
                Row('nano', 1))
        return Plan(device, rows)
    return Plan(device, (Row('nano', 1, (60, 80)), Row('nano', 2, (60, 80))), image_size=64,
                warm_up=2, stock_frames=2, our_frames=4, exact_frames=4,
                resized=((48, 64), (85, 48)), counts=(1, 2))

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Figures, what they should be, and what they were when last committed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import re

RESULTS = Path(__file__).resolve().parents[1] / 'training' / 'RESULTS.md'
COMMITTED = '## Committed figures'


@dataclass(frozen=True)
class Target:
    """
    A figure that issue or design asks for.

    :ivar wanted: None for a figure that is only not to fall
    :ivar slack: share by which a new measurement may be worse than the committed one; figures
        from pixels repeat, time depends on what else the machine does
    """

    name: str
    wanted: float | None = None
    at_most: bool = False
    slack: float = 0.005

    def met(self, figure: float) -> bool:
        """Tell whether a figure is as wanted, if anything is."""
        if self.wanted is None:
            return True
        return figure <= self.wanted if self.at_most else figure >= self.wanted

    def verdict(self, figure: float) -> tuple[str, str]:
        """Say what is wanted and whether it is met, for a table."""
        if self.wanted is None:
            return '-', ''
        return (f'{"<=" if self.at_most else ">="} {self.wanted:g}',
                'met' if self.met(figure) else '**not met**')

    def worse(self, figure: float, committed: float) -> bool:
        """Tell whether a figure fell behind the committed one."""
        if self.at_most:
            return figure > committed * (1 + self.slack)
        return figure < committed * (1 - self.slack)


TARGETS = (
    Target('J&F, mask', 0.80),
    Target('J&F, box', 0.77),
    Target('J&F, click', 0.74),
    Target('J&F, dogs-jump', slack=0.01),
    Target('J&F, chair', slack=0.01),
    Target('J&F beside a look-alike', slack=0.01),
    Target('states right in covered clips', 0.90),
    Target('states right with 60 frames away', slack=0.01),
    Target('J after 60 frames away', slack=0.01),
    Target('frames a second', 20.0, slack=0.5),
    Target('frames a second, one thread', slack=0.5),
    Target('size of the weights, MB', 15.0, at_most=True),
)


def committed_figures(text: str) -> dict[str, float]:
    """
    Read the table under the heading ``Committed figures`` of ``RESULTS.md``.

    :raises ValueError: if there is no such heading
    """
    if COMMITTED not in text:
        raise ValueError(f'RESULTS.md has no heading {COMMITTED!r}')
    section = text.split(COMMITTED, 1)[1].split('\n## ', 1)[0]
    rows = re.findall(r'^\|\s*([^|]+?)\s*\|\s*([0-9.]+)\s*\|', section, re.MULTILINE)
    return {name: float(figure) for name, figure in rows}


def target_table(figures: dict[str, float], committed: dict[str, float]) -> str:
    """Lay figures out as a Markdown table: what was wanted, measured and committed."""
    lines = ['| figure | measured | target | | last committed |', '|---|---|---|---|---|']
    for target in TARGETS:
        if target.name not in figures:
            continue
        figure = figures[target.name]
        wanted, verdict = target.verdict(figure)
        before = committed.get(target.name)
        lines.append(f'| {target.name} | {figure:.3f} | {wanted} | {verdict} | '
                     f'{"-" if before is None else f"{before:.3f}"} |')
    return '\n'.join(lines)


def fallen_behind(figures: dict[str, float], committed: dict[str, float]) -> list[str]:
    """Name the figures that are worse than the committed ones."""
    return [f'{target.name}: {figures[target.name]:.3f}, committed {committed[target.name]:.3f}'
            for target in TARGETS if target.name in figures and target.name in committed
            and target.worse(figures[target.name], committed[target.name])]

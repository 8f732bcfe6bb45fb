# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a soak may cost: every bound and the settling time in one place, and the judgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
import itertools
import statistics

_MOST_PAIRS = 200_000


@dataclass(frozen=True)
class Bounds:
    """
    What counts as broken.

    :param settling_s: not judged: libraries load, the allocator finds its size, the buffer fills
    :param settling_share: of the run, where that is longer
    :param shortest_s: settled part from which on a slope says something
    :param memory_kib_a_frame: growth of the node's own memory, by a robust line
    :param memory_noise_mib: growth over the settled part that is none: memory breathes with the
        number of objects and subscribers, so short runs find large leaks only
    :param handles: growth over the settled part, by a robust line
    :param threads: likewise
    :param disk_share: of buffer.max_bytes that may be on disk
    """

    settling_s: float = 90.0
    settling_share: float = 0.3
    shortest_s: float = 180.0
    memory_kib_a_frame: float = 2.0
    memory_noise_mib: float = 8.0
    handles: float = 8.0
    threads: float = 4.0
    disk_share: float = 1.1
    unanswered: int = 0
    lost_frames: int = 0
    silently_lost_frames: int = 0

    def settled_from_s(self, run_s: float) -> float:
        """Return when the judged part begins."""
        return max(self.settling_s, self.settling_share * run_s)


@dataclass(frozen=True)
class Sample:
    """The node at one moment; `frames` counts results."""

    at_s: float
    frames: int
    memory_kib: int
    handles: int
    threads: int
    disk_bytes: int


@dataclass
class Outcome:
    """
    What a soak came to.

    :param ended: why the node is not running any more, '' if it is
    :param unanswered: requests without a reply, by name
    :param sent: pictures that have to have a result
    :param missing: of these, without one
    :param counted_lost: 'frames lost' on /diagnostics
    :param left_behind: files in the buffer's folder after the end
    :param mistakes: of the soak itself: of an operator or subscriber that ended early
    """

    samples: list[Sample] = field(default_factory=list)
    requests: int = 0
    unanswered: list[str] = field(default_factory=list)
    sent: int = 0
    missing: int = 0
    counted_lost: int = 0
    max_bytes: int = 0
    ended: str = ''
    exit_code: int | None = 0
    left_behind: int = 0
    mistakes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """
    A row of the table.

    :param holds: None where the run was too short to judge it
    """

    what: str
    measured: str
    bound: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        """Return the row's verdict in a word."""
        return {None: 'too short to judge', True: 'holds', False: '**broken**'}[self.holds]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """
    Return the median of the slopes of all pairs (Theil and Sen): outliers do not move it.

    :returns: 0 if there are no two different xs
    """
    points = list(zip(xs, ys, strict=True))
    # Pairs grow with the square: thinned out evenly, hours fit too.
    step = max(1, len(points) ** 2 // 2 // _MOST_PAIRS)
    pairs = itertools.islice(itertools.combinations(points, 2), 0, None, step)
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0])
              for earlier, later in pairs if later[0] != earlier[0]]
    return statistics.median(slopes) if slopes else 0.0


def judge(outcome: Outcome, bounds: Bounds) -> list[Row]:
    """Hold what a soak came to against the bounds."""
    run_s = outcome.samples[-1].at_s if outcome.samples else 0.0
    begin_s = bounds.settled_from_s(run_s)
    settled = [each for each in outcome.samples if each.at_s >= begin_s]
    is_long_enough = bool(settled) and run_s - begin_s >= bounds.shortest_s

    def growing(what: str, value: float, unit: str, bound: float) -> Row:
        return Row(what, f'{value:.2f} {unit}', f'at most {bound:g}',
                   value <= bound if is_long_enough else None)
    seconds = [each.at_s for each in settled]

    def grown(figure: Callable[[Sample], float]) -> float:
        settled_s = seconds[-1] - seconds[0] if seconds else 0.0
        return slope(seconds, [figure(each) for each in settled]) * settled_s
    return [
        _memory(settled, bounds, is_long_enough),
        growing('open handles, settled', grown(lambda each: each.handles), 'more', bounds.handles),
        growing('threads, settled', grown(lambda each: each.threads), 'more', bounds.threads),
        *_counts(outcome, bounds)]


def _memory(settled: Sequence[Sample], bounds: Bounds, is_long_enough: bool) -> Row:
    kib_a_frame = slope([each.frames for each in settled], [each.memory_kib for each in settled])
    frames = settled[-1].frames - settled[0].frames if settled else 0
    grown_mib = kib_a_frame * frames / 1024
    holds = kib_a_frame <= bounds.memory_kib_a_frame or grown_mib <= bounds.memory_noise_mib
    return Row('memory, settled', f'{kib_a_frame:.2f} KiB a frame, {grown_mib:.1f} MiB in all',
               f'at most {bounds.memory_kib_a_frame:g} KiB a frame, or '
               f'{bounds.memory_noise_mib:g} MiB', holds if is_long_enough else None)


def _counts(outcome: Outcome, bounds: Bounds) -> list[Row]:
    disk = max((each.disk_bytes for each in outcome.samples), default=0)
    most = round(outcome.max_bytes * bounds.disk_share)
    silently = max(0, outcome.missing - outcome.counted_lost)
    clean = outcome.exit_code == 0
    return [
        Row('disk, at most', f'{disk / 1024:.0f} KiB', f'at most {most / 1024:.0f} KiB',
            disk <= most),
        _count('unanswered requests', len(outcome.unanswered), outcome.requests,
               bounds.unanswered, ', '.join(sorted(set(outcome.unanswered)))),
        _count('lost frames under `every`', outcome.missing, outcome.sent, bounds.lost_frames),
        _count('of these counted nowhere', silently, outcome.missing,
               bounds.silently_lost_frames),
        Row('the node', outcome.ended or 'ran to the end', 'runs to the end', not outcome.ended),
        Row('its end', 'exit code 0' if clean else f'exit code {outcome.exit_code}',
            'exit code 0 after SIGINT', clean),
        Row('files left behind', str(outcome.left_behind), 'none', outcome.left_behind == 0),
        Row('mistakes of the soak itself', '; '.join(outcome.mistakes) or 'none', 'none',
            not outcome.mistakes)]


def _count(what: str, number: int, of: int, bound: int, names: str = '') -> Row:
    return Row(what, f'{number} of {of}' + (f' ({names})' if names else ''), f'at most {bound}',
               number <= bound)

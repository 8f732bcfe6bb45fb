# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Figures against targets and against the last committed ones."""

from __future__ import annotations

from benchmarks.figures import (
    committed_figures,
    fallen_behind,
    RESULTS,
    Target,
    target_table,
    TARGETS,
)
import pytest

TEXT = """# Results

## Committed figures

| figure | value |
|---|---|
| J&F, mask | 0.700 |
| size of the weights, MB | 11.4 |

## Runs

| J&F, mask | 0.100 |
"""


def test_committed_figures_come_from_their_own_section_only() -> None:
    assert committed_figures(TEXT) == {'J&F, mask': 0.7, 'size of the weights, MB': 11.4}


def test_results_without_the_section_are_refused() -> None:
    with pytest.raises(ValueError, match='no heading'):
        committed_figures('# Results')


def test_the_committed_results_have_every_figure_that_pixels_decide() -> None:
    """Time depends on the machine: it is committed where one was idle enough to measure it."""
    wanted = {target.name for target in TARGETS} - {
        'frames a second', 'frames a second, one thread'}
    assert set(committed_figures(RESULTS.read_text())) >= wanted


def test_a_figure_below_the_committed_one_is_named() -> None:
    committed = committed_figures(TEXT)
    assert fallen_behind({'J&F, mask': 0.699}, committed) == []
    assert fallen_behind({'J&F, mask': 0.65}, committed) == [
        'J&F, mask: 0.650, committed 0.700']


def test_a_larger_file_counts_as_worse() -> None:
    assert fallen_behind({'size of the weights, MB': 12.0}, committed_figures(TEXT))


def test_a_figure_that_was_never_committed_cannot_fall() -> None:
    assert fallen_behind({'J&F, box': 0.1}, committed_figures(TEXT)) == []


@pytest.mark.parametrize(('figure', 'met'), [(0.6, True), (0.59, False)])
def test_a_target_is_met_from_the_wanted_figure_on(figure: float, met: bool) -> None:
    assert Target('J&F, mask', 0.6).met(figure) is met
    assert Target('J&F, mask', 0.6).verdict(figure) == (
        '>= 0.6', 'met' if met else '**not met**')


def test_the_table_says_of_each_figure_what_is_wanted_and_whether_it_is_met() -> None:
    table = target_table({'J&F, mask': 0.9, 'J&F, box': 0.1, 'J&F, chair': 0.3},
                         {'J&F, box': 0.2})
    assert '| J&F, mask | 0.900 | >= 0.8 | met | - |' in table
    assert '| J&F, box | 0.100 | >= 0.77 | **not met** | 0.200 |' in table
    assert '| J&F, chair | 0.300 | - |  | - |' in table, 'nothing is asked of it'


def test_a_figure_of_which_nothing_is_asked_must_not_fall_all_the_same() -> None:
    assert fallen_behind({'J&F, chair': 0.5}, {'J&F, chair': 0.6}) == [
        'J&F, chair: 0.500, committed 0.600']

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The fuzzer finds what there is, repeats it by its seed, and finds nothing in a while."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
import subprocess
import sys
import time

import pytest
from reliability import fuzz as fuzzing
from reliability.fuzz import feed_one, report, Tally, TARGET_NAMES, Watched
from reliability.mutations import mutate, mutate_tree, mutate_words

# Some seconds for each, most of them for imports; the same inputs on every machine.
INPUTS = {'messages': 4000, 'prompts_file': 300, 'memory_file': 500, 'jpeg': 1000}


class OwnError(Exception):
    """Stands for the package's own sentences."""


def tally_of(feed, count: int = 1) -> Tally:
    tally = Tally()
    for number in range(count):
        feed_one(feed, f'made:1:{number}', OwnError, tally)
    return tally


def test_a_sentence_of_the_package_is_a_refusal_and_no_finding() -> None:
    def feed(_: Random) -> None:
        raise OwnError('too large')
    tally = tally_of(feed)
    assert (tally.refused, tally.findings) == (1, {})


def test_any_other_error_is_a_finding_with_the_input_that_repeats_it() -> None:
    def feed(random: Random) -> None:
        if random.random() < 0.2:
            raise IndexError('out of range')
    tally = tally_of(feed, 50)
    (found,) = tally.findings.values()
    assert 0 < sum(tally.counts.values()) < 50
    assert f'--repeat {found.case}' in report('made', tally)
    with pytest.raises(IndexError):
        feed(Random(found.case))


def test_an_input_that_takes_too_long_is_interrupted_and_found(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, 'INPUT_LIMIT_S', 0.2)

    def feed(_: Random) -> None:
        end_s = time.monotonic() + 30.0
        while time.monotonic() < end_s:
            pass
    tally = tally_of(feed)
    assert [each.kind for each in tally.findings.values()] == ['TooSlowError']
    assert tally.slowest_s < 10


class DiesAt(Watched):
    """A target's process that dies at an input."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._case = folder, 'made:1'
        code = (f'import os\nopen({str(folder / "at")!r}, "wb").write((5).to_bytes(8, "little"))\n'
                'os.kill(os.getpid(), 11)')
        (folder / 'stderr.txt').touch()
        self._process = subprocess.Popen([sys.executable, '-c', code])


def test_an_input_that_kills_the_process_is_found_by_its_number(tmp_path: Path) -> None:
    tally, number = DiesAt(tmp_path).wait()
    (found,) = tally.findings.values()
    assert (number, found.case, found.kind) == (5, 'made:1:5', 'exit code -11')


def test_equal_seeds_change_inputs_equally_and_others_do_not() -> None:
    content = os.urandom(300)
    assert mutate(content, Random('a:1:1')) == mutate(content, Random('a:1:1'))
    changed = {mutate(content, Random(f'a:1:{number}')) for number in range(50)}
    assert len(changed) > 40


def test_trees_and_words_stay_writable() -> None:
    for number in range(300):
        tree = {'__metadata__': {'objects': 'x'}, '0.maps': {'shape': [1, 2], 'dtype': 'F32'}}
        mutate_tree(tree, Random(number))
        json.dumps(tree)
        assert isinstance(mutate_words(b'a: 1\nb: 2\n', ('null',), Random(number)), bytes)


def test_every_target_is_fuzzed_here() -> None:
    assert set(INPUTS) == set(TARGET_NAMES)


@pytest.mark.parametrize(('target', 'count'), INPUTS.items())
def test_nothing_is_found_in_a_short_while(target: str, count: int) -> None:
    tally = fuzzing.fuzz(target, seed=1, seconds=60.0, most=count)
    assert tally.fed == count
    assert tally.accepted and tally.refused, 'the inputs are all of one kind'
    assert not tally.findings, report(target, tally)

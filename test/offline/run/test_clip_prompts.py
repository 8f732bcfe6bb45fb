# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts find their frames, and those that cannot are refused with file and line."""

from __future__ import annotations

from pathlib import Path

from bag_making import FIRST_NS, stamps
import pytest
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.prompts.file import load_prompt_file
from sam2_tracker.offline.run.clip_prompts import ClipPrompts

COUNT = 6


def prompts_from(tmp_path: Path, *whens: str) -> ClipPrompts:
    lines = ['prompts:']
    for number, when in enumerate(whens, 1):
        lines += [f'  - {when}', f'    object: {number}', '    points: [[5, 5]]']
    path = tmp_path / 'prompts.yaml'
    path.write_text('\n'.join(lines) + '\n')
    return ClipPrompts(load_prompt_file(path).prompts)


def frames_of(prompts: ClipPrompts) -> dict[int, int]:
    """Play the stamps and return on which frame each object is prompted."""
    found = {}
    times = stamps(COUNT)
    for number, stamp_ns in enumerate(times):
        after = times[number + 1] if number + 1 < COUNT else None
        for each in prompts.due(stamp_ns, after):
            found[each.prompt.object_id] = number
    return found


@pytest.mark.parametrize(
    ('when', 'frame'),
    [
        ('frame: 0', 0),
        ('frame: 3', 3),
        ('frame: 5', 5),
        ('time_s: 0', 0),
        ('time_s: 0.08', 2),
        ('time_s: 0.0801', 2),
        ('time_s: 0.081', 3),
        ("stamp: '1700000000.000000000'", 0),
        ("stamp: '1700000000.079'", 2),
        ("stamp: '1700000000.061'", 2),
        ("stamp: '1700000000.059'", 1),
        ("stamp: '1700000000.250'", 5),
        ("stamp: '1699999999.950'", 0),
    ],
)
def test_a_prompt_is_due_on_its_frame_once(tmp_path: Path, when: str, frame: int):
    prompts = prompts_from(tmp_path, when)
    assert frames_of(prompts) == {1: frame}
    prompts.check_all_used()


def test_prompts_of_one_frame_keep_the_files_order(tmp_path: Path):
    prompts = prompts_from(tmp_path, 'frame: 2', 'time_s: 0.08', 'frame: 2')
    prompts.due(FIRST_NS, None), prompts.due(FIRST_NS + 40_000_000, None)
    due = prompts.due(FIRST_NS + 80_000_000, None)
    assert [each.prompt.object_id for each in due] == [1, 2, 3]


@pytest.mark.parametrize(
    ('when', 'reason'),
    [
        (
            'frame: 6',
            r'prompts\.yaml, line 2 .*: frame 6 is outside the source: it has frames 0 to 5',
        ),
        ('time_s: 7.5', r'line 2 .*: time_s 7\.5 is outside the source: .*0\.200 s'),
        ("stamp: '1700000000.400'", r"stamp '1700000000\.400000000' is outside .*000000000 to 17"),
    ],
)
def test_a_prompt_behind_the_end_is_refused(tmp_path: Path, when: str, reason: str):
    prompts = prompts_from(tmp_path, when)
    frames_of(prompts)
    with pytest.raises(PromptError, match=reason):
        prompts.check_all_used()


def test_a_frame_behind_the_end_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(PromptError, match=r'line 5 .*: frame 9 is outside the source'):
        prompts_from(tmp_path, 'frame: 5', 'frame: 9').check_frames(COUNT)


def test_a_stamp_before_the_beginning_is_refused_on_the_first_frame(tmp_path: Path):
    prompts = prompts_from(tmp_path, "stamp: '1600000000.0'")
    with pytest.raises(PromptError, match=r'first frame has 1700000000\.000000000'):
        prompts.due(FIRST_NS, None)


def test_pixels_are_checked_before_any_work(tmp_path: Path):
    prompts = prompts_from(tmp_path, 'frame: 3')
    prompts.check_pixels((10, 10))
    with pytest.raises(PromptError, match=r'line 2 .*: object 1: point \(5, 5\) outside 4x4'):
        prompts.check_pixels((4, 4))

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking back from a prompt equals stock SAM 2's reverse propagation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sam2_tracker.core.config import TrackingConfig
from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.log import silent
from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.core.types import ObjectState, Prompt, Wanted
from sam2_tracker.offline.run.both_ways import BothWays
from sam2_tracker.offline.run.clip import Clip
from sam2_tracker.offline.run.clip_prompts import ClipPrompts
from sam2_tracker.offline.sinks.sink import Result
from sam2_tracker.offline.sources.timeline import Clock, Timeline
from sam2_tracker.offline.sources.video import FolderSource

CONFIG = TrackingConfig(look_back_frames=1)
FRAMES = 24
LAST = FRAMES - 1


@pytest.fixture(scope='module')
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stock import write_clip

    return write_clip(tmp_path_factory.mktemp('short'), FRAMES)


def at(frame: int, object_id: int, prompt: Prompt) -> FilePrompt:
    return FilePrompt('here', frame, None, None, '', replace(prompt, object_id=object_id))


def track_both_ways(
    predictor: Any,
    folder: Path,
    spool: Path,
    prompts: Sequence[FilePrompt],
    config: TrackingConfig = CONFIG,
) -> list[Result]:
    clip = Clip(predictor, ClipPrompts(prompts), (), config, silent)
    ways = BothWays(clip, predictor, config, spool, lambda count: lambda: None)
    frames = Timeline(folder, Clock.HEADER, silent).frames(FolderSource(folder).frames())
    return list(ways.track(frames, Wanted(label_image=True, masks=True)))


def stock_both_ways(
    model: Any, folder: Path, object_id: int, prompts: Sequence[FilePrompt]
) -> dict[int, np.ndarray]:
    """Prompt, propagate to the next prompt, and so on to the end; then reverse from the first."""
    from stock import StockSession

    session = StockSession(model, folder)
    logits = {}
    own = [each for each in prompts if each.prompt.object_id == object_id]
    stops = [each.frame for each in own[1:]] + [LAST]
    for each, stop in zip(own, stops, strict=True):
        session.prompt(object_id, each.frame, each.prompt)
        for (index, _), found in session.propagate(each.frame, stop + 1).items():
            logits[index] = found.numpy()
    first = own[0].frame
    backward = model.propagate_in_video(session.state, start_frame_idx=first, reverse=True)
    for index, _, found in backward:
        if index < first:
            logits[index] = found[0, 0].numpy().copy()
    return logits


@pytest.fixture(scope='module')
def prompts() -> list[FilePrompt]:
    """Give objects prompted at the beginning, the end, once, and more often than remembered."""
    from stock import box, disc_mask, disc_xy, points

    several = [at(index, 2, points([disc_xy(0, index)])) for index in (3, 5, 9, 14, 16, LAST)]
    return [
        at(0, 1, box(20, 20, 60, 60)),
        *several,
        at(17, 3, points([disc_xy(1, 17)])),
        at(LAST, 4, disc_mask(2, LAST)),
    ]


@pytest.fixture(scope='module')
def results(
    predictor: Any,
    short_clip: Path,
    prompts: list[FilePrompt],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Result]:
    return track_both_ways(
        predictor, short_clip, tmp_path_factory.mktemp('spool') / 'spool', prompts
    )


@pytest.fixture(scope='module')
def expected(
    stock_model: Any, short_clip: Path, prompts: list[FilePrompt]
) -> dict[int, dict[int, np.ndarray]]:
    return {
        number: stock_both_ways(stock_model, short_clip, number, prompts)
        for number in (1, 2, 3, 4)
    }


def test_every_frame_has_a_result_in_order(results: list[Result]) -> None:
    assert [result.number for result in results] == list(range(FRAMES))
    for result in results:
        objects = result.tracked.objects
        assert [item.id for item in objects] == [1, 2, 3, 4]
        assert all(item.state is not ObjectState.UNKNOWN for item in objects)


@pytest.mark.parametrize('object_id', [1, 2, 3, 4])
def test_masks_equal_stocks_forward_and_reverse(
    results: list[Result], expected: dict[int, dict[int, np.ndarray]], object_id: int
) -> None:
    for result in results:
        mask = result.tracked.masks[object_id - 1]
        assert np.array_equal(mask, expected[object_id][result.number] > 0)


def test_overlaps_go_to_the_highest_logit_whichever_pass_it_comes_from(
    results: list[Result], expected: dict[int, dict[int, np.ndarray]]
) -> None:
    for result in results:
        logits = np.stack([expected[number][result.number] for number in (1, 2, 3, 4)])
        label = np.where(logits.max(0) > 0, logits.argmax(0) + 1, 0)
        assert np.array_equal(result.tracked.label_image, label)


def test_the_pass_back_depends_on_the_frames_after_the_prompt(
    stock_model: Any,
    short_clip: Path,
    prompts: list[FilePrompt],
    expected: dict[int, dict[int, np.ndarray]],
) -> None:
    """Otherwise the tests above would prove nothing about the memory of the forward pass."""
    from stock import StockSession

    alone = StockSession(stock_model, short_clip)
    [prompt] = [each for each in prompts if each.prompt.object_id == 3]
    alone.prompt(3, 17, prompt.prompt)
    backward = stock_model.propagate_in_video(
        alone.state, start_frame_idx=17, max_frame_num_to_track=3, reverse=True
    )
    found = {index: logits[0, 0].numpy().copy() for index, _, logits in backward}
    assert not np.array_equal(found[15], expected[3][15])


def test_prompts_on_the_first_frame_need_no_pass_back_and_no_disk(
    predictor: Any, tmp_path: Path
) -> None:
    from stock import disc_xy, points, write_clip

    (tmp_path / 'clip').mkdir()
    clip = write_clip(tmp_path / 'clip', 3)
    spool = tmp_path / 'spool'
    prompts = [at(0, 1, points([disc_xy(0, 0)]))]
    assert len(track_both_ways(predictor, clip, spool, prompts)) == 3
    assert list(spool.iterdir()) == []


def test_a_prompt_behind_the_end_is_refused_before_the_pass_back(
    predictor: Any, tmp_path: Path
) -> None:
    from stock import disc_xy, points, write_clip

    (tmp_path / 'clip').mkdir()
    clip = write_clip(tmp_path / 'clip', 3)
    prompts = [at(99, 1, points([disc_xy(0, 0)]))]
    with pytest.raises(PromptError, match='outside the source'):
        track_both_ways(predictor, clip, tmp_path / 'spool', prompts)


@pytest.mark.parametrize('stride', [3, 5])
def test_the_pass_back_equals_stocks_whatever_the_stride_of_the_memories(
    predictor: Any,
    stock_model: Any,
    short_clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stride: int,
) -> None:
    from sam2_tracker.core.engine.predictor import Predictor
    from stock import disc_xy, points

    for model in (stock_model, predictor.model):
        monkeypatch.setattr(model, 'memory_temporal_stride_for_eval', stride)
    prompts = [at(index, 1, points([disc_xy(1, index)])) for index in (14, 17)]
    ways = track_both_ways(Predictor(predictor.model), short_clip, tmp_path / 'spool', prompts)
    expected = stock_both_ways(stock_model, short_clip, 1, prompts)
    for result in ways:
        assert np.array_equal(result.tracked.masks[0], expected[result.number] > 0)


def test_going_back_over_a_cut_hides_an_object_as_going_on_does(
    predictor: Any, tmp_path: Path
) -> None:
    from PIL import Image
    from sam2_tracker.core.engine.memory.belief import BeliefRule
    from sam2_tracker.core.engine.predictor import Predictor
    from stock import disc_mask, write_clip

    (tmp_path / 'clip').mkdir()
    folder = write_clip(tmp_path / 'clip', 16)
    for path in sorted(folder.iterdir())[:6] + sorted(folder.iterdir())[12:]:
        tinted = np.asarray(Image.open(path)) * np.array([1, 0.3, 0.1])
        Image.fromarray(tinted.astype(np.uint8)).save(path, quality=95)
    own = Predictor(predictor.model, beliefs=BeliefRule(cuts=True))
    results = track_both_ways(
        own, folder, tmp_path / 'spool', [at(9, 1, disc_mask(0, 9))], replace(CONFIG, cuts=True))
    shown = [[each.state is ObjectState.VISIBLE for each in result.tracked.objects]
             for result in results]
    assert shown == [[False]] * 6 + [[True]] * 6 + [[False]] * 4
    for result, (visible,) in zip(results, shown, strict=True):
        assert result.tracked.masks[0].any() == visible == result.tracked.label_image.any()

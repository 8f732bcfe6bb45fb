# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Learning on one small clip: losses, memory, gradients and the running average."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from training.attention import arithmetic, plain_attention
from training.losses import frame_losses, mask_losses, overlaps
from training.model import build_nano
from training.practice import choose_practice, draw_chances, LONG, SHORT
from training.prompts import KINDS, prompt
from training.soup import soup
from training.tracking import (
    _Run,
    Batch,
    Draws,
    Outcome,
    picture_features,
    Practice,
    track,
)
from training.trainer import Pace, Trainer
from training.weights import fit_memory_times, half_precision, load_start, scale_logits

SIZE = 64
FRAMES = 4


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def batch(device: str = 'cpu', frames: int = FRAMES) -> Batch:
    """One clip in which two squares move."""
    masks = torch.zeros(frames, 2, SIZE, SIZE, dtype=torch.bool)
    images = torch.zeros(frames, 3, SIZE, SIZE)
    for frame in range(frames):
        for index, left in enumerate((4 + 3 * frame, 40 - 3 * frame)):
            masks[frame, index, 12:44, left:left + 20] = True
            images[frame, index, 12:44, left:left + 20] = 2.0
    return Batch(images.to(device), masks.to(device), torch.ones(2, device=device), 1)


def run(model: torch.nn.Module, kind: str, device: str = 'cpu', correct_on: int | None = None,
        draws: Draws | None = None, train_trunk: bool = False) -> Outcome:
    drawn = batch(device)
    noise = torch.Generator('cpu').manual_seed(0)
    points = prompt(kind, batch().masks[0], noise)
    if points is not None and device != 'cpu':
        points = type(points)(points.coords.to(device), points.labels.to(device))
    draws = draws or draw_chances(batch(), 0.5, noise)
    draws = Draws(*(getattr(draws, name).to(device) for name in
                    ('true_memory', 'true_presence', 'candidates', 'places')))
    features = picture_features(model, drawn.images, train_trunk)
    return track(model, features, drawn, points, Practice(kind, (0, 1, 2, 3), correct_on), draws)


def test_the_loss_of_one_clip_falls_in_a_few_steps() -> None:
    trainer = Trainer(build_nano(SIZE), Pace(), average_steps=10)
    losses = []
    for _ in range(8):
        outcome = run(trainer.model, 'box')
        outcome.loss.backward()
        trainer.learn(1e-3)
        losses.append(outcome.loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(('trunk', 'learning'), [(0.0, False), (0.1, True)])
def test_the_trunk_learns_above_stride_eight_or_not_at_all(trunk: float, learning: bool) -> None:
    trainer = Trainer(build_nano(SIZE), Pace(trunk=trunk), average_steps=10)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    run(trainer.model, 'click', train_trunk=trainer.trains_trunk).loss.backward()
    trainer.learn(1e-3)
    after = trainer.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    of_trunk = {name.split('stages.')[1][0] for name in changed if '.trunk.stages.' in name}
    assert of_trunk == (set('3456') if learning else set())
    assert not any('.trunk.stem' in name for name in changed)
    assert not any('.trunk.' in name and '.depthwise.' in name for name in changed)
    assert any(name.startswith('sam_mask_decoder') for name in changed)


def test_parts_of_the_memory_learn_more_slowly_than_heads() -> None:
    pace = Pace(trunk=0.1, matched=0.2, memory=0.5)
    assert pace.of('image_encoder.trunk.stages.1.0.project.weight') == 0
    assert pace.of('memory_encoder.mask_downsampler.encoder.0.weight') == 0
    assert pace.of('image_encoder.trunk.stages.5.0.project.weight') == 0.1
    assert pace.of('memory_attention.layers.0.cross_attn_image.q_proj.weight') == 0.2
    assert pace.of('memory_attention.layers.0.linear1.weight') == 0.5
    assert pace.of('sam_mask_decoder.iou_token.weight') == 1.0


def test_weights_of_empty_rows_do_not_count() -> None:
    model = build_nano(SIZE)
    drawn = batch()
    features = picture_features(model, drawn.images, False)
    never = torch.zeros(2, dtype=torch.bool)
    draws = Draws(never, never, never, torch.rand(2, SIZE, SIZE))
    changed = drawn.masks.clone()
    changed[:, 1] = ~changed[:, 1]
    points = prompt('click', drawn.masks[0], torch.Generator().manual_seed(0))
    weights = torch.tensor([1.0, 0.0])
    losses = [track(model, features, Batch(drawn.images, masks, weights, 1), points,
                    Practice('click', (0, 1, 2, 3)), draws).loss.item()
              for masks in (drawn.masks, changed)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_of_prompt_gives_gradients_to_memory(kind: str) -> None:
    model = build_nano(SIZE)
    outcome = run(model, kind, correct_on=2)
    outcome.loss.backward()
    assert outcome.ious.shape == outcome.misjudged.shape == (FRAMES,)
    assert (outcome.ious[0] == 1) == (kind == 'mask')
    for part in (model.memory_attention, model.memory_encoder, model.obj_ptr_proj):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


@pytest.mark.parametrize('kind', KINDS)
def test_a_step_reads_nothing_back_from_its_device(kind: str) -> None:
    # on this device there are no values to read, so reading one raises
    outcome = run(build_nano(SIZE).to('meta'), kind, device='meta', correct_on=2)
    outcome.loss.backward()
    assert outcome.loss.is_meta


@pytest.mark.parametrize('number', [1, 2, 6, 11, 14])
def test_memory_is_read_as_sam_2_reads_it_in_use(number: int) -> None:
    model = build_nano(SIZE).eval()
    numbers = tuple(range(number + 1))
    drawn = batch(frames=number + 1)
    with torch.no_grad():
        features = picture_features(model, drawn.images, False)
        never = torch.zeros(2, dtype=torch.bool)
        going = _Run(model, features, drawn, None, Practice('mask', numbers),
                     Draws(never, never, never, torch.rand(2, SIZE, SIZE)))
        going.over_all_frames()
        now = features.of_frame(number, 1, 2)
        own = going._recall(number, now)
        kept = {'cond_frame_outputs': {}, 'non_cond_frame_outputs': {}}
        for each, frame in going.memory.items():
            kept['cond_frame_outputs' if frame.prompted else 'non_cond_frame_outputs'][each] = {
                'maskmem_features': frame.features, 'maskmem_pos_enc': [frame.positions],
                'obj_ptr': frame.pointer}
        theirs = model._prepare_memory_conditioned_features(
            frame_idx=number, is_init_cond_frame=False,
            current_vision_feats=[now.top.flatten(2).permute(2, 0, 1)],
            current_vision_pos_embeds=[going.places.expand(-1, 2, -1)],
            feat_sizes=[now.top.shape[-2:]], output_dict=kept, num_frames=1000)
    torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-5)


def test_plain_attention_gives_what_pytorchs_own_gives() -> None:
    model = build_nano(SIZE)
    own = run(model, 'box').loss
    with plain_attention():
        plain = run(model, 'box').loss
    torch.testing.assert_close(own, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('device', 'precision'), [('cpu', torch.float32),
                                                   ('cuda', torch.bfloat16)])
def test_a_cpu_computes_in_float32_and_a_gpu_in_bfloat16(
        device: str, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[tuple[str, torch.dtype]] = []
    monkeypatch.setattr(torch, 'autocast', lambda *kind: kinds.append(kind) or nullcontext())
    with arithmetic(torch.device(device)):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype is torch.float32
    assert kinds == ([] if precision is torch.float32 else [(device, precision)])


def test_a_right_mask_costs_less_than_a_shifted_one_and_an_inverted_one_most() -> None:
    truth = torch.zeros(3, 32, 32)
    truth[:, 8:24, 8:24] = 1
    right = truth[0] * 20 - 10
    logits = torch.stack([right, right.roll(6, 1), -right])
    costs = mask_losses(logits, truth).tolist()
    assert costs == sorted(costs)
    assert costs[0] < 0.01


def test_of_three_candidates_only_the_best_one_learns_its_mask() -> None:
    truth = torch.zeros(1, 32, 32)
    truth[:, 8:24, 8:24] = 1
    right = truth * 20 - 10
    logits = torch.stack([right, right.roll(3, 2), right.roll(9, 2), -right], 1) * 0.1
    logits.requires_grad_()
    frame_losses(logits, torch.full((1, 4), 0.5), torch.zeros(1, 1), truth,
                 torch.ones(1)).sum().backward()
    learned = logits.grad.abs().sum((0, 2, 3)) > 0
    assert learned.tolist() == [True, True, False, False]


def test_every_estimate_of_iou_learns() -> None:
    truth = torch.zeros(1, 32, 32)
    truth[:, 8:24, 8:24] = 1
    estimates = torch.full((1, 4), 0.5, requires_grad=True)
    frame_losses(torch.randn(1, 4, 32, 32), estimates, torch.zeros(1, 1), truth,
                 torch.ones(1)).sum().backward()
    assert (estimates.grad != 0).all()


def test_an_object_out_of_sight_costs_only_its_score() -> None:
    logits, truth = torch.randn(2, 4, 16, 16), torch.zeros(2, 16, 16)
    sure_absent = torch.tensor([[-10.0], [10.0]])
    costs = frame_losses(logits, torch.rand(2, 4), sure_absent, truth, torch.zeros(2))
    assert costs[0] < 0.001 < costs[1]


def test_the_overlap_of_two_empty_masks_is_one() -> None:
    assert overlaps(torch.full((1, 4, 4), -1.0), torch.zeros(1, 4, 4)).item() == 1.0


def test_unrolls_grow_longer_in_the_last_third_and_single_frames_get_no_mask() -> None:
    rng = np.random.default_rng(0)
    early = [choose_practice(rng, 0.3, 0.5) for _ in range(200)]
    late = [choose_practice(rng, 0.9, 0.5) for _ in range(200)]
    assert {practice.numbers for practice in early} == {(0,), *SHORT}
    assert {practice.numbers for practice in late} == {(0,), *SHORT, *LONG}
    for practice in early + late:
        if len(practice.numbers) == 1:
            assert practice.kind != 'mask'
            assert practice.correct_on is None
        elif practice.correct_on is not None:
            assert 0 < practice.correct_on < len(practice.numbers) - 1


def test_the_average_follows_the_weights_and_lends_itself_to_the_model() -> None:
    trainer = Trainer(build_nano(SIZE), Pace(), average_steps=4)
    name = 'sam_mask_decoder.iou_token.weight'
    start = trainer.average()[name].clone()
    run(trainer.model, 'box').loss.backward()
    trainer.learn(1e-2)
    now = trainer.model.state_dict()[name].clone()
    torch.testing.assert_close(trainer.average()[name], start + (now - start) / 4)
    with trainer.averaged() as model:
        assert torch.equal(model.state_dict()[name], trainer.average()[name])
    assert torch.equal(trainer.model.state_dict()[name], now)


def test_weights_beyond_half_precision_are_refused() -> None:
    with pytest.raises(ValueError, match='no_mem_embed'):
        half_precision({'no_mem_embed': torch.full((2,), 1e6)})


def test_fewer_remembered_frames_keep_the_newest_and_the_prompted_ones_code() -> None:
    times = torch.arange(7.0)
    kept = fit_memory_times({'maskmem_tpos_enc': times}, 4)['maskmem_tpos_enc']
    assert kept.tolist() == [0, 1, 2, 6]
    assert torch.equal(fit_memory_times({'maskmem_tpos_enc': times}, 7)['maskmem_tpos_enc'], times)
    with pytest.raises(ValueError, match='time codes of 7'):
        fit_memory_times({'maskmem_tpos_enc': times}, 8)


def test_a_start_is_divided_by_as_many_masks_as_were_sharpened(tmp_path: Path) -> None:
    state = build_nano(SIZE).state_dict()
    torch.save({'model': scale_logits(state, 5.0, masks=1)}, tmp_path / 'old.pt')
    torch.save({'model': scale_logits(state, 5.0)}, tmp_path / 'new.pt')
    torch.save(state, tmp_path / 'bare.pt')
    for name, sharpened in (('old.pt', 1), ('new.pt', 4), ('bare.pt', 4)):
        for key, value in load_start(tmp_path / name, sharpened).items():
            torch.testing.assert_close(value, state[key], msg=f'{name} {key}')


def test_a_soup_is_the_weighted_mean_and_refuses_what_does_not_fit() -> None:
    one, other = {'a': torch.zeros(3)}, {'a': torch.ones(3)}
    assert functional.mse_loss(soup([one, other], [3, 1])['a'], torch.full((3,), 0.25)) == 0
    with pytest.raises(ValueError, match='do not fit each other: a'):
        soup([one, {'a': torch.zeros(2)}], [1, 1])
    with pytest.raises(ValueError, match='2 files need as many shares'):
        soup([one, other], [1])

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a batch practises: prompt, frames, corrections, and what is remembered of them."""

from __future__ import annotations

import numpy as np
import torch
from training.tracking import Batch, Draws, Practice

# How many frames each frame is from the first. Memory is read as in use: the prompted frame,
# the newest one, and the two before it whose numbers are multiples of five.
SHORT = ((0, 1, 2, 3), (0, 5, 10, 11))
LONG = ((0, 1, 2, 5, 10, 15, 16, 17), (0, 5, 10, 11, 12, 15, 20, 25, 26, 27, 30, 31))
LONG_FROM = 0.65        # of the run
LONG_SHARE = 0.6        # of the unrolls, from then on
CORRECTED = 0.2
CANDIDATES = 0.8    # of the objects; the others' single mask stays fit to be tracked by
KINDS = (('mask', 0.25), ('box', 0.27), ('click', 0.27), ('clicks', 0.11),
         ('box and click', 0.1))
# a given mask is not predicted: there is nothing to learn from it on a single frame
SINGLE_KINDS = (('box', 0.4), ('click', 0.4), ('clicks', 0.1), ('box and click', 0.1))
SINGLE_TIMES = 3        # as many pictures as clips
SINGLE_OBJECTS = 3


def choose_practice(rng: np.random.Generator, done: float, singles: float) -> Practice:
    """
    Draw what a batch practises.

    :param done: share of the run that is over; unrolls grow longer in its last third
    :param singles: share of batches of single frames
    """
    if rng.random() < singles:
        return Practice(_kind(rng, SINGLE_KINDS), (0,))
    lengths = LONG if done >= LONG_FROM and rng.random() < LONG_SHARE else SHORT
    numbers = lengths[rng.integers(len(lengths))]
    corrected = len(numbers) // 2 if rng.random() < CORRECTED else None
    return Practice(_kind(rng, KINDS), numbers, corrected)


def _kind(rng: np.random.Generator, shares: tuple[tuple[str, float], ...]) -> str:
    return str(rng.choice([name for name, _ in shares], p=[share for _, share in shares]))


def micro_batch(practice: Practice, clips: int, objects: int) -> tuple[int, int]:
    """Give how many clips and objects a clip cost about as much as others' batches do."""
    if len(practice.numbers) == 1:
        return SINGLE_TIMES * clips, max(objects, SINGLE_OBJECTS)
    return (clips if practice.numbers in SHORT else max(1, clips // 2)), objects


def draw_chances(batch: Batch, done: float, noise: torch.Generator) -> Draws:
    """
    Draw what each object's memory holds and whether corrections find it.

    :param done: share of the run that is over; true masks and presence help at its start
    """
    rows, device = len(batch.weights), batch.weights.device
    chance = torch.rand(3, rows, device=device, generator=noise)
    places = torch.rand(batch.masks.shape[1:], device=device, generator=noise)
    return Draws(chance[0] < 0.3 * max(0.0, 1 - 2 * done), chance[1] < max(0.3, 1 - 2 * done),
                 chance[2] < CANDIDATES, places)

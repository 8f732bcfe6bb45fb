# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The bundled model as a file, as a trunk, and as something whose memory is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.engine.memory.entry import Trust
from sam2_tracker.core.engine.predictor import Predictor
from sam2_tracker.core.protocols import TrackStep
from sam2_tracker.core.types import BoolArray, Prompt, UInt8Array, Wanted
from sam2_tracker.models.checkpoints import find_checkpoint
from sam2_tracker.models.loader import build_predictor
from sam2_tracker.models.nano.trunk import NanoTrunk, same_pad_conv
import torch

SIDE = 192
NANO = ModelConfig(name='nano', device='cpu')


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def predictor() -> Predictor:
    return Predictor(build_predictor(NANO))


def texture(seed: int, colour: tuple[int, int, int]) -> UInt8Array:
    """Draw blotches around a colour."""
    rough = np.random.default_rng(seed).normal(0, 28, (SIDE // 8, SIDE // 8, 3))
    smooth = cv2.resize(rough, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + colour, 0, 255).astype(np.uint8)


def scene(shift: int) -> tuple[UInt8Array, BoolArray, BoolArray]:
    """Draw a reddish disk and a bluish square, `shift` pixels on, and their masks."""
    rgb = texture(0, (120, 125, 90))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    disk = (rows - 60) ** 2 + (columns - 50 - shift) ** 2 < 30 ** 2
    square = (abs(rows - 130) < 26) & (abs(columns - 140 + shift) < 26)
    rgb[disk] = np.roll(texture(1, (200, 60, 50)), shift, 1)[disk]
    rgb[square] = np.roll(texture(2, (50, 70, 190)), -shift, 1)[square]
    return rgb, disk, square


def overlap(one: BoolArray, other: BoolArray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def test_the_weights_are_one_file_of_at_most_15_mb_in_half_precision() -> None:
    path = find_checkpoint(NANO)
    assert path.stat().st_size <= 15_000_000
    saved = torch.load(path, weights_only=True)
    assert list(saved) == ['model']
    assert {value.dtype for value in saved['model'].values()} == {torch.float16}


def test_the_trunk_gives_four_maps_in_the_channels_that_it_states() -> None:
    trunk = NanoTrunk().eval()
    with torch.inference_mode():
        maps = trunk(torch.zeros(1, 3, 96, 96))
    assert [level.shape[-1] for level in maps] == [24, 12, 6, 3]
    assert [level.shape[1] for level in reversed(maps)] == trunk.channel_list


def test_a_strided_convolution_pads_as_tensorflow_does() -> None:
    conv = same_pad_conv(1, 1, kernel=3, stride=2, groups=1)
    with torch.no_grad():
        conv.weight.zero_()
        conv.bias.zero_()
        conv.weight[0, 0, 1:, 1:] = torch.arange(9.0).view(3, 3)
        picture = torch.randn(1, 1, 8, 8)
        wanted = torch.nn.functional.conv2d(torch.nn.functional.pad(picture, (0, 1, 0, 1)),
                                            torch.arange(9.0).view(1, 1, 3, 3), stride=2)
        torch.testing.assert_close(conv(picture), wanted)


def test_two_objects_are_followed_by_their_own_masks(predictor: Predictor) -> None:
    disks, squares = track_pair(predictor, swap=False)
    for frame in range(1, 5):
        _, disk, square = scene(3 * frame)
        assert overlap(disks[frame], disk) > 0.6
        assert overlap(squares[frame], square) > 0.6


def test_with_their_memories_swapped_objects_are_mistaken(predictor: Predictor) -> None:
    """The masks come out of memory, not out of what stands out in the picture."""
    disks, squares = track_pair(predictor, swap=True)
    _, disk, square = scene(12)
    assert overlap(disks[4], disk) < 0.1
    assert overlap(squares[4], square) < 0.1
    assert overlap(disks[4], square) > 0.6
    assert overlap(squares[4], disk) > 0.6


def track_pair(predictor: Predictor, swap: bool) -> tuple[list[BoolArray], list[BoolArray]]:
    """Track disk and square over five frames; swap their memories after the first, or not."""
    memories = [predictor.new_memory((SIDE, SIDE)) for _ in range(2)]
    found: tuple[list[BoolArray], list[BoolArray]] = ([], [])
    for frame in range(5):
        rgb, *masks = scene(3 * frame)
        features = predictor.encode(rgb)
        if frame == 0:
            for memory, mask in zip(memories, masks, strict=True):
                predictor.prompt(memory, 0, features, Prompt(mask_hw=mask), clear_previous=False)
        if frame == 1 and swap:
            memories.reverse()
        outputs = predictor.track([TrackStep(memory, frame, features) for memory in memories])
        shown = predictor.summarise(outputs, [1, 2], (SIDE, SIDE), Wanted(label_image=False))
        for row, mask in zip(found, shown.masks, strict=True):
            row.append(mask)
    return found


def test_the_config_stands_beside_its_weights_and_names_stock_classes() -> None:
    folder = Path(find_checkpoint(NANO)).parent
    text = (folder / 'nano.yaml').read_text()
    targets = [line.split('_target_:')[1].strip() for line in text.splitlines()
               if '_target_:' in line]
    own = [name for name in targets if not name.startswith('sam2.')]
    assert own == ['sam2_tracker.models.nano.trunk.NanoTrunk']


def test_it_relies_on_surer_frames_than_the_published_models_do(predictor: Predictor) -> None:
    assert predictor.model.trust == Trust(read=0.5)
    config = ModelConfig('sam2.1_hiera_tiny', device='cpu', image_size=128)
    assert build_predictor(config, random_weights=True).trust == Trust()

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the offline tests share: the small random model and clip of the core's tests."""

from __future__ import annotations

from pathlib import Path
import sys
from typing import Any

from bag_making import compressed_image, FIRST_NS, jpeg_of, STEP_NS, write_bag
from command_rig import content, FRAMES, outputs
import pytest

PROMPTS = """
prompts:
  - frame: 0
    object: 1
    label: red
    points: [[{0:.0f}, {1:.0f}]]
  - time_s: 0.12
    object: 4
    points: [[{2:.0f}, {3:.0f}]]
"""

# The reference, stock SAM 2 over a folder, is the core's.
sys.path.append(str(Path(__file__).resolve().parent.parent / 'core'))


@pytest.fixture(scope='session')
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stock import write_clip

    return write_clip(tmp_path_factory.mktemp('clip'))


@pytest.fixture(scope='session')
def stock_model() -> Any:
    """Give stock SAM 2 with random weights, four conditioning frames."""
    from stock import build
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    return build()


@pytest.fixture(scope='session')
def predictor(stock_model: Any) -> Any:
    """Give our predictor with the same weights, looped: bit-identical."""
    from sam2_tracker.core.engine.predictor import Predictor
    from stock import build, OURS

    model = build(target=OURS)
    model.load_state_dict(stock_model.state_dict())
    return Predictor(model)


@pytest.fixture(scope='session')
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give two recordings of discs that move, as JPEGs in bags, and both in one."""
    from stock import read_clip, write_clip

    folder = tmp_path_factory.mktemp('bags')
    (folder / 'frames').mkdir()
    pictures = read_clip(write_clip(folder / 'frames', 2 * FRAMES))
    found = []
    parts = {'first': pictures[:FRAMES], 'second': pictures[FRAMES:], 'whole': pictures}
    for name, part in parts.items():
        messages = []
        for index, picture in enumerate(part):
            stamp_ns = FIRST_NS + index * STEP_NS
            message = compressed_image(jpeg_of(picture), stamp_ns)
            messages.append(('/camera/compressed', stamp_ns, message))
        found.append(write_bag(folder / name, messages))
    return found


@pytest.fixture(scope='session')
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from stock import disc_xy

    path = tmp_path_factory.mktemp('prompts') / 'prompts.yaml'
    path.write_text(PROMPTS.format(*disc_xy(0, 0), *disc_xy(1, 3)))
    return path


@pytest.fixture(scope='session')
def finished(
    tmp_path_factory: pytest.TempPathFactory, bags: list[Path], prompts: Path
) -> dict[str, bytes]:
    """Give what an undisturbed run writes."""
    folder = tmp_path_factory.mktemp('finished')
    from sam2_tracker.offline.command import main

    assert main([str(bags[0]), '--prompts', str(prompts), *outputs(folder)]) == 0
    return content(folder)

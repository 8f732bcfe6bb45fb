# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Compare the masks that the demo's node published with stock SAM 2's on the same frames.

For example:
    python -m demo.run --output demo_output
    python -m demo.verify demo_output
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
import sys

from demo.recording import Call, load, Recording
from demo.stock import StockClip
import numpy as np
from sam2.sam2_video_predictor import SAM2VideoPredictor
from sam2_tracker.core.command_line import refusing
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.types import BoolArray
from sam2_tracker.models.loader import build_stock_predictor
import torch

# Results that were on their way when the answer to a prompt came.
IN_FLIGHT = 6


@dataclass(frozen=True)
class Comparison:
    """
    One object's agreement with stock.

    :param ious: by frame; None where no mask of its own was received
    """

    object_id: int
    label: str
    ious: tuple[float | None, ...]

    @property
    def compared(self) -> tuple[float, ...]:
        """Return the frames' values without those that were not received."""
        return tuple(iou for iou in self.ious if iou is not None)


def mask_iou(first: BoolArray, second: BoolArray) -> float:
    """Compute intersection over union; 1 where both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def compare(recording: Recording, frames: Path, predictor: SAM2VideoPredictor) -> list[Comparison]:
    """
    Compare every received mask with stock's.

    A mask is compared with what stock makes of the prompts that were in effect when the frame was
    published: those of a call take effect once the object is not catching up any more.
    """
    clip = StockClip(predictor, frames)
    return [
        _compare_object(recording, clip, object_id, label)
        for object_id, label in sorted(recording.labels.items())
    ]


def _compare_object(
    recording: Recording, clip: StockClip, object_id: int, label: str
) -> Comparison:
    calls = [call for call in recording.calls if object_id in [p.object_id for p in call.prompts]]
    prompts = [
        (call.on_frame, next(p for p in call.prompts if p.object_id == object_id))
        for call in calls
    ]
    versions = clip.masks(prompts)
    published = [frame.masks.get(object_id) if frame.masks else None for frame in recording.frames]
    ious: list[float | None] = [None] * len(published)
    ends = [*(call.sent_after for call in calls[1:]), len(published)]
    for number, call in enumerate(calls):
        old = versions[number - 1] if number else None
        marked = _catching_up(recording, object_id, range(call.sent_after, ends[number]))
        start = marked[-1] + 1 if marked else _best_start(call, published, old, versions[number])
        for index in range(start, len(published)):
            ious[index] = _iou_or_none(published[index], versions[number][index])
    return Comparison(object_id, label, tuple(ious))


def _catching_up(recording: Recording, object_id: int, indices: range) -> list[int]:
    """Return the frames on which the node marked an object as catching up."""
    found = [(index, recording.frames[index].of(object_id)) for index in indices]
    return [index for index, item in found if item is not None and item.catching_up]


def _best_start(
    call: Call,
    published: Sequence[BoolArray | None],
    old: Sequence[BoolArray | None] | None,
    new: Sequence[BoolArray | None],
) -> int:
    """
    Find the first frame that was published with a call's prompts in effect.

    None was marked as catching up, so the answer and the results crossed on their way: of the few
    frames in question the one is taken from which on the masks agree best, those before it with
    the old prompts.
    """
    if old is None:
        return call.sent_after
    window = range(call.sent_after, min(call.answered_after + IN_FLIGHT, len(published)))

    def agreement(start: int) -> float:
        pairs = [(published[index], (new if index >= start else old)[index]) for index in window]
        return sum(_iou_or_none(mask, stock) or 0.0 for mask, stock in pairs)

    return max(window, key=agreement, default=call.sent_after)


def _iou_or_none(mask: BoolArray | None, stock: BoolArray | None) -> float | None:
    return None if mask is None or stock is None else mask_iou(mask, stock)


def print_table(comparisons: Sequence[Comparison]) -> None:
    """Print IoU by frame and object, and a summary of each object."""
    names = [f'{item.object_id} {item.label}' for item in comparisons]
    print('frame  ' + '  '.join(f'{name:>12}' for name in names))
    for index, row in enumerate(zip(*(item.ious for item in comparisons), strict=True)):
        cells = ['-' if iou is None else f'{iou:.6f}' for iou in row]
        print(f'{index:5}  ' + '  '.join(f'{cell:>12}' for cell in cells))
    for item, name in zip(comparisons, names, strict=True):
        exact = sum(iou == 1.0 for iou in item.compared)
        print(
            f'{name}: IoU 1.0 with stock SAM 2 on {exact} of {len(item.compared)} frames, '
            f'lowest {min(item.compared, default=0.0):.6f}'
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if every mask is stock's, 1 if not, 2 if nothing can be compared."""
    parser = _parser()
    folder: Path = parser.parse_args(arguments).folder
    with refusing(parser.prog):
        recording = load(folder)
        torch.set_num_threads(recording.threads)
        predictor = build_stock_predictor(ModelConfig(recording.model, device='cpu'))
    print(
        f'stock {type(predictor).__name__} with {recording.model} on {folder / "frames"}, '
        f'{recording.threads} thread(s)'
    )
    comparisons = compare(recording, folder / 'frames', predictor)
    print_table(comparisons)
    return 0 if all(item.compared and min(item.compared) == 1.0 for item in comparisons) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m demo.verify',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'folder',
        nargs='?',
        type=Path,
        default=Path('demo_output'),
        help='what demo.run wrote (default: demo_output)',
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())

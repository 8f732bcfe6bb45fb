# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Track a DAVIS sequence through the running node, from a box on its first frame, and score it.

For example:
    python -m demo.davis dog
The frames and true masks are looked for where SAM2_TRACKER_DATA names, else in ../shared/data.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
import sys
import tempfile

from benchmarks.davis import region_overlap
from benchmarks.sequences import DAVIS, load_sequence, make_prompt
from benchmarks.sequences import Sequence as Clip
from benchmarks.tracking import read_rgb, run_engine
from demo.processes import DemoError
from demo.recording import Recording
from demo.scene import Step
from demo.session import record, Show, THREADS
from demo.verify import mask_iou
import numpy as np
from sam2_tracker.core.command_line import positive_int, refusing
from sam2_tracker.core.config import MODEL_NAMES, ModelConfig
from sam2_tracker.core.types import BoolArray, Prompt
from sam2_tracker.models.checkpoints import find_checkpoint
from sam2_tracker.models.loader import build_tracking_predictor
import torch


def masks_through_node(clip: Clip, prompt: Prompt, model: str, output: Path) -> list[BoolArray]:
    """
    Play a clip's JPEGs into the node as they are, prompt the first one and return all masks.

    :raises DemoError: something does not work, or a mask did not arrive
    """
    source = {'path': clip.frames[0].parent, 'last_frame': len(clip.frames) - 1}
    show = Show(model, source, len(clip.frames), (Step(0, 0, (prompt,)),), 'compressed')
    recording = record(output, show).recording
    return [_mask(recording, index) for index in range(len(clip.frames))]


def masks_of_engine(clip: Clip, prompt: Prompt, model: str) -> list[BoolArray]:
    """Return the masks of the engine alone, without ROS."""
    torch.set_num_threads(THREADS)
    predictor = build_tracking_predictor(ModelConfig(model, device='cpu'))
    run = run_engine(predictor, [read_rgb(path) for path in clip.frames], [prompt])
    return list(run.tracks[0].masks)


def mean_overlap(masks: Sequence[BoolArray], truth: Sequence[BoolArray]) -> float:
    """Compute mean J as DAVIS does: without the first and the last frame."""
    pairs = list(zip(masks, truth, strict=True))[1:-1]
    return float(np.mean([region_overlap(mask, true) for mask, true in pairs]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if node and engine agree on every frame."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with refusing(parser.prog):
        clip = load_sequence(options.sequence).first(options.frames)
        find_checkpoint(ModelConfig(options.model))
    prompt = replace(make_prompt(clip.masks[0][0], 'box'), label=clip.name)
    try:
        with tempfile.TemporaryDirectory() as folder:
            through_node = masks_through_node(clip, prompt, options.model, Path(folder))
    except DemoError as error:
        print(f'davis: {error}', file=sys.stderr)
        return 1
    engine = masks_of_engine(clip, prompt, options.model)
    ious = [mask_iou(*pair) for pair in zip(through_node, engine, strict=True)]
    print(f'{clip.name}, {len(ious)} frames, {options.model}, a box on the first frame')
    print(f'J through the node: {mean_overlap(through_node, clip.masks[0]):.6f}')
    print(f'J of the engine:    {mean_overlap(engine, clip.masks[0]):.6f}')
    print(f'IoU of both: 1.0 on {ious.count(1.0)} of {len(ious)} frames, lowest {min(ious):.6f}')
    return 0 if min(ious) == 1.0 else 1


def _mask(recording: Recording, index: int) -> BoolArray:
    """Return the only object's mask; on the first frame that of the answer to its prompt."""
    object_id = recording.calls[0].prompts[0].object_id
    labels = (
        recording.calls[0].reply_label_image if index == 0 else recording.frames[index].label_image
    )
    if labels is None:
        raise DemoError(f'the label image of frame {index} did not arrive')
    return np.equal(labels, object_id)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m demo.davis',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('sequence', help=f'one of {", ".join(DAVIS)}')
    parser.add_argument('--model', default='nano', choices=MODEL_NAMES, metavar='MODEL',
                        help='model of the zoo (default: nano)')
    parser.add_argument('--frames', type=positive_int, help='only so many frames (default: all)')
    return parser


if __name__ == '__main__':
    sys.exit(main())

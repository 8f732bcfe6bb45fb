# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Save what is learnt of an object in one recording, and look for the object in another.

No ROS. For example: python examples/find_again.py monday.mp4 120 80 260 300 tuesday.mp4
"""

from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sam2_tracker.core.config import ModelConfig, TrackingConfig
from sam2_tracker.core.engine.memory.file import load_fitting, save_memory
from sam2_tracker.core.log import silent
from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.core.types import ObjectState, Prompt, Wanted
from sam2_tracker.models.loader import build_tracking_predictor
from sam2_tracker.offline.run.clip import Clip
from sam2_tracker.offline.run.clip_prompts import ClipPrompts
from sam2_tracker.offline.sources.open_source import open_source, SourceOptions
from sam2_tracker.offline.sources.timeline import Clock, TimedFrame, Timeline


def frames_of(path: Path) -> Iterator[TimedFrame]:
    """Yield the frames of a bag, a video or a folder of pictures."""
    source = open_source(path, SourceOptions())
    return Timeline(path, Clock.HEADER, silent).frames(source.frames())


if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument('known', type=Path, help='recording with the object on its first frame')
    parser.add_argument('box', type=float, nargs=4, help='around it: left, top, right, bottom')
    parser.add_argument('other', type=Path, help='recording to look for it in')
    parser.add_argument('--memory', type=Path, default=Path('object.safetensors'),
                        help='file for what is learnt (object.safetensors)')
    options = parser.parse_args()
    predictor = build_tracking_predictor(ModelConfig('nano'))

    prompt = Prompt(object_id=1, box_xyxy=np.array(options.box, np.float32))
    on_first = ClipPrompts([FilePrompt('the box', 0, None, None, '', prompt)])
    clip = Clip(predictor, on_first, (), TrackingConfig(), silent)
    # Only frames with prompts are learnt from, so that the first is enough.
    clip.step(next(frames_of(options.known)))
    save_memory(options.memory, clip.remembered(), 'nano')
    print(f'{options.memory}: what was learnt of object 1')

    known = load_fitting(options.memory, predictor)
    clip = Clip(predictor, ClipPrompts([]), known, TrackingConfig(), silent)
    for result in clip.track(frames_of(options.other), Wanted(label_image=False, masks=False)):
        found = result.tracked.objects[0]
        where = found.box if found.state is ObjectState.VISIBLE else 'not found'
        print(f'frame {result.number}: {where}, score {found.score:.2f}')

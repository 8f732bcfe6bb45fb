# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Track an object through a video, a bag or a folder of pictures, and write its mask of every frame.

No ROS is needed. For example: python examples/track_video.py clip.mp4 120 80 260 300 masks
"""

from argparse import ArgumentParser, RawTextHelpFormatter
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from sam2_tracker.core.config import ModelConfig, TrackingConfig
from sam2_tracker.core.log import silent
from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.core.types import Prompt, Wanted
from sam2_tracker.models.loader import build_tracking_predictor
from sam2_tracker.offline.run.clip import Clip
from sam2_tracker.offline.run.clip_prompts import ClipPrompts
from sam2_tracker.offline.sources.open_source import open_source, SourceOptions
from sam2_tracker.offline.sources.timeline import Clock, Timeline


def track(path: Path, box_xyxy: list[float], model: str, folder: Path) -> None:
    """Prompt on the first frame, then go through the recording frame by frame."""
    folder.mkdir(parents=True)
    predictor = build_tracking_predictor(ModelConfig(model))
    prompt = Prompt(object_id=1, box_xyxy=np.array(box_xyxy, np.float32))
    on_first = FilePrompt('the box', 0, None, None, '', prompt)
    clip = Clip(predictor, ClipPrompts([on_first]), (), TrackingConfig(), silent)
    with closing(open_source(path, SourceOptions())) as source:
        frames = Timeline(path, Clock.HEADER, silent).frames(source.frames())
        for result in clip.track(frames, Wanted(label_image=False)):
            found, mask_hw = result.tracked.objects[0], result.tracked.masks[0]
            cv2.imwrite(str(folder / f'{result.number:05d}.png'), mask_hw.astype(np.uint8) * 255)
            print(f'frame {result.number}: {found.state.name.lower()}, {found.area_px} pixels')


if __name__ == '__main__':
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument('recording', type=Path)
    parser.add_argument('box', type=float, nargs=4, help='left, top, right, bottom on frame 0')
    parser.add_argument('folder', type=Path, help='new folder for the masks')
    parser.add_argument('--model', default='nano', help='model of the zoo (nano)')
    options = parser.parse_args()
    track(options.recording, options.box, options.model, options.folder)

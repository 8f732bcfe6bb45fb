# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The command line, understood."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sam2_tracker.core.config import ModelConfig, TrackingConfig
from sam2_tracker.core.prompts.file import FilePrompt, load_prompt_file
from sam2_tracker.offline.arguments import add_options
from sam2_tracker.offline.quick_prompts import quick_prompts
from sam2_tracker.offline.run.job import Direction, Settings
from sam2_tracker.offline.sinks.bag import BagContent
from sam2_tracker.offline.sinks.outputs import Outputs
from sam2_tracker.offline.sources.open_source import SourceOptions
from sam2_tracker.offline.sources.timeline import Clock

EXAMPLE = """
example:
  ros2 run sam2_tracker process drive.mcap --prompts prompts.yaml --output masks_bag
  ros2 run sam2_tracker process clip.mp4 --box 120,80,260,300 --label dog --masks out --video o.mp4
without ROS: python -m sam2_tracker.offline instead of ros2 run sam2_tracker process

exit codes: 0 done, 2 bad arguments or prompts, 3 a source is unreadable, 4 an output exists or
cannot be written, 5 the model, 130 interrupted, 143 terminated, 1 a fault of this program
"""


@dataclass(frozen=True, eq=False)
class Request:
    """
    What a person asked for.

    :param ray: 'local', an address, or '' for none
    :param ray_workers: recordings at a time, 0 for one a GPU or two processor cores
    :param ray_gpus: share of a GPU for each, None for a whole one where there is one
    """

    sources: tuple[Path, ...]
    prompts: tuple[FilePrompt, ...]
    outputs: Outputs
    settings: Settings
    overwrite: bool
    resume: bool
    quiet: bool
    ray: str
    ray_workers: int
    ray_gpus: float | None


def parse(arguments: Sequence[str] | None) -> Request:
    """
    Understand the command line; ends the process with code 2 where it cannot.

    :raises PromptError: if the prompts are at fault
    """
    options = _parser().parse_args(arguments)
    if options.ray:
        _make_absolute(options)
    prompts = load_prompt_file(options.prompts).prompts if options.prompts else ()
    return Request(
        tuple(options.sources),
        (*prompts, *quick_prompts(options)),
        _outputs(options),
        _settings(options),
        options.overwrite,
        options.resume,
        options.quiet,
        options.ray,
        options.ray_workers,
        options.ray_gpus,
    )


def _make_absolute(options: argparse.Namespace) -> None:
    """Name all files so that processes in other folders find them."""
    options.sources = [path.absolute() for path in options.sources]
    for name, value in list(vars(options).items()):
        if isinstance(value, Path):
            setattr(options, name, value.absolute())


def _outputs(options: argparse.Namespace) -> Outputs:
    content = BagContent(
        options.storage, annotated=options.annotated, detections=options.detections
    )
    return Outputs(
        options.output,
        options.video,
        options.masks,
        options.coco,
        options.yolo,
        options.csv,
        options.sheet,
        options.frames,
        content,
        options.copy_topics,
    )


def _settings(options: argparse.Namespace) -> Settings:
    model = ModelConfig(
        options.model,
        options.checkpoint,
        options.device,
        options.precision,
        options.compile,
        options.image_size,
        options.batching,
    )
    tracking = TrackingConfig(
        options.max_objects,
        options.max_cond_frames,
        lost_after_s=options.lost_after,
        mask_threshold=options.mask_threshold,
        fill_hole_area=options.fill_hole_area,
    )
    return Settings(
        model,
        tracking,
        SourceOptions(options.topic, options.rate),
        Clock(options.clock),
        Direction(options.direction),
        options.load_memory,
        options.save_memory,
        options.threads,
        options.save_every,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='process',
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Track objects through every frame of bags, videos and picture folders.',
    )
    parser.add_argument(
        'sources',
        nargs='+',
        type=Path,
        metavar='SOURCE',
        help='a rosbag2 (folder, .mcap, .db3), a video, or a folder of pictures',
    )
    add_options(parser)
    return parser

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The options of the offline command, and what a person asked for with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from sam2_tracker.core.config import DetectionsConfig, InputConfig, ModelConfig, TrackingConfig
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.prompts.file import FilePrompt, load_prompt_file, MOST_SECONDS
from sam2_tracker.core.prompts.options import add_prompt_options, option_prompts
from sam2_tracker.core.settings import from_values, Option, ParameterSpec, specs_of, Value
from sam2_tracker.core.text import LONGEST_PATH, shown, text_fault
from sam2_tracker.offline.run.job import Direction, Settings
from sam2_tracker.offline.sinks.annotations import CocoFile
from sam2_tracker.offline.sinks.bag import BagContent, ResultBag
from sam2_tracker.offline.sinks.outputs import Output, OUTPUTS, Outputs
from sam2_tracker.offline.sources.open_source import SourceOptions, SOURCES
from sam2_tracker.offline.sources.timeline import Clock

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Group = argparse._ArgumentGroup
# From a picture a day, whose stamps fit into 64 bits whatever their number, to one a microsecond.
_RATES_HZ = (0.00001, 1_000_000)
# Of libraries that make so many, some end by SIGSEGV where the system gives them no more.
_MOST_THREADS = 1024
EXAMPLE = """
example:
  ros2 run sam2_tracker process drive.mcap --prompts prompts.yaml --output masks_bag
  ros2 run sam2_tracker process clip.mp4 --box 120,80,260,300 --label dog --masks out --video o.mp4
without ROS: python -m sam2_tracker.offline instead of ros2 run sam2_tracker process

exit codes: 0 done, 2 bad arguments or prompts, 3 a source is unreadable, 4 an output exists or
cannot be written, 5 the model, 6 done but for frames of a damaged video, 130 interrupted, 143
terminated, 1 a fault of this program
"""


@dataclass(frozen=True, eq=False)
class Request:
    """
    What a person asked for.

    :param detections: a file, or a topic of the bags; '' for none
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
    detections: str
    ray: str
    ray_workers: int
    ray_gpus: float | None


def parse(arguments: Sequence[str] | None) -> Request:
    """
    Understand the command line; ends the process with code 2 where it cannot.

    :raises PromptError: if the prompts are at fault
    """
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    for text in given:
        fault = text_fault(text, LONGEST_PATH)
        if fault:
            parser.error(f'an argument {fault}')
    options = parser.parse_args(given)
    if options.ray:
        _make_absolute(options)
    prompts = load_prompt_file(options.prompts).prompts if options.prompts else ()
    return Request(
        tuple(options.sources),
        (*prompts, *_quick_prompts(options)),
        _outputs(options),
        _settings(options),
        options.overwrite,
        options.resume,
        options.quiet,
        options.detections,
        options.ray,
        options.ray_workers,
        options.ray_gpus,
    )


@dataclass(frozen=True)
class _When:
    """A frame by its number, or by its time since the first."""

    frame: int | None
    time_s: float | None


def _quick_prompts(options: argparse.Namespace) -> tuple[FilePrompt, ...]:
    """
    Return the prompts that were given as options.

    :raises PromptError: if they do not go together, or the mask cannot be read
    """
    when = options.at
    return tuple(
        FilePrompt(name, when.frame, when.time_s, None, '', prompt)
        for name, prompt in option_prompts(options, 'use a prompts file')
    )


def _when(text: str) -> _When:
    try:
        number = float(text.removesuffix('s'))
    except ValueError:
        number = float('nan')
    if not 0 <= number <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(
            f'{shown(text)} is neither a frame number nor seconds from 0 to {MOST_SECONDS}')
    return _When(int(text), None) if text.isdigit() else _When(None, number)


def _parser() -> argparse.ArgumentParser:
    *others, last = (kind.what for kind in SOURCES)
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
        help=f'{", ".join(others)}, or {last}',
    )
    _add_options(parser)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    _add_source_options(parser.add_argument_group('sources'))
    prompts = parser.add_argument_group('prompts')
    _add_prompt_options(prompts)
    add_prompt_options(prompts)
    prompts.add_argument(
        '--at',
        type=_when,
        default=_When(0, None),
        metavar='FRAME|SECONDS',
        help='the frame that they are for: 12 is a number, 1.5 a time (0)',
    )
    _add_detection_options(parser.add_argument_group('detections'))
    _add_output_options(parser.add_argument_group('outputs'))
    _add_model_options(parser.add_argument_group('model'))
    add_settings(parser.add_argument_group('tracking'), TrackingConfig)
    _add_cluster_options(parser.add_argument_group('several machines'))


def _add_source_options(group: Group) -> None:
    group.add_argument('--topic', default='', help="a bag's images, if it has several topics")
    group.add_argument(
        '--rate',
        type=_rate,
        default=30.0,
        metavar='HZ',
        help='of picture folders, which have no times (%(default)s)',
    )
    group.add_argument(
        '--clock',
        choices=[clock.value for clock in Clock],
        default='header',
        help="a frame's time: the camera's stamp, or the bag's (%(default)s)",
    )
    add_settings(group, InputConfig)


def _add_prompt_options(group: Group) -> None:
    group.add_argument('--prompts', type=Path, metavar='YAML', help='prompts file')
    group.add_argument(
        '--direction',
        choices=[way.value for way in Direction],
        default='forward',
        help='track from a prompt on, or back too (%(default)s)',
    )
    group.add_argument(
        '--load-memory', type=Path, metavar='FILE', help='track the objects of an earlier run'
    )
    group.add_argument(
        '--save-memory',
        type=Path,
        metavar='FILE',
        help='write what was learnt of the objects, as safetensors',
    )


def _add_detection_options(group: Group) -> None:
    group.add_argument(
        '--detections',
        default='',
        metavar='FILE|TOPIC',
        help="what a detector found: COCO results, MOT lines, or a bag's Detection2DArray",
    )
    add_settings(group, DetectionsConfig)


def _add_output_options(group: Group) -> None:
    for kind in OUTPUTS:
        group.add_argument(kind.option, type=Path, metavar=kind.metavar, help=kind.help)
        if kind.sink is ResultBag:
            _add_bag_options(group)
        elif kind.sink is CocoFile:
            group.add_argument(
                '--coco-polygons', action='store_true', help='for readers that know no RLE'
            )
    group.add_argument('--overwrite', action='store_true', help='replace outputs that exist')
    group.add_argument('--resume', action='store_true', help='go on with an interrupted run')
    group.add_argument(
        '--save-every',
        type=_seconds,
        default=60.0,
        metavar='S',
        help='most seconds between two states to resume from, 0 for none (%(default)s)',
    )
    group.add_argument('--quiet', action='store_true', help='say only what went wrong')


def _add_bag_options(group: Group) -> None:
    group.add_argument(
        '--storage', choices=['mcap', 'sqlite3'], default='mcap', help='of that bag (%(default)s)'
    )
    group.add_argument(
        '--copy-topics', action='store_true', help="copy the source bag's own topics into it"
    )
    group.add_argument('--annotated', action='store_true', help='and the annotated pictures')
    group.add_argument(
        '--with-detections', action='store_true', help='and vision_msgs detections'
    )


def _add_model_options(group: Group) -> None:
    add_settings(group, ModelConfig)
    group.add_argument(
        '--threads',
        type=_threads,
        default=0,
        metavar='N',
        help='processor threads of each of encoding and tracking (0: half the cores)',
    )


def add_settings(group: Group, config: type[DataclassInstance]) -> None:
    """Add an option for each setting that has one: first the names, then the numbers."""
    specs = [spec for spec in specs_of(config) if spec.option is not None]
    for spec in sorted(specs, key=lambda spec: spec.minimum is not None):
        _add_setting(group, spec)


def _add_setting(group: Group, spec: ParameterSpec) -> None:
    option = spec.option or Option()
    described: dict[str, Any] = {
        'dest': spec.name,
        'default': None if spec.is_path else spec.default,
        'help': option.help or None,
    }
    if isinstance(spec.default, bool):
        described['action'] = argparse.BooleanOptionalAction
    else:
        described['metavar'] = option.metavar or None
        if spec.choices and option.checked:
            described['choices'] = spec.choices
        else:
            described['type'] = _reader(option, spec)
    group.add_argument(option.flag or f'--{spec.name.replace("_", "-")}', **described)


def _reader(option: Option, spec: ParameterSpec) -> Callable[[str], Value | Path]:
    """Return what makes a value of a text, and refuses it with what is accepted."""
    if spec.is_path:
        return Path
    if not option.checked:
        return str
    kind = type(spec.default)

    def read(text: str) -> Value:
        try:
            return spec.check(kind(text))
        except (ConfigError, ValueError):
            raise argparse.ArgumentTypeError(f'{text} is not {spec.accepted}') from None

    return read


def _add_cluster_options(group: Group) -> None:
    group.add_argument(
        '--ray',
        default='',
        metavar='ADDRESS',
        help="spread the sources over a Ray cluster; 'local' for this machine",
    )
    group.add_argument(
        '--ray-workers',
        type=_whole,
        default=0,
        metavar='N',
        help='sources at a time (0: as many as there is room for)',
    )
    group.add_argument(
        '--ray-gpus',
        type=_positive,
        metavar='SHARE',
        help='of a GPU for each source (1 where there is a GPU)',
    )


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a number above 0')
    return number


def _rate(text: str) -> float:
    number = float(text)
    slowest, fastest = _RATES_HZ
    if not slowest <= number <= fastest:
        raise argparse.ArgumentTypeError(
            f'{text} is not a number of frames a second from {slowest} to {fastest}')
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a number from 0')
    return number


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f'{text} is below 0')
    return number


def _threads(text: str) -> int:
    number = int(text)
    if not 0 <= number <= _MOST_THREADS:
        raise argparse.ArgumentTypeError(f'{text} is not a number from 0 to {_MOST_THREADS}')
    return number


def _make_absolute(options: argparse.Namespace) -> None:
    """Name all files so that processes in other folders find them."""
    options.sources = [path.absolute() for path in options.sources]
    for name, value in list(vars(options).items()):
        if isinstance(value, Path):
            setattr(options, name, value.absolute())


def _outputs(options: argparse.Namespace) -> Outputs:
    paths = {kind.option: getattr(options, kind.name) for kind in OUTPUTS}
    return Outputs(
        tuple(Output(option, path) for option, path in paths.items() if path is not None),
        BagContent(
            options.storage, annotated=options.annotated, detections=options.with_detections
        ),
        options.copy_topics,
        options.coco_polygons,
    )


def _settings(options: argparse.Namespace) -> Settings:
    given = vars(options)
    return Settings(
        from_values(ModelConfig, given),
        from_values(TrackingConfig, given),
        SourceOptions(
            options.topic, options.rate, options.image_max_value, options.image_max_pixels
        ),
        Clock(options.clock),
        Direction(options.direction),
        options.load_memory,
        options.save_memory,
        options.threads,
        options.save_every,
        from_values(DetectionsConfig, given),
    )

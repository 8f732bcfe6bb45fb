# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The options of the executable `prompt`, and what they ask for.

Nothing here imports ROS.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
import enum
from pathlib import Path
import re

from sam2_tracker.core.errors import PromptError
from sam2_tracker.core.prompts.options import add_prompt_options, option_prompts
from sam2_tracker.core.text import ROS_NAME, stamp_in
from sam2_tracker.core.types import MAX_OBJECT_ID, Prompt

DESCRIPTION = 'Prompt a running tracker: new objects, corrections, and what else can be asked.'
EPILOG = """\
examples:
  ros2 run sam2_tracker prompt --point 320,240 --label cup
  ros2 run sam2_tracker prompt --object 1 --point 300,200,0 --at 1700000000.125000000
  ros2 run sam2_tracker prompt --box 210,120,300,180 --preview
  ros2 run sam2_tracker prompt --list --json

exit codes:
  0  done
  2  options, or a mask that cannot be read
  3  the tracker refused, and changed nothing
  4  done, but a file could not be written
  5  there is no tracker: nothing was sent
  6  no answer came: it may have been done, or not
  130  stopped by a signal"""
PREVIEW_FILE = 'prompt_preview.png'


class ExitCode(enum.IntEnum):
    """How the command ends; 1 is left to what nobody foresaw."""

    DONE = 0
    USAGE = 2
    REFUSED = 3
    NOT_WRITTEN = 4
    NO_TRACKER = 5
    NO_ANSWER = 6
    INTERRUPTED = 130


class Action(enum.Enum):
    """What is asked for."""

    PROMPT = 'prompt'
    LIST = 'list'
    REMOVE = 'remove'
    RESET = 'reset'
    PAUSE = 'pause'
    RESUME = 'resume'


@dataclass(frozen=True, eq=False)
class Wish:
    """
    What the command line says.

    :param tracker: name of the node, relative to the namespace unless it begins with /
    :param stamp_ns: of the frame to be prompted, 0 for the newest
    :param object_id: to be removed
    :param preview: the picture to be written, None if it is no preview
    :param mask_file: where the mask is to be written, None for nowhere
    """

    action: Action
    tracker: str
    timeout_s: float
    prompts: tuple[Prompt, ...] = ()
    stamp_ns: int = 0
    clear_previous: bool = False
    object_id: int = 0
    preview: Path | None = None
    mask_file: Path | None = None
    as_json: bool = False


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the command's own arguments and those of ROS, which stand behind --ros-args."""
    if '--ros-args' not in arguments:
        return list(arguments), []
    begin = arguments.index('--ros-args')
    end = arguments.index('--', begin) if '--' in arguments[begin:] else len(arguments)
    return [*arguments[:begin], *arguments[end + 1:]], list(arguments[begin:end])


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's own options."""
    parser = argparse.ArgumentParser(
        prog='ros2 run sam2_tracker prompt', description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    what = parser.add_argument_group('what is prompted')
    add_prompt_options(what)
    what.add_argument('--object', type=_object_id, default=0, metavar='N',
                      help='the object that is prompted again or renamed; a new one without')
    what.add_argument('--clear', action='store_true',
                      help="drop the object's prompts on that frame first; with nothing but "
                           '--object: take them back')
    what.add_argument('--at', type=_stamp, default=0, metavar='STAMP',
                      help='the frame, by its stamp: seconds.nanoseconds (the newest)')
    what.add_argument('--preview', nargs='?', type=_png, const=Path(PREVIEW_FILE), metavar='PNG',
                      help='change nothing: show what it would be, and write a small picture of '
                           f'it ({PREVIEW_FILE})')
    what.add_argument('--save-mask', type=_png, metavar='PNG',
                      help='write the mask: an object white; of several each pixel is an id')
    other = parser.add_argument_group('what else is asked').add_mutually_exclusive_group()
    for action, sentence in ((Action.LIST, 'list every object'),
                             (Action.RESET, 'forget every object'),
                             (Action.PAUSE, 'stop tracking for a while'),
                             (Action.RESUME, 'go on tracking')):
        other.add_argument(f'--{action.value}', dest='action', action='store_const', const=action,
                           help=sentence)
    other.add_argument('--remove', type=_object_id, metavar='N', help='forget one object')
    parser.add_argument('--json', action='store_true', help='answer with one line of JSON')
    parser.add_argument('--tracker', type=_name, default='sam2_tracker', metavar='NAME',
                        help='the node, if it has another name or namespace (%(default)s)')
    parser.add_argument('--timeout', type=_seconds, default=15.0, metavar='SECONDS',
                        help='how long to wait for the tracker, and for its answer (%(default)g)')
    return parser


def wish_of(options: argparse.Namespace) -> Wish:
    """
    Return what the options ask for.

    :raises PromptError: they do not go together
    """
    plain = Wish(Action.PROMPT, options.tracker, options.timeout, as_json=options.json)
    prompts = option_prompts(options, 'ask once for each')
    action = options.action or (Action.PROMPT if options.remove is None else Action.REMOVE)
    if action is not Action.PROMPT:
        alone = (*prompts, options.label, options.object, options.clear, options.at,
                 options.preview, options.save_mask)
        if any(alone):
            raise PromptError(f'--{action.value} goes with no prompt: give it alone')
        return replace(plain, action=action, object_id=options.remove or 0)
    return replace(
        plain, prompts=_meant(options, [prompt for _, prompt in prompts]), stamp_ns=options.at,
        clear_previous=options.clear, preview=options.preview, mask_file=options.save_mask)


def _meant(options: argparse.Namespace, prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Return the prompts for the object that is named, or for new ones."""
    if options.object and len(prompts) > 1:
        raise PromptError(f'--object {options.object} with {len(prompts)} boxes or masks: give '
                          'one at a time')
    if not prompts and not (options.object and (options.label or options.clear)):
        raise PromptError('what is to be done? Give --point, --box, --mask, or --list; --help '
                          'has examples')
    if options.clear and not options.object:
        raise PromptError('--clear goes with --object: a new object has no earlier prompts')
    # An index of a mask's picture is no object of the tracker's.
    named = [replace(prompt, object_id=options.object) for prompt in prompts]
    return tuple(named) or (Prompt(options.object, options.label),)


def _name(text: str) -> str:
    if not re.fullmatch(ROS_NAME, text):
        raise argparse.ArgumentTypeError(f'{text!r} is not the name of a node, as /robot/tracker')
    return text


def _png(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in ('', '.png'):
        raise argparse.ArgumentTypeError(f'{text!r} is to be a PNG: end it with .png')
    return path


def _object_id(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MAX_OBJECT_ID:
        raise argparse.ArgumentTypeError(f'{text!r} is not an id: 1 to {MAX_OBJECT_ID}')
    return int(text)


def _stamp(text: str) -> int:
    stamp_ns = stamp_in(text)
    if stamp_ns is None:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not seconds.nanoseconds, as 1700000000.125000000')
    return stamp_ns


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float('inf'):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of seconds above 0')
    return seconds

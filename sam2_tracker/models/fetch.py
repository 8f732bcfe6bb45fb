# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The command that brings checkpoints into the cache."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import replace
from pathlib import Path
import sys

from sam2_tracker.core.command_line import refusing
from sam2_tracker.core.errors import ModelError, reason
from sam2_tracker.core.plain_file import refuse_irreplaceable
from sam2_tracker.models.checkpoints import cache_directory, check_published
from sam2_tracker.models.download import check_url, download, OpenProgress, Progress
from sam2_tracker.models.zoo import model_spec, MODELS, ModelSpec
from tqdm import tqdm

EXAMPLE = """\
example:
  ros2 run sam2_tracker fetch_checkpoint sam2.1_hiera_tiny

Run it again after an interruption: it goes on where it stopped. The file appears under its name
only when it is complete and is the one that was published (SHA-256, and size where known).
"""


def fetch_checkpoint(spec: ModelSpec, directory: Path, open_progress: OpenProgress) -> bool:
    """
    Bring a model's checkpoint into a folder, if it is not there already.

    :returns: True if it was downloaded, False if it was there
    :raises ModelError: no network, not published there, or another file than the published one
    """
    destination = directory / spec.checkpoint
    if destination.is_file() and _is_published(destination, spec):
        return False
    if spec.url is None:
        raise ModelError(f'{spec.name} comes with this package; there is nothing to fetch')
    part = destination.with_name(f'{destination.name}.part')
    try:
        refuse_irreplaceable(destination)
    except OSError as error:
        raise ModelError(f'cannot write {destination}: {error}') from error
    try:
        download(spec.url, part, spec.size_bytes, open_progress)
        _check_or_delete(part, spec)
        part.replace(destination)
    except ModelError as error:
        raise ModelError(
            f'{error}. By hand: download {spec.url} and put it at {destination}'
        ) from error
    except OSError as error:
        raise ModelError(f'cannot write {part}: {reason(error)}') from error
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command.

    :returns: 0 when all are there, 1 when one could not be fetched, 130 when interrupted; wrong
        arguments, unknown models among them, exit with 2
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        _print_models()
        return 0
    if options.url and len(options.models) > 1:
        parser.error('--url is for one model')
    with refusing(parser.prog):
        for name in options.models:
            model_spec(name)
        if options.url:
            check_url(options.url)
    try:
        for name in options.models:
            _fetch_one(name, options.directory or cache_directory(), options.url)
    except ModelError as error:
        print(f'fetch_checkpoint: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            '\nfetch_checkpoint: interrupted; run the same command again to go on', file=sys.stderr
        )
        return 130
    return 0


def _fetch_one(name: str, directory: Path, url: str | None) -> None:
    spec = model_spec(name)
    if spec.bundled:
        print(f'{name} comes with this package; there is nothing to fetch')
        return
    if url:
        spec = replace(spec, url=url)
    path = directory / spec.checkpoint
    print(f'{name}: {_size_of(spec) or "a file"} from {spec.url}')
    fetched = fetch_checkpoint(spec, directory, _progress_bar)
    print(f'{name}: {"checked and stored as" if fetched else "already there:"} {path}')


@contextlib.contextmanager
def _progress_bar(total_bytes: int, start_bytes: int) -> Iterator[Progress]:
    # disable=None: no bar where the output is no terminal.
    with tqdm(
        total=total_bytes or None, initial=start_bytes, unit='B', unit_scale=True, disable=None
    ) as bar:
        yield bar


def _check_or_delete(part: Path, spec: ModelSpec) -> None:
    try:
        check_published(part, spec)
    except ModelError:
        # Going on from a wrong beginning would never end well.
        part.unlink()
        raise


def _is_published(path: Path, spec: ModelSpec) -> bool:
    try:
        check_published(path, spec)
    except ModelError as error:
        print(f'{error}; fetching it again')
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='fetch_checkpoint',
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Fetch published checkpoints into the cache '
        '($SAM2_TRACKER_CACHE, else ~/.cache/sam2_tracker).',
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        'models',
        nargs='*',
        default=[],
        metavar='MODEL',
        help=f'one or more of: {", ".join(MODELS)}',
    )
    what.add_argument('--list', action='store_true', help='list the models and what is there')
    parser.add_argument('--directory', type=Path, help='put the files here instead of the cache')
    parser.add_argument('--url', help="a mirror's address of the file, instead of the official")
    return parser


def _print_models() -> None:
    for spec in MODELS.values():
        path = cache_directory() / spec.checkpoint
        place = (
            'comes with this package'
            if spec.bundled
            else (f'at {path}' if path.is_file() else 'not fetched')
        )
        print(f'{spec.name:24} {spec.parameters_m:6.1f} M parameters {_size_of(spec):>8}  {place}')


def _size_of(spec: ModelSpec) -> str:
    return f'{spec.size_bytes / 1e6:.0f} MB' if spec.size_bytes else ''


if __name__ == '__main__':
    sys.exit(main())

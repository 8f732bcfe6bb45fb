# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Serve the prompt console on a real video that plays again and again, until Ctrl-C.

For example:
    python -m demo.console --port 8090
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, ExitStack
import os
from pathlib import Path
import re
import signal
import sys
import tempfile
import time

from demo.fetch_clip import VIDEO
from demo.processes import DemoError, RosProcess
from demo.scene import FIRST_FRAME, LAST_FRAME, MASK_RULES
from sam2_tracker.core.config import MODEL_NAMES
from tools.transport import own_network

RATE_HZ = 15.0
# How long a frozen picture takes prompts: 20 s and some more, all of it held in memory.
LOOK_BACK_S = 24
FRAMES = round(LOOK_BACK_S * RATE_HZ)
TRACKER_PARAMETERS = {
    'buffer.max_frames': FRAMES,
    'tracking.look_back_frames': FRAMES,
    'tracking.fill_hole_area': MASK_RULES.fill_hole_area,
    'tracking.min_island_area': MASK_RULES.min_island_area,
    'prompt.stamp_tolerance_s': 0.0,
}
# One shot, in which the camera stands: a bag and a bollard stay where they are.
SHOT = {'path': VIDEO, 'first_frame': FIRST_FRAME, 'last_frame': LAST_FRAME}
ADDRESS = re.compile(r'the console of \S+ is at (\S+)')
START_TIMEOUT_S = 120.0
LOOK_PERIOD_S = 0.2


@contextmanager
def served(
    logs: Path, model: str = 'nano', port: int = 0, source: Mapping[str, object] = SHOT
) -> Iterator[tuple[str, Callable[[], None]]]:
    """
    Run tracker, video and console for the duration of a `with` block.

    :param logs: folder for what they print
    :param port: of the console, 0 for a free one
    :param source: what video_source plays
    :returns: the console's address, and what raises a DemoError if one of them has ended
    :raises DemoError: something does not start
    """
    with ExitStack() as stack:
        processes = [
            stack.enter_context(RosProcess(name, logs / f'{name}.log', parameters))
            for name, parameters in (
                ('tracker', {**TRACKER_PARAMETERS, 'model': model}),
                ('video_source', {'loop': True, 'rate': RATE_HZ, **source}),
                ('console', {'port': port}),
            )
        ]

        def check() -> None:
            for process in processes:
                process.check()

        yield _address(logs / 'console.log', check), check


def _address(log: Path, check: Callable[[], None]) -> str:
    """Wait until the console says where it is."""
    end_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end_s:
        check()
        if found := ADDRESS.search(log.read_text(errors='replace')):
            return found[1]
        time.sleep(LOOK_PERIOD_S)
    raise DemoError(f'the console did not start within {START_TIMEOUT_S:.0f} s; see {log}')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it was interrupted, 1 with a sentence when something fails."""
    options = _parser().parse_args(arguments)
    # A shell's background jobs ignore SIGINT; and whatever ends this, the processes end too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    network = own_network()
    os.environ.update(network)
    logs = Path(tempfile.mkdtemp(prefix='sam2_tracker_console_'))
    try:
        if not VIDEO.is_file():
            raise DemoError(f'{VIDEO} is missing; run: python -m demo.fetch_clip')
        print(f'starting tracker with model {options.model}, video_source and console')
        with served(logs, options.model, options.port) as (address, check):
            print(f'\n  open {address} in a browser; Ctrl-C ends it\n', flush=True)
            print(f'  what they say: {logs}')
            variables = ' '.join(f'{name}={value}' for name, value in network.items())
            print(f'  from another shell: export {variables}', flush=True)
            while True:
                check()
                time.sleep(LOOK_PERIOD_S)
    except DemoError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m demo.console',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--model', default='nano', choices=MODEL_NAMES, metavar='MODEL',
                        help='model of the zoo (default: nano)')
    parser.add_argument(
        '--port', type=int, default=0, help='port of the console (default: a free one)'
    )
    return parser


if __name__ == '__main__':
    sys.exit(main())

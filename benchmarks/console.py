# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Measure the prompt console: from click to mask on the page, what a viewer costs, and its memory.

For example:
    python -m benchmarks.console clicks --count 40
    python -m benchmarks.console viewer
    python -m benchmarks.console memory --minutes 10

Tracker with nano, a video of 640x480 and the console run as processes; `clicks` needs chromium
and playwright (requirements/dev.txt). Figures are printed, with the machine's load beside them.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
import json
import os
from pathlib import Path
import shutil
import statistics
import struct
import sys
import tempfile
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import cv2
from demo.console import served
from demo.fetch_clip import VIDEO
from demo.scene import LAST_FRAME
from sam2_tracker.core.command_line import positive_float, positive_int
from sam2_tracker.offline.sources.video import VideoSource
from tools.transport import own_network

HW = (480, 640)
FRAMES = 27
# On the bag, in pixels of the scaled pictures, on each of them.
BAG_XY = (300, 168)
TAKEN_BACK_WITHIN_MS = 1500
WINDOW_S = 20.0
WINDOWS = 5
FOLLOW_CLICKS = """
() => {
  window.clicks = [];
  document.addEventListener('pointerdown', (event) => {
    clicks.push({at: event.timeStamp, known: document.querySelectorAll('.object').length});
  }, {capture: true});
  document.addEventListener('drawn', (event) => {
    const last = clicks.at(-1);
    if (last && !last.took && event.detail.ids.length) last.took = performance.now() - last.at;
  });
}
"""


@contextmanager
def running_console() -> Iterator[str]:
    """Run tracker, video and console; give the console's address."""
    os.environ.update(own_network())
    folder = Path(tempfile.mkdtemp(prefix='sam2_tracker_bench_'))
    frames = VideoSource(VIDEO).frames(LAST_FRAME - FRAMES)
    (folder / 'pictures').mkdir()
    for number, frame in enumerate(islice(frames, FRAMES)):
        picture = cv2.resize(frame.image_rgb[..., ::-1], HW[::-1])
        cv2.imwrite(str(folder / 'pictures' / f'{number:05}.jpg'), picture)
    try:
        with served(folder / 'logs', source={'path': folder / 'pictures'}) as (address, _):
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_clicks(address: str, count: int) -> list[float]:
    """Click on the bag and take that back, again and again; milliseconds until it is masked."""
    from playwright.sync_api import sync_playwright

    path = shutil.which('chromium') or shutil.which('google-chrome')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=['--no-sandbox', '--disable-dev-shm-usage'])
        page = browser.new_page(viewport={'width': 1280, 'height': 800})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_selector('#stage[data-stamp]')
        page.locator('#state-word', has_text='tracking').wait_for()
        page.keyboard.press('h')
        page.evaluate(FOLLOW_CLICKS)
        for _ in range(count):
            _click_once(page)
        took_ms = page.evaluate('clicks.map((each) => each.took)')
        browser.close()
    return [float(each) for each in took_ms]


def _click_once(page: Any) -> None:
    stage = page.locator('#stage').bounding_box()
    scale = min(stage['width'] / HW[1], stage['height'] / HW[0])
    left = stage['x'] + (stage['width'] - HW[1] * scale) / 2
    top = stage['y'] + (stage['height'] - HW[0] * scale) / 2
    page.mouse.click(left + BAG_XY[0] * scale, top + BAG_XY[1] * scale)
    while not page.evaluate('Boolean(clicks.at(-1)?.took)'):
        page.wait_for_timeout(20)
    # On a busy machine the tracker may refuse to wait so long: then it is asked again.
    while page.locator('.object').count():
        page.keyboard.press('z')
        page.wait_for_timeout(TAKEN_BACK_WITHIN_MS)


class Viewer:
    """
    A client that draws nothing: takes each picture and asks for the next, in a thread.

    :param acknowledges: False for one that stalls after its first picture
    """

    def __init__(self, address: str, acknowledges: bool = True) -> None:
        self._address, self._acknowledges = address, acknowledges
        self.frames = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Viewer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def _run(self) -> None:
        self._task = self._loop.create_task(talk(self._address, self._look))
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)

    async def _look(self, page: aiohttp.ClientWebSocketResponse) -> None:
        async for message in page:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.frames += 1
                if self._acknowledges:
                    await page.send_json({'do': 'ack'})


async def talk(
    address: str, what: Callable[[aiohttp.ClientWebSocketResponse], Awaitable[None]]
) -> None:
    """Open a page's WebSocket, say hello and talk."""
    origin = f'http://{urlsplit(address).netloc}'
    async with aiohttp.ClientSession() as session, session.ws_connect(
        f'{address}stream', headers={'Origin': origin}
    ) as page:
        await page.send_json({'do': 'hello'})
        await what(page)


async def _prompt_bag(page: aiohttp.ClientWebSocketResponse) -> None:
    """Prompt the bag on the first picture that comes while the tracker is active."""
    is_active = False
    async for message in page:
        if message.type is aiohttp.WSMsgType.TEXT:
            is_active = json.loads(message.data).get('state') == 'active'
            continue
        length = struct.unpack('<I', message.data[:4])[0]
        header = json.loads(message.data[4:4 + length])
        if header['kind'] == 'reply':
            return
        if is_active:
            await page.send_json({'do': 'prompt', 'n': 1, 'object': 0, 'stamp': header['stamp'],
                                  'points': [[*BAG_XY, 1]]})
        await page.send_json({'do': 'ack'})


class Tracked:
    """Counts the frames that the tracker has tracked, by its diagnostics."""

    def __init__(self) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        import rclpy

        rclpy.init()
        self._node = rclpy.create_node('bench')
        self._figures: dict[str, str] = {}
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._take, 10)
        threading.Thread(target=rclpy.spin, args=(self._node,), daemon=True).start()

    def _take(self, msg: Any) -> None:
        for status in msg.status:
            self._figures.update({each.key: each.value for each in status.values})
        self._at_s = time.monotonic()

    def rate(self, window_s: float) -> float:
        """Return frames a second over a window."""
        while 'frames out' not in self._figures:
            time.sleep(0.1)
        before, began_s = int(self._figures['frames out']), self._at_s
        time.sleep(window_s)
        return (int(self._figures['frames out']) - before) / (self._at_s - began_s)


def measure_viewer(address: str) -> None:
    """Compare frames a second with a viewer and without, in turns."""
    asyncio.run(talk(address, _prompt_bag))
    tracked, rates = Tracked(), {'without': [], 'with': []}
    for _ in range(WINDOWS):
        rates['without'].append(tracked.rate(WINDOW_S))
        with Viewer(address) as viewer:
            rates['with'].append(tracked.rate(WINDOW_S))
        print(f'without {rates["without"][-1]:.2f}, with {rates["with"][-1]:.2f} frames a second, '
              f'{viewer.frames / WINDOW_S:.1f} shown')
    without, with_one = (statistics.median(rates[each]) for each in ('without', 'with'))
    print(f'medians of {WINDOWS} windows of {WINDOW_S:.0f} s: {without:.2f} without and '
          f'{with_one:.2f} with a viewer: it costs {100 * (1 - with_one / without):.1f} %')


def resident_mib(name: str) -> float:
    """Return the resident memory of the newest process of that executable."""
    found = [path for path in Path('/proc').glob('[0-9]*/cmdline')
             if f'lib/sam2_tracker/{name}' in path.read_text().replace('\0', ' ')]
    status = max(found, key=lambda path: int(path.parent.name)).parent / 'status'
    line = next(each for each in status.read_text().splitlines() if each.startswith('VmRSS'))
    return int(line.split()[1]) / 1024


def measure_memory(address: str, minutes: float) -> None:
    """Follow the console's memory with a stalled client beside a good one."""
    asyncio.run(talk(address, _prompt_bag))
    with Viewer(address) as good, Viewer(address, acknowledges=False) as stalled:
        for minute in range(round(minutes) + 1):
            print(f'minute {minute}: console {resident_mib("console"):.1f} MiB, '
                  f'{good.frames} pictures taken, {stalled.frames} by the stalled one', flush=True)
            if minute < minutes:
                time.sleep(60)


def _load() -> str:
    return f'load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.console', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['clicks', 'viewer', 'memory'])
    parser.add_argument('--count', type=positive_int, default=40, help='clicks (default: 40)')
    parser.add_argument('--minutes', type=positive_float, default=10.0,
                        help='of memory (default: 10)')
    options = parser.parse_args(arguments)
    print(_load())
    with running_console() as address:
        if options.what == 'clicks':
            took_ms = sorted(measure_clicks(address, options.count))
            p95 = took_ms[min(len(took_ms) - 1, round(0.95 * len(took_ms)))]
            p50 = statistics.median(took_ms)
            print(f'click to mask, {len(took_ms)} clicks: p50 {p50:.0f} ms, p95 {p95:.0f} ms '
                  '(targets: 300 and 600)')
        elif options.what == 'viewer':
            measure_viewer(address)
        else:
            measure_memory(address, options.minutes)
    print(_load())
    return 0


if __name__ == '__main__':
    sys.exit(main())

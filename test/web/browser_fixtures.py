# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The browser of the console's tests, and where they keep pictures of the page."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import shutil
from typing import Any

import pytest

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
NO_BROWSER = ('no chromium on this machine: apt-get install -y chromium fonts-dejavu-core, and '
              'pip install -r requirements/dev.txt')
# Set where these tests have to run: they fail instead of being skipped.
REQUIRED = 'SAM2_TRACKER_BROWSER_REQUIRED'
PICTURES = Path(__file__).resolve().parents[2] / 'out' / 'console'


def chromium() -> str:
    """Return the browser's path, or skip."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    try:
        import playwright  # noqa: F401
    except ImportError:
        found = None
    if found is None:
        (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(NO_BROWSER)
    return found


@pytest.fixture(scope='session', name='browser')
def browser_fixture() -> Iterator[Any]:
    """Run one browser without a window."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root has no sandbox; in containers shared memory is small.
        running = playwright.chromium.launch(
            executable_path=path, args=['--no-sandbox', '--disable-dev-shm-usage'])
        yield running
        running.close()


@pytest.fixture(name='keep_picture')
def keep_picture_fixture() -> Any:
    """Keep a page's picture where somebody can look at it: in out/console."""

    def keep(page: Any, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.page.screenshot(path=PICTURES / f'{name}.png')

    return keep

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Put what a run found into docs/reliability.md, between its markers; nothing is typed by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import datetime
import os
from pathlib import Path
import platform
import re

from reliability.processes import ROOT

PAGE = ROOT / 'docs' / 'reliability.md'
_LONGEST_CELL = 220


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay cells out as a Markdown table; a cell is one line, and not endless."""
    lines = [headers, ['---'] * len(headers), *rows]
    return '\n'.join('| ' + ' | '.join(map(_cell, line)) + ' |' for line in lines)


def _cell(text: str) -> str:
    line = ' '.join(text.replace('|', '\\|').split())
    printable = ''.join(each if each.isprintable() else '\ufffd' for each in line)
    return printable if len(printable) <= _LONGEST_CELL else printable[:_LONGEST_CELL - 1] + '…'


def conditions(command: str) -> str:
    """Say when and on what a run was, and by which command."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC')
    return (f'`{command}` on {now}, {os.cpu_count()} cores ({platform.machine()}), '
            f'Python {platform.python_version()}.')


def fill_in(page: str, name: str, text: str) -> str:
    """
    Return a page with the place of a name filled.

    :raises ValueError: if the page has no such place
    """
    place = re.compile(rf'(<!-- table: {name} -->\n).*?(<!-- end of table -->)', re.DOTALL)
    if not place.search(page):
        raise ValueError(f'the page has no place for {name!r}')
    return place.sub(lambda match: f'{match[1]}\n{text}\n\n{match[2]}', page)


def write(name: str, text: str, page: Path = PAGE) -> None:
    """Fill a place of the page."""
    page.write_text(fill_in(page.read_text(), name, text))

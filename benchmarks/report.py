# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Put measured tables into docs/performance.md, between its markers; nothing is typed by hand.

    python -m benchmarks.report [--check]

A marker line names what follows it: `<!-- figures: objects -->` up to `<!-- end of figures -->`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import re
import sys

from benchmarks import targets
from benchmarks.machine import parser_of_results, ROOT
from benchmarks.results import load_some, Result
from sam2_tracker.core.command_line import refusing

PAGE = ROOT / 'docs' / 'performance.md'
_PLACE = re.compile(r'(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)', re.DOTALL)
_NOTHING = 'Not measured yet.'


def render(page: str, results: Sequence[Result]) -> str:
    """
    Return a page with every place filled.

    :raises ValueError: if the page has no place for one of the tables
    """
    named = {match[2] for match in _PLACE.finditer(page)}
    homeless = {result.table for result in results} - named
    if homeless:
        raise ValueError(f'the page has no place for {", ".join(sorted(homeless))}')
    return _PLACE.sub(lambda match: f'{match[1]}\n{_text(match[2], results)}\n\n{match[3]}', page)


def _text(name: str, results: Sequence[Result]) -> str:
    if name == 'targets':
        return targets.table(results) if results else _NOTHING
    found = [result.markdown for result in results if result.table == name]
    return '\n\n'.join(found) or _NOTHING


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; with --check only tell whether it is as the results are."""
    parser = parser_of_results(__doc__)
    parser.add_argument('--page', type=Path, default=PAGE)
    parser.add_argument('--check', action='store_true', help='write nothing; 1 if it is outdated')
    options = parser.parse_args(arguments)
    with refusing(parser.prog):
        before = options.page.read_text()
        after = render(before, load_some(options.results))
    if options.check:
        if before != after:
            print(f'{options.page.name} is not what results/ says: run '
                  '`python -m benchmarks.report`', file=sys.stderr)
        return int(before != after)
    options.page.write_text(after)
    print(f'wrote {options.page}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())

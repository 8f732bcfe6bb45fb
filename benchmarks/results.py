# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What a table leaves: JSON for machines, Markdown for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
import json
from pathlib import Path
import sys
from typing import Any

from benchmarks.machine import Conditions


@dataclass(frozen=True)
class Result:
    """
    One table.

    :param name: of the file
    :param table: which of the tables: objects, memory, prompts, node, stages, exactness, offline,
        transport, cameras
    :param rows: figures of each row by name
    :param text: the table and its notes as Markdown
    :param figures: what targets are about, by the target's name
    :param remarks: by the target's name, what has to be said with it
    :param refused: rows that do not count, with the reason
    """

    name: str
    table: str
    title: str
    conditions: Conditions
    rows: tuple[Mapping[str, Any], ...]
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    @property
    def markdown(self) -> str:
        """Return everything as it is printed."""
        refused = [f'**Refused**: {reason}.' for reason in self.refused]
        return '\n\n'.join([f'### {self.title}', self.conditions.sentence, self.text, *refused])


def save(result: Result, folder: Path) -> int:
    """Write a table's JSON and print its Markdown; the exit code, 1 if a row was refused."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f'{result.name}.json'
    unfinished = target.with_suffix('.tmp')
    unfinished.write_text(_as_json(result))
    unfinished.replace(target)
    print(result.markdown, flush=True)
    return int(bool(result.refused))


def _as_json(result: Result) -> str:
    """Lay a table out with a line for each row: of some tables there are hundreds."""
    rows = ',\n'.join(f'  {json.dumps(row)}' for row in result.rows)
    text = json.dumps({**asdict(result), 'rows': []}, indent=1)
    return text.replace('"rows": []', f'"rows": [\n{rows}\n ]', 1) + '\n'


def load_all(folder: Path) -> list[Result]:
    """Read every table of a folder, in the order of their names; others' JSON is left out."""
    found = []
    for path in sorted(folder.glob('*.json')):
        try:
            found.append(load(path))
        except (KeyError, TypeError, ValueError) as error:
            print(f'{path.name} is not a table as written today: {error!r}', file=sys.stderr)
    return found


def load_some(folder: Path) -> list[Result]:
    """
    Read every table of a folder that has to have some.

    :raises FileNotFoundError: if it has none
    """
    found = load_all(folder)
    if not found:
        raise FileNotFoundError(f'there is no result in {folder}: run `make bench`')
    return found


def load(path: Path) -> Result:
    """Read a table."""
    fields = json.loads(path.read_text())
    return Result(**{**fields, 'conditions': Conditions(**fields['conditions']),
                     'rows': tuple(fields['rows']), 'refused': tuple(fields['refused'])})


def markdown(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay cells out as a Markdown table; all columns but the first are figures."""
    marks = ['---', *['---:'] * (len(headers) - 1)]
    lines = [_line(headers), '|' + '|'.join(marks) + '|', *map(_line, rows)]
    return '\n'.join(lines)


def _line(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'

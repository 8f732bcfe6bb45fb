# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Write what follows from the settings: config/tracker.yaml and the README's table of parameters.

`make docs` runs it, and a test fails where it was forgotten.
"""

from __future__ import annotations

from pathlib import Path
import textwrap

from sam2_tracker.core.config import PARAMETERS
from sam2_tracker.core.settings import ParameterSpec, Value

ROOT = Path(__file__).resolve().parents[1]
YAML, README = ROOT / 'config' / 'tracker.yaml', ROOT / 'README.md'
BEGIN, END = '<!-- parameters:begin (make docs writes this) -->\n', '<!-- parameters:end -->\n'

_HEAD = """\
# Every parameter of the tracker with its default. Pass a copy of it with
#   ros2 launch sam2_tracker tracker.launch.py params_file:=my.yaml
# The comment says what it is, what is accepted, and when it may be set:
# fixed (at start only), at configure (while unconfigured) or live.
/**:
  ros__parameters:
"""


def written() -> dict[Path, str]:
    """
    Return each file that is written, with its text.

    :raises ValueError: the README has lost its markers
    """
    before, begin, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f'README.md has no line {((begin and END) or BEGIN).strip()!r}')
    return {YAML: as_yaml(), README: f'{before}{begin}\n{as_markdown()}\n{end}{after}'}


def yaml_value(value: Value) -> str:
    """Write a value as YAML."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    if isinstance(value, str):
        return f"'{value}'"
    return str(value)


def as_yaml() -> str:
    """Return the text of config/tracker.yaml."""
    lines = [_HEAD.rstrip('\n')]
    group = ''
    for spec in PARAMETERS.values():
        prefix, _, key = spec.name.rpartition('.')
        if prefix != group and prefix:
            lines.append(f'    {prefix}:')
        group = prefix
        indent = ' ' * (6 if prefix else 4)
        lines += [*_comment(spec, indent), f'{indent}{key}: {yaml_value(spec.default)}']
    return '\n'.join(lines) + '\n'


def _comment(spec: ParameterSpec, indent: str) -> list[str]:
    facts = f'Accepted: {spec.accepted}. Settable: {spec.when.value}.'
    comment = f'{indent}# '
    return [line for text in (spec.description, facts)
            for line in textwrap.wrap(text, 99, initial_indent=comment, subsequent_indent=comment)]


def as_markdown() -> str:
    """Return the parameter table for the README."""
    head = ['| parameter | default | accepted | settable | what it does |',
            '|---|---|---|---|---|']
    return '\n'.join(head + [_markdown_row(spec) for spec in PARAMETERS.values()]) + '\n'


def _markdown_row(spec: ParameterSpec) -> str:
    return (f'| `{spec.name}` | `{yaml_value(spec.default)}` | {spec.accepted} '
            f'| {spec.when.value} | {spec.description} |')


def main() -> None:
    """Write the files."""
    for path, text in written().items():
        path.write_text(text)


if __name__ == '__main__':
    main()

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Write the parameter table as config/tracker.yaml or as README's table."""

from __future__ import annotations

import sys
import textwrap

from sam2_tracker.core.settings import PARAMETERS, ParameterSpec, Value

_HEAD = """\
# Every parameter of the tracker with its default. Pass a copy of it with
#   ros2 launch sam2_tracker tracker.launch.py params_file:=my.yaml
# The comment says what it is, what is accepted, and when it may be set:
# fixed (at start only), at configure (while unconfigured) or live.
/**:
  ros__parameters:
"""


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


if __name__ == '__main__':
    sys.stdout.write(as_markdown() if sys.argv[1:] == ['markdown'] else as_yaml())

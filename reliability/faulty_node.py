# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The node with a model that fails on command.

    python -m reliability.faulty_node ORDERS --ros-args ...

As long as the file ORDERS is there, with a line `METHOD KIND TIMES`, the next so many calls of
that method of the model fail in that way; then the file is removed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
import sys
import time
from typing import Any

from reliability.package_parts import run_node_with

METHODS = ('encode', 'track', 'prompt', 'summarise')
HANG_S = 20.0


def _fail(kind: str) -> None:
    if kind == 'memory':
        import torch

        raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')
    if kind == 'value':
        raise ValueError('ordered by the check')
    if kind == 'assert':
        raise AssertionError
    # Not an Exception: what a thread catches to go on does not catch it.
    if kind == 'exit':
        raise SystemExit(3)
    if kind == 'hang':
        time.sleep(HANG_S)


class FailingModel:
    """A model that is the given one in all but what the orders say."""

    def __init__(self, model: Any, orders: Path) -> None:
        self._model = model
        self._orders = orders

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._model, name)
        return self._obedient(name, found) if name in METHODS else found

    def _obedient(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with suppress(FileNotFoundError):
                self._obey(name)
            return method(*arguments, **named)
        return call

    def _obey(self, name: str) -> None:
        method, kind, times = self._orders.read_text().split()
        if method != name:
            return
        if int(times) > 1:
            self._orders.write_text(f'{method} {kind} {int(times) - 1}')
        else:
            self._orders.unlink()
        _fail(kind)


if __name__ == '__main__':
    sys.exit(run_node_with(lambda model: FailingModel(model, Path(sys.argv[1])), sys.argv[2:]))

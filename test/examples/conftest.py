# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the examples share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import sys
from typing import Any

from message_overlay import overlay_environment
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'test' / 'ros'))


@pytest.fixture
def graph(needs_ros: None, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Join the domain that the test module names in DOMAIN_ID."""
    from ros_graph import graph_in

    with graph_in(request.module.DOMAIN_ID) as joined:
        yield joined


@pytest.fixture(scope='session')
def environment(needs_ros: None) -> dict[str, str]:
    """Give a process's environment with messages that need not be installed."""
    return overlay_environment()


@pytest.fixture
def start(
    needs_ros: None, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """Start examples and executables in processes of their own; end those that still run."""
    from tracker_runner import executable, TrackerProcess

    running: list[Any] = []

    def start_one(
        name: str, *arguments: str, environment: dict[str, str] | None = None, **parameters: object
    ) -> Any:
        example = [sys.executable, str(ROOT / 'examples' / name), *arguments]
        command = example if name.endswith('.py') else [executable(name)]
        log = tmp_path / f'{name}.log'
        running.append(
            TrackerProcess(
                request.module.DOMAIN_ID, log, parameters, environment=environment,
                command=command)
        )
        return running[-1]

    yield start_one
    for process in running:
        process.end()

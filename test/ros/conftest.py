# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What most ROS tests share. Where ROS or the messages are missing, all of them are skipped."""

from __future__ import annotations

from collections.abc import Iterator
import itertools
import os
from pathlib import Path
from typing import Any

from message_overlay import overlay_environment
import pytest
from ros_lock import _one_run_at_a_time  # noqa: F401
from ros_modules import pytest_pycollect_makemodule  # noqa: F401

NUMBERS = itertools.count()

# As the older distributions do always: refuse a field of another type.
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'


# Whatever is said there of the node holds for that of a camera among several, too.
CONTRACT = {
    'test_clicks', 'test_detections_in', 'test_diagnostics', 'test_faults', 'test_lifecycle',
    'test_memory_services', 'test_publishers', 'test_refusals', 'test_services', 'test_sessions',
    'test_stream'}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of the contract with the nodes of both executables."""
    names = metafunc.fixturenames
    # What gets an environment is a process, which is always the executable `tracker`.
    is_either = 'tested' in names and 'environment' not in names
    if is_either and metafunc.module.__name__ in CONTRACT:
        metafunc.parametrize('tested', ['tracker', 'trackers'], indirect=True, scope='module')


@pytest.fixture(scope='module', name='tested')
def tested_fixture(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let rigs have the node of this executable."""
    from node_rig import NodeRig

    NodeRig.is_one_of_several = getattr(request, 'param', 'tracker') == 'trackers'
    yield
    NodeRig.is_one_of_several = False


@pytest.fixture(scope='module')
def graph(request: pytest.FixtureRequest, tested: None) -> Iterator[Any]:
    """Join the domain that the test module names in DOMAIN_ID."""
    from ros_graph import graph_in

    with graph_in(request.module.DOMAIN_ID) as joined:
        yield joined


@pytest.fixture(scope='session')
def environment() -> dict[str, str]:
    """Give a process's environment with messages that need not be installed."""
    return overlay_environment()


@pytest.fixture
def start(graph: Any) -> Iterator[Any]:
    """Start trackers in this process, on a model without a network, each in a namespace."""
    from node_rig import NodeRig

    rigs = []

    def start_one(*overrides: str, **options: Any) -> NodeRig:
        options.setdefault('namespace', f'stream_{next(NUMBERS)}')
        rigs.append(NodeRig(graph, *overrides, **options))
        return rigs[-1]
    yield start_one
    for rig in rigs:
        rig.close()


@pytest.fixture(name='folder')
def folder_fixture(tmp_path: Path) -> Path:
    """Name the directory of the trackers' object memories."""
    return tmp_path / 'memories'


@pytest.fixture(name='tracker')
def tracker_fixture(start: Any, folder: Path) -> Any:
    """Start trackers whose memories can be saved."""
    from memory_rig import RememberingLoader, WEIGHTS

    def start_one(*overrides: str, weights: str = WEIGHTS, image_size: int = 64) -> Any:
        return start(f'memory.directory:={folder}', *overrides,
                     loader=RememberingLoader(weights, image_size))
    return start_one

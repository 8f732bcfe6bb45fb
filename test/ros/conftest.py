# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What most ROS tests share; ROS is only imported where a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
import itertools
from typing import Any

import pytest

NUMBERS = itertools.count()


@pytest.fixture(scope='module')
def graph(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Join the domain that the test module names in DOMAIN_ID."""
    from ros_graph import graph_in

    with graph_in(request.module.DOMAIN_ID) as joined:
        yield joined


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

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of outputs share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(name='outputs')
def outputs_fixture(graph: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give a node with nothing but the outputs, which publish."""
    from outputs_rig import Outputs

    outputs = Outputs(graph, f'outputs_{abs(hash(request.node.name)) % 10 ** 8}')
    yield outputs
    outputs.outputs.stop()
    outputs.outputs.clear()
    outputs.node.destroy_node()

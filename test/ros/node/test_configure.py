# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What configure refuses with the real models, and that the bundled one loads and warms."""

from __future__ import annotations

from node_rig import NodeRig, SUCCESS
import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from ros_graph import graph_in
from sam2_tracker.core.log import Level
from std_srvs.srv import Trigger

DOMAIN_ID = 39
torch = pytest.importorskip('torch')


@pytest.fixture(scope='module')
def graph():
    torch.set_num_threads(1)
    with graph_in(DOMAIN_ID) as joined:
        yield joined


@pytest.fixture(name='said')
def said_fixture():
    return []


@pytest.fixture(name='configure')
def configure_fixture(graph, monkeypatch, tmp_path, said):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    rigs = []

    def configure(*overrides):
        from sam2_tracker.ros.node.engine import Sam2Loader

        rig = NodeRig(graph, *overrides, namespace=f'configure_{len(rigs)}', active=False,
                      loader=Sam2Loader(lambda *line: said.append(line)))
        rigs.append(rig)
        return rig, rig.node.trigger_configure()
    yield configure
    for rig in rigs:
        rig.close()


def refusal(configure, *overrides) -> str:
    rig, outcome = configure(*overrides)
    assert outcome == TransitionCallbackReturn.FAILURE
    reply = rig.call(Trigger, 'reset')
    assert not reply.success and reply.message.startswith('the tracker is unconfigured: ')
    return reply.message


def test_the_bundled_model_loads_with_a_warning_what_it_is_for(configure, said):
    _, outcome = configure()
    assert outcome == SUCCESS
    assert [level for level, text in said if text.startswith('model nano is for demos')] == [
        Level.WARN]


def test_a_missing_checkpoint_names_the_line_to_type(configure):
    message = refusal(configure, 'model:=sam2.1_hiera_tiny')
    assert 'ros2 run sam2_tracker fetch_checkpoint sam2.1_hiera_tiny' in message


def test_a_checkpoint_path_that_does_not_exist_is_named(configure, tmp_path):
    assert str(tmp_path / 'no.pt') in refusal(configure, f'checkpoint:={tmp_path / "no.pt"}')


def test_a_corrupt_checkpoint_is_refused(configure, tmp_path):
    path = tmp_path / 'corrupt.pt'
    path.write_bytes(b'this is no checkpoint')
    assert str(path) in refusal(configure, f'checkpoint:={path}')


def test_the_checkpoint_of_another_model_is_refused(configure):
    from sam2_tracker.models import nano

    path = f'{nano.__path__[0]}/nano.pt'
    message = refusal(configure, 'model:=sam2.1_hiera_tiny', f'checkpoint:={path}')
    assert 'sam2.1_hiera_tiny' in message


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has CUDA')
def test_no_cuda_is_said(configure):
    assert 'finds no CUDA device here; use cpu or auto' in refusal(configure, 'device:=cuda')

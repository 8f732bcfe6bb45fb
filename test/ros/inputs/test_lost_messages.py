# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that the middleware loses are counted on /diagnostics, with a real flood over UDP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import subprocess
import sys

from diagnostic_msgs.msg import DiagnosticArray
import pytest
from sensor_msgs.msg import PointCloud2
from tracker_runner import executable, TrackerProcess

DOMAIN_ID = 95
FOLDER = Path(__file__).resolve().parents[1]
FLOOD = 100
SETTINGS = {'frame_policy': 'latest', 'detections.use': True, 'prompt.clicked_point': True}


@contextmanager
def flood(environment: dict[str, str], *named: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, str(FOLDER / 'flood_stub.py'), *named],
                               env={**environment, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(name='udp')
def udp_fixture(environment: dict[str, str]) -> dict[str, str]:
    """Let the middleware send through the network, which nothing slows down."""
    return {**environment, 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}


def lost_of(inbox, name: str, keys: Sequence[str]) -> dict[str, int]:
    """Wait until a node has counted losses under all these keys; return all of its losses."""
    def figures(array: DiagnosticArray) -> dict[str, str]:
        return {value.key: value.value for status in array.status if status.name == name
                for value in status.values}

    array = inbox.wait_for(lambda each: all(
        int(figures(each).get(key, '0')) for key in keys))
    return {key: int(value) for key, value in figures(array).items() if key.endswith(' lost')}


def test_pictures_and_detections_that_are_lost_on_the_way_are_counted(
    graph, udp: dict[str, str], tmp_path: Path
) -> None:
    inbox = graph.inbox(DiagnosticArray, '/diagnostics')
    tracker = TrackerProcess(
        DOMAIN_ID, tmp_path / 'tracker.log', SETTINGS, ['-r', '__ns:=/flooded'], udp,
        command=[sys.executable, str(FOLDER / 'fake_tracker.py')])
    try:
        tracker.wait_until_active()
        with flood(udp, 'image:/flooded/image',
                   'detections:/flooded/sam2_tracker/detections_in'):
            lost = lost_of(inbox, '/flooded/sam2_tracker: tracker',
                           ['frames lost', 'detections lost'])
        assert lost['clicks lost'] == 0
        assert lost['frames lost'] <= FLOOD and lost['detections lost'] <= FLOOD
        tracker.wait_for('detections of /flooded/sam2_tracker/detections_in were lost on the way')
        assert tracker.output.count('were lost on the way') == 1
    finally:
        tracker.end()


@pytest.mark.parametrize('flooded', ['image:/flooded/depth', 'camera_info:/flooded/camera_info'])
def test_what_lift_does_not_get_is_counted(
    graph, udp: dict[str, str], flooded: str
) -> None:
    inbox = graph.inbox(DiagnosticArray, '/diagnostics')
    graph.inbox(PointCloud2, '/flooded/lift/points')
    lift = subprocess.Popen(
        [executable('lift'), '--ros-args', '-r', '__ns:=/flooded'],
        env={**os.environ, **udp, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    try:
        with flood(udp, flooded):
            lost = lost_of(inbox, '/flooded/lift: lift', ['messages lost'])
        assert lost['messages lost'] <= FLOOD
    finally:
        lift.terminate()
        assert lift.wait(30) == 0

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of transports: what it makes of figures, and real processes."""

from __future__ import annotations

from pathlib import Path
import re
import socket
from xml.etree import ElementTree

from benchmarks import transport
from benchmarks.results import load_all
from benchmarks.transport import Measured, Network, Setting
from benchmarks.transport_cells import Cell, CELLS
import pytest
from ros_lock import _one_run_at_a_time  # noqa: F401
from tools.transport import DOMAINS, own_network, PROFILE, profile_variables

DOMAIN_ID = 84
CELL = Cell('reliable', 640, 480, 30)


def test_a_cell_is_the_median_of_its_rounds() -> None:
    found = Measured()
    for count, late_ms in ((10, 5.0), (5, 7.0), (9, 6.0)):
        found.keep_images({CELL.name: 10}, {CELL.name: [late_ms] * count})
    assert found.shown(CELL) == '90%, 6.0 / 6.0'


def test_a_cell_of_which_nothing_arrived_has_no_latency() -> None:
    found = Measured()
    found.keep_images({CELL.name: 10}, {CELL.name: []})
    assert found.shown(CELL) == '0%'


def test_calls_without_an_answer_are_counted() -> None:
    found = Measured()
    for answer_s in (0.5, None, 0.5):
        found.keep_answer('call', answer_s)
    found.keep_answer('get', None)
    assert (found.answers('call'), found.answers('get')) == ('2 of 3, 0.50 / 0.50', '0 of 1')


def test_sizes_are_those_of_cameras() -> None:
    assert sorted({round(cell.megabytes, 1) for cell in CELLS}) == [0.1, 0.5, 0.9, 2.8, 6.2]


def test_the_profile_s_shared_memory_holds_more_than_two_of_the_largest_images() -> None:
    profile = ElementTree.parse(PROFILE)
    size = profile.find('.//{http://www.eprosima.com}segment_size')
    assert size is not None and size.text is not None
    assert int(size.text) > 2e6 * max(cell.megabytes for cell in CELLS)


@pytest.mark.parametrize(('package', 'name'), [
    ('fastdds', 'FASTDDS_DEFAULT_PROFILES_FILE'), ('fastrtps', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
])
def test_the_profile_is_named_as_the_installed_fast_dds_expects_it(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    (tmp_path / 'share' / package).mkdir(parents=True)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert profile_variables() == {name: str(PROFILE)}


def test_a_demo_takes_a_domain_that_nobody_has() -> None:
    first = int(own_network()['ROS_DOMAIN_ID'])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('', 7410 + 250 * first))
        second = int(own_network()['ROS_DOMAIN_ID'])
    assert second != first
    assert {first, second} <= set(DOMAINS)


def test_each_module_of_tests_has_a_domain_that_no_other_and_no_demo_has() -> None:
    sources = [path.read_text() for path in Path(__file__).parents[1].rglob('*.py')]
    found = [int(number) for source in sources
             for number in re.findall(r'^DOMAIN_ID = (\d+)$', source, re.MULTILINE)]
    assert len({*found}) == len(found) > 30
    # Above 101 a domain's ports are those that other programs are given at random.
    assert max(DOMAINS) < min(found) and max(found) <= 101


@pytest.mark.usefixtures('needs_ros')
def test_a_client_that_hangs_is_ended_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, '_ANSWER_BOUND_S', 6.0)
    monkeypatch.setattr(transport, '_DISCOVERED_S', 0.0)
    elsewhere = Setting({'ROS_DOMAIN_ID': str(DOMAIN_ID + 1)}, {})
    answers = list(Network(elsewhere, '', DOMAIN_ID).answers(1))
    assert answers == [('call', None), ('get', None)]


@pytest.mark.usefixtures('needs_ros')
def test_transports_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = transport.SETTINGS['profile']
    monkeypatch.setattr(transport, 'SETTINGS', {'profile': profile})
    arguments = ['--rounds', '2', '--seconds', '0.05', '--calls', '1', '--localhost',
                 '--domain-id', str(DOMAIN_ID), '--results', str(tmp_path)]
    assert transport.main(arguments) == 0
    result, = load_all(tmp_path)
    assert (result.name, result.table) == ('transport_localhost', 'transport')
    reliable = [row for row in result.rows if row.get('images', '').startswith('reliable')]
    assert len(reliable) == 15 and all(set(row['shares']) == {1.0} for row in reliable)
    calls = {row['calls']: row['asked'] for row in result.rows if 'calls' in row}
    assert calls == {'service call': 2, 'parameter get': 2}
    assert 'ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST' in result.text


def test_rounds_without_images_are_said() -> None:
    found = Measured()
    for cell in CELLS:
        found.keep_images({cell.name: 1}, {cell.name: [1.0]})
    assert transport.table({'a way': found}, 3, 1.0, '').endswith('figures: 2 of a way.')
    assert 'without images' not in transport.table({'a way': found}, 1, 1.0, '')

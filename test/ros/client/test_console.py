# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# flake8: noqa: E402, I100
"""ROS's side of the console: what it finds in the graph, asks of a node, and its executable."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any
import urllib.request

import numpy as np
import pytest
from rclpy.node import Node
from sam2_tracker.core.errors import TrackerError
from sam2_tracker.core.types import Prompt
from sam2_tracker.ros.client import console_client
from sam2_tracker.ros.client.console_client import ConsoleClient
from sam2_tracker.web.settings import ConsoleConfig
from sam2_tracker.web.tracker_client import Health, NoAnswerError, PromptCall
from tracker_runner import executable, TestCamera, TrackerProcess
from waiting import wait_until

DOMAIN_ID = 74


class Recorder:
    """An `Observer` that keeps everything, and a loop for the client to live in."""

    def __init__(self, graph: Any, tracker: str, **settings: Any) -> None:
        self.pictures: list[Any] = []
        self.objects: dict[int, Any] = {}
        self.labels: dict[int, Any] = {}
        self.health: list[Health] = []
        self.threads: set[int] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._node = Node('console', context=graph.context, use_global_arguments=False)
        self.client = ConsoleClient(self._node, ConsoleConfig(tracker=tracker, **settings))
        self.run(self._start())

    async def _start(self) -> None:
        self.client.start(self)

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def watch(self, is_watched: bool) -> None:
        self._loop.call_soon_threadsafe(self.client.watch, is_watched)

    def on_picture(self, picture: Any) -> None:
        self.threads.add(threading.get_ident())
        self.pictures.append(picture)

    def on_objects(self, stamp_ns: int, objects: Any) -> None:
        self.objects[stamp_ns] = objects

    def on_labels(self, stamp_ns: int, labels: Any) -> None:
        self.labels[stamp_ns] = labels

    def on_health(self, health: Health) -> None:
        self.health.append(health)

    def close(self) -> None:
        self.client.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._node.destroy_node()


@pytest.fixture(name='record')
def record_fixture(graph: Any) -> Iterator[Any]:
    """Start clients; stop them."""
    running: list[Recorder] = []

    def record_one(tracker: str, **settings: Any) -> Recorder:
        running.append(Recorder(graph, tracker, **settings))
        return running[-1]

    yield record_one
    for each in running:
        each.close()


def click(stamp_ns: int, **fields: Any) -> PromptCall:
    prompt = Prompt(points_xy=np.array([[20, 20]], np.float32), point_labels=np.ones(1, np.int32))
    return PromptCall(prompt, stamp_ns, **fields)


def test_pictures_masks_and_objects_of_the_tracker_s_own_camera_come_by_their_stamps(
        start: Any, record: Any) -> None:
    rig = start()
    recorder = record(rig.prefix)
    recorder.watch(True)
    wait_until(lambda: rig.camera.get_subscription_count() == 2, what='the console to look')
    wait_until(lambda: rig.graph.node.count_subscribers(f'{rig.prefix}/label_image'))
    stamp_ns = rig.track()
    wait_until(lambda: recorder.pictures and recorder.pictures[-1].stamp_ns == stamp_ns)
    answer = recorder.run(recorder.client.prompt(click(stamp_ns, with_label_image=True)))
    assert answer.is_done and answer.stamp_ns == stamp_ns
    assert [each.id for each in answer.objects] == [1]
    assert set(np.unique(answer.labels)) == {0, 1}
    next_ns = rig.track()
    wait_until(lambda: next_ns in recorder.labels and recorder.objects.get(next_ns))
    assert recorder.pictures[-1].stamp_ns == next_ns
    assert recorder.pictures[-1].pixels()[0, 0, 1] == rig.sent - 1
    assert recorder.labels[next_ns]().shape == recorder.pictures[-1].hw == (48, 64)
    assert recorder.threads == {recorder._thread.ident}


def test_nothing_large_is_subscribed_to_while_nobody_looks(start: Any, record: Any) -> None:
    rig = start()
    recorder = record(rig.prefix)
    stamp_ns = rig.track()
    wait_until(lambda: stamp_ns in recorder.objects)
    assert rig.camera.get_subscription_count() == 1
    assert not rig.graph.node.count_subscribers(f'{rig.prefix}/label_image')
    recorder.watch(True)
    wait_until(lambda: rig.camera.get_subscription_count() == 2)
    recorder.watch(False)
    wait_until(lambda: rig.camera.get_subscription_count() == 1)
    wait_until(lambda: not rig.graph.node.count_subscribers(f'{rig.prefix}/label_image'))
    assert not recorder.pictures


def test_refusals_and_health_are_in_the_tracker_s_own_words(start: Any, record: Any) -> None:
    rig = start()
    recorder = record(rig.prefix)
    rig.track()
    wait_until(lambda: recorder.client._clients['remove_object'].service_is_ready())
    refused = recorder.run(recorder.client.remove(7))
    assert not refused.is_done and 'object 7' in refused.sentence
    wait_until(lambda: recorder.health and recorder.health[-1].state == 'active')
    assert recorder.run(recorder.client.pause(True)).is_done
    wait_until(lambda: recorder.health[-1].is_paused)
    assert recorder.run(recorder.client.pause(False)).is_done
    assert recorder.run(recorder.client.list_objects()).objects == ()
    assert recorder.run(recorder.client.reset()).is_done


def test_a_tracker_that_is_away_is_said_and_nothing_is_sent(
        record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_client, 'SILENT_AFTER_S', 0.5)
    recorder = record('/nowhere/sam2_tracker')
    with pytest.raises(TrackerError, match='is not there, and nothing was sent') as refused:
        recorder.run(recorder.client.prompt(click(0)))
    assert not isinstance(refused.value, NoAnswerError)
    wait_until(lambda: recorder.health)
    assert recorder.health[-1].state == 'away'
    assert 'nothing is heard of /nowhere/sam2_tracker' in recorder.health[-1].sentence


def test_a_tracker_that_is_started_again_is_found_again_with_nothing_of_the_old_one(
        start: Any, record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_client, 'SILENT_AFTER_S', 1.5)
    rig = start(namespace='restarted')
    recorder = record(rig.prefix)
    recorder.watch(True)
    wait_until(lambda: rig.camera.get_subscription_count() == 2, what='the console to look')
    stamp_ns = rig.track()
    wait_until(lambda: recorder.pictures and recorder.pictures[-1].stamp_ns == stamp_ns)
    assert recorder.run(recorder.client.prompt(click(stamp_ns))).is_done
    rig.close()
    wait_until(lambda: recorder.health and recorder.health[-1].state == 'away',
               what='the console to say so')
    with pytest.raises(TrackerError, match='is not there, and nothing was sent'):
        recorder.run(recorder.client.prompt(click(stamp_ns)))
    again = start(namespace='restarted')
    wait_until(lambda: recorder.health[-1].state != 'away', what='the console to find it')
    wait_until(lambda: recorder.client._clients['add_prompts'].service_is_ready())
    assert recorder.run(recorder.client.list_objects()).objects == ()
    wait_until(lambda: again.camera.get_subscription_count() == 2, what='the console to look')
    again_ns = again.track()
    wait_until(lambda: recorder.pictures[-1].stamp_ns == again_ns)
    answer = recorder.run(recorder.client.prompt(click(again_ns)))
    assert answer.is_done and answer.stamp_ns == again_ns
    assert [each.id for each in answer.objects] == [1]


def test_a_tracker_that_was_killed_is_known_to_be_away_at_once_and_found_when_it_is_back(
        graph: Any, record: Any, tmp_path: Path) -> None:
    def run(name: str) -> TrackerProcess:
        process = TrackerProcess(DOMAIN_ID, tmp_path / name, {'model': 'nano'},
                                 ['-r', '__ns:=/killed'])
        process.wait_until_active()
        camera.wait_for_tracker()
        wait_until(lambda: recorder.health and recorder.health[-1].state == 'active')
        return process

    def track() -> int:
        stamp_ns = camera.publish()
        wait_until(lambda: stamp_ns in recorder.objects)
        return stamp_ns

    camera = TestCamera(graph, '/killed/image')
    recorder = record('/killed/sam2_tracker')
    process = run('first.log')
    stamp_ns = track()
    process.send(signal.SIGKILL)
    process.process.wait()
    killed_s = time.monotonic()
    with pytest.raises(NoAnswerError, match='gave no answer, and nothing is heard of /killed'):
        recorder.run(recorder.client.prompt(click(stamp_ns)))
    wait_until(lambda: recorder.health[-1].state == 'away')
    assert time.monotonic() - killed_s < 5
    # DDS has not given it up yet, and with a client's word for it a click would wait for 20 s.
    assert recorder.client._clients['add_prompts'].service_is_ready()
    asked_s = time.monotonic()
    with pytest.raises(TrackerError, match='and nothing was sent: it was killed, or hangs'):
        recorder.run(recorder.client.prompt(click(stamp_ns)))
    assert time.monotonic() - asked_s < 1
    again = run('again.log')
    answer = recorder.run(recorder.client.prompt(click(track())))
    assert answer.is_done and [each.id for each in answer.objects] == [1]
    again.assert_ends_cleanly()


def test_a_prompt_that_is_not_answered_is_sent_once_and_said_to_be_open(
        start: Any, record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_client, 'ANSWER_TIMEOUT_S', 1.0)
    rig = start('prompt.timeout_s:=30.0')
    recorder = record(rig.prefix)
    stamp_ns = rig.track()
    wait_until(lambda: recorder.client._clients['add_prompts'].service_is_ready())
    # Without objects nothing is encoded: the prompt itself waits for that.
    rig.predictor.gate.clear()
    with pytest.raises(NoAnswerError, match='gave no answer within 1 s'):
        recorder.run(recorder.client.prompt(click(stamp_ns)))
    rig.predictor.gate.set()
    wait_until(lambda: [each.id for each in recorder.run(
        recorder.client.list_objects()).objects] == [1])


def test_the_executable_says_where_it_is_serves_its_page_and_ends_cleanly(
        tmp_path: Path) -> None:
    process = TrackerProcess(DOMAIN_ID, tmp_path / 'console.log', {'port': 0},
                             command=[executable('console')])
    process.wait_for('is at http://127.0.0.1:')
    address = re.search(r'http://127.0.0.1:\d+/', process.output)[0]
    with urllib.request.urlopen(address, timeout=30) as page:
        assert b'<title>SAM 2 tracker console</title>' in page.read()
    process.assert_ends_cleanly(signal.SIGTERM)


def test_on_other_addresses_the_log_says_where_the_token_is_and_not_what_it_is(
        tmp_path: Path) -> None:
    process = TrackerProcess(
        DOMAIN_ID, tmp_path / 'console.log', {'port': 0, 'host': '0.0.0.0'},
        command=[executable('console')], environment={'XDG_RUNTIME_DIR': str(tmp_path)})
    process.wait_for('in clear: tls_cert and tls_key')
    (path,) = tmp_path.glob('sam2_tracker/*.token')
    assert str(path) in process.output
    assert path.read_text().strip() not in process.output
    process.assert_ends_cleanly()


@pytest.mark.parametrize(('setting', 'sentence'), [
    ('port:=70000', "console: parameter 'port' is 70000: "),
    ("image:='no topic'", "console: parameter 'image' is 'no topic': the name of a topic"),
    ("token:='my secret'", "console: parameter 'token' is not 16 to 128 letters")])
def test_a_setting_that_is_not_accepted_is_one_sentence(setting: str, sentence: str) -> None:
    command = [executable('console'), '--ros-args', '-p', setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90,
                          env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(sentence)
    assert 'my secret' not in done.stderr
    assert 'Traceback' not in done.stderr


def test_help_lists_every_parameter() -> None:
    command = [sys.executable, '-m', 'sam2_tracker.ros.client.console', '--help']
    text = subprocess.check_output(command, text=True, timeout=90)
    assert 'ros2 run sam2_tracker console' in text
    assert 'jpeg_quality' in text

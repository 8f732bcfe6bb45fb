# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker as the console's server sees it: its topics and services, from the server's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import contextlib
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.task import Future
from sam2_tracker.core.errors import FrameError, TrackerError
from sam2_tracker.ros.client.camera_pictures import CameraPictures
from sam2_tracker.ros.messages import (
    label_image_from_msg,
    prompt_to_msg,
    stamp_from_msg,
    stamp_to_msg,
    tracked_object_from_msg,
    tracked_objects_from_msg,
)
from sam2_tracker.ros.qos import LATCHED, OUTPUT, SERVICE
from sam2_tracker.ros.standing_node import spin
from sam2_tracker.web.settings import ConsoleConfig
from sam2_tracker.web.tracker_client import (
    Answer,
    Health,
    NoAnswerError,
    Observer,
    Picture,
    PromptCall,
)
from sam2_tracker_msgs.msg import TrackedObjects
from sam2_tracker_msgs.srv import AddPrompts, ListObjects, LoadMemory, RemoveObject, SaveMemory
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

# Longer than the tracker's own prompt.timeout_s, after which it answers itself.
ANSWER_TIMEOUT_S = 20.0
LOOK_PERIOD_S = 0.5
REVIEW_PERIOD_S = 0.5
# Diagnostics come once a second, whatever the tracker does. The graph is no sign of one that was
# killed: its services stay there until its participant is given up, after 20 s.
SILENT_AFTER_S = 2.5
# What the loop has not taken yet of pictures and masks; the rest is left out.
MAX_ON_THE_WAY = 60
LEVELS = {DiagnosticStatus.OK: 'ok', DiagnosticStatus.WARN: 'warning'}
SERVICES = {
    'add_prompts': AddPrompts, 'remove_object': RemoveObject, 'list_objects': ListObjects,
    'reset': Trigger, 'pause': SetBool, 'save_memory': SaveMemory, 'load_memory': LoadMemory}


class ConsoleClient:
    """
    A `TrackerClient` of a tracker in the ROS graph.

    Its callbacks run in a thread of their own; all that the server hears comes in the server's.
    """

    def __init__(self, node: Node, config: ConsoleConfig) -> None:
        self._node = node
        self._tracker = expand_topic_name(config.tracker, node.get_name(), node.get_namespace())
        self._camera = CameraPictures(node, self._tracker, config.image, self._on_picture)
        self._clients: dict[str, Client] = {}
        self._labels: Subscription | None = None
        self._heard_at_s = time.monotonic()
        self._on_the_way = 0
        self._is_closed = threading.Event()

    @property
    def tracker(self) -> str:
        """Return the tracker's full name."""
        return self._tracker

    def start(self, observer: Observer) -> None:
        """Begin to tell what comes."""
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        node, name = self._node, self._tracker
        for service, kind in SERVICES.items():
            self._clients[service] = node.create_client(
                kind, f'{name}/{service}', qos_profile=SERVICE)
        node.create_subscription(TrackedObjects, f'{name}/objects', self.on_objects, LATCHED)
        node.create_subscription(DiagnosticArray, '/diagnostics', self.on_diagnostics, 10)
        node.create_timer(REVIEW_PERIOD_S, self.on_review, MutuallyExclusiveCallbackGroup(),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(
            target=spin, args=(self._executor, node, self._is_closed.is_set, LOOK_PERIOD_S),
            name='ros', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell nothing any more."""
        self._is_closed.set()
        self._executor.shutdown(LOOK_PERIOD_S)
        self._thread.join(2 * LOOK_PERIOD_S)

    def watch(self, is_watched: bool) -> None:
        """Subscribe to pictures and masks, or unsubscribe, in the executor's thread."""
        self._executor.create_task(self._watch, is_watched)

    def _watch(self, is_watched: bool) -> None:
        self._camera.want(is_watched)
        if is_watched and self._labels is None:
            self._labels = self._node.create_subscription(
                Image, f'{self._tracker}/label_image', self.on_label_image, OUTPUT,
                callback_group=MutuallyExclusiveCallbackGroup())
        elif not is_watched and self._labels is not None:
            self._node.destroy_subscription(self._labels)
            self._labels = None

    # What comes, in the executor's thread.

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        if not self._is_closed.is_set():
            with contextlib.suppress(RuntimeError):  # The loop has just ended.
                self._loop.call_soon_threadsafe(callback, *arguments)

    def _tell_in_time(self, callback: Callable[..., None], *arguments: object) -> None:
        """Tell of something large, unless the loop is far behind."""
        if self._on_the_way >= MAX_ON_THE_WAY:
            return
        self._on_the_way += 1

        def take() -> None:
            self._on_the_way -= 1
            callback(*arguments)

        self._tell(take)

    def _on_picture(self, picture: Picture) -> None:
        self._tell_in_time(self._observer.on_picture, picture)

    def on_label_image(self, msg: Image) -> None:
        """Take the masks of a frame."""
        self._heard_at_s = time.monotonic()
        self._tell_in_time(self._observer.on_labels, stamp_from_msg(msg.header.stamp),
                           lambda: label_image_from_msg(msg))

    def on_objects(self, msg: TrackedObjects) -> None:
        """Take the objects of a frame."""
        self._heard_at_s = time.monotonic()
        header, objects = tracked_objects_from_msg(msg)
        self._tell(self._observer.on_objects, header.stamp_ns, objects)

    def on_diagnostics(self, msg: DiagnosticArray) -> None:
        """Take how the tracker is."""
        for status in msg.status:
            if status.hardware_id == self._tracker:
                self._heard_at_s = time.monotonic()
                self._tell(self._observer.on_health, health_from_msg(status))

    def on_review(self) -> None:
        """Look whether the camera is another one, and whether the tracker is heard."""
        self._camera.review()
        silence = self._silence()
        if silence:
            self._tell(self._observer.on_health, Health(
                'error', 'away', f'{silence}: is it running, with the same ROS_DOMAIN_ID?'))

    def _silence(self) -> str:
        """Say for how long nothing has been heard of the tracker, '' if something has."""
        silent_s = time.monotonic() - self._heard_at_s
        return '' if silent_s < SILENT_AFTER_S else (
            f'nothing is heard of {self._tracker} for {silent_s:.0f} s')

    # What is asked, in the server's thread.

    async def prompt(self, call: PromptCall) -> Answer:
        """Prompt one object."""
        prompt = call.prompt
        request = AddPrompts.Request(
            stamp=stamp_to_msg(call.stamp_ns), prompts=[prompt_to_msg(prompt)],
            clear_previous=call.clear_previous, preview_only=call.preview_only,
            with_label_image=call.with_label_image)
        reply = await self._call('add_prompts', request)
        labels = None
        if reply.success and reply.label_image.width:
            with contextlib.suppress(FrameError):
                labels = label_image_from_msg(reply.label_image)
        return Answer(
            reply.success, reply.message, stamp_from_msg(reply.stamp),
            tuple(tracked_object_from_msg(each) for each in reply.objects), labels)

    async def list_objects(self) -> Answer:
        """Ask for every object with its newest state."""
        reply = await self._call('list_objects', ListObjects.Request())
        return Answer(reply.success, reply.message, stamp_from_msg(reply.header.stamp),
                      tuple(tracked_object_from_msg(each) for each in reply.objects))

    async def remove(self, object_id: int) -> Answer:
        """Forget one object."""
        return await self._plain('remove_object', RemoveObject.Request(object_id=object_id))

    async def reset(self) -> Answer:
        """Forget every object."""
        return await self._plain('reset', Trigger.Request())

    async def pause(self, is_paused: bool) -> Answer:
        """Stop tracking, or go on."""
        return await self._plain('pause', SetBool.Request(data=is_paused))

    async def save_memory(self, name: str) -> Answer:
        """Write what is remembered of all objects to a file."""
        return await self._plain('save_memory', SaveMemory.Request(file_name=name))

    async def load_memory(self, name: str) -> Answer:
        """Track the objects of such a file."""
        return await self._plain('load_memory', LoadMemory.Request(file_name=name))

    async def _plain(self, service: str, request: Any) -> Answer:
        reply = await self._call(service, request)
        return Answer(reply.success, reply.message)

    async def _call(self, service: str, request: Any) -> Any:
        """
        Call a service, once.

        :raises TrackerError: it is not there or not heard, and nothing was sent
        :raises NoAnswerError: it was sent, and no answer came
        """
        client, name = self._clients[service], f'{self._tracker}/{service}'
        if not client.service_is_ready():
            raise TrackerError(f'{name} is not there, and nothing was sent: is the tracker '
                               'running, with the same ROS_DOMAIN_ID?')
        silence = self._silence()
        if silence:
            raise TrackerError(f'{silence}, and nothing was sent: it was killed, or hangs')
        answered: asyncio.Future[Any] = self._loop.create_future()
        future = client.call_async(request)
        future.add_done_callback(lambda done: self._tell(_settle, answered, done))
        end_s = time.monotonic() + ANSWER_TIMEOUT_S
        try:
            while not (await asyncio.wait({answered}, timeout=LOOK_PERIOD_S))[0]:
                if time.monotonic() > end_s:
                    raise NoAnswerError(f'{name} gave no answer within {ANSWER_TIMEOUT_S:g} s')
                if not client.service_is_ready():
                    raise NoAnswerError(f'{name} went away before it answered')
                silence = self._silence()
                if silence:
                    raise NoAnswerError(f'{name} gave no answer, and {silence}')
        finally:
            if not future.done():
                client.remove_pending_request(future)
        return answered.result()


def _settle(answered: asyncio.Future[Any], done: Future) -> None:
    if answered.done():
        return
    error = done.exception()
    if error is not None:
        answered.set_exception(NoAnswerError(f'the answer could not be read: {error}'))
    elif done.result() is not None:
        answered.set_result(done.result())


def health_from_msg(status: DiagnosticStatus) -> Health:
    """Return what a tracker says of itself."""
    figures = {each.key: each.value for each in status.values}
    return Health(LEVELS.get(status.level, 'error'), figures.get('state', 'unknown'),
                  status.message, figures)

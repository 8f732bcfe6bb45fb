# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The process of the executable `prompt`: asks a tracker once and shows what it answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
import contextlib
from functools import partial
import os
from pathlib import Path
import shutil
import sys
import time
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sam2_tracker.core.errors import FrameError, PromptError, TrackerError
from sam2_tracker.core.types import UInt8Array
from sam2_tracker.ros.client.answers import Answer, as_json, as_lines, write_mask, write_preview
from sam2_tracker.ros.client.camera_pictures import CameraPictures
from sam2_tracker.ros.client.prompt_options import Action, ExitCode, Wish
from sam2_tracker.ros.messages import (
    label_image_from_msg,
    prompt_to_msg,
    stamp_from_msg,
    stamp_to_msg,
    tracked_object_from_msg,
)
from sam2_tracker.ros.qos import SERVICE
from sam2_tracker.ros.stop_request import StopRequest
from sam2_tracker.web.tracker_client import Picture
from sam2_tracker_msgs.srv import AddPrompts, ListObjects, RemoveObject
from std_srvs.srv import SetBool, Trigger

# How often it is looked whether to stop.
LOOK_PERIOD_S = 0.2
# A preview goes without the picture rather than wait longer for one.
PICTURE_TIMEOUT_S = 3.0
PICTURES = 30
# Of a terminal that does not say how large it is.
USUAL_SIZE = (80, 24)


class NoTrackerError(TrackerError):
    """There is nobody to be asked: nothing was sent."""


class NoAnswerError(TrackerError):
    """Something was asked, and it is not known what came of it."""


def run(wish: Wish, ros_arguments: Sequence[str], stop: StopRequest) -> ExitCode:
    """
    Ask the tracker and show its answer.

    :param ros_arguments: `--ros-args` and what stands behind it
    """
    context = Context()
    rclpy.init(args=['prompt', *ros_arguments], context=context,
               signal_handler_options=SignalHandlerOptions.NO)
    node = Node(f'prompt_{os.getpid()}', context=context, enable_rosout=False,
                start_parameter_services=False)
    try:
        return Prompter(node, wish, stop).run()
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


class Prompter:
    """
    One question to a tracker.

    :param stop: ends the wait for an answer
    """

    def __init__(self, node: Node, wish: Wish, stop: StopRequest) -> None:
        self._node = node
        self._wish = wish
        self._stop = stop
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)

    def run(self) -> ExitCode:
        """Ask, show the answer, write the files that are wanted."""
        asks: dict[Action, Callable[[], Answer]] = {
            Action.PROMPT: self._prompt, Action.LIST: self._list, Action.REMOVE: self._remove,
            Action.RESET: self._reset, Action.PAUSE: self._pause, Action.RESUME: self._pause}
        pictures = self._pictures()
        try:
            answer = asks[self._wish.action]()
            if pictures is not None:
                answer = self._of_a_picture(answer, pictures)
        except PromptError as error:
            return self._fail(str(error), ExitCode.USAGE)
        except NoTrackerError as error:
            return self._fail(str(error), ExitCode.NO_TRACKER)
        except NoAnswerError as error:
            return self._fail(str(error), ExitCode.NO_ANSWER)
        if not answer.is_done:
            return self._fail(answer.sentence, ExitCode.REFUSED)
        files, fault = self._write_files(answer, pictures)
        self._show(answer, files)
        if fault:
            sys.stderr.write(f'{fault}\n')
        return ExitCode.NOT_WRITTEN if fault else ExitCode.DONE

    def _prompt(self) -> Answer:
        wish = self._wish
        reply = self._call(AddPrompts, 'add_prompts', AddPrompts.Request(
            stamp=stamp_to_msg(wish.stamp_ns), clear_previous=wish.clear_previous,
            prompts=[prompt_to_msg(prompt) for prompt in wish.prompts],
            preview_only=wish.preview is not None,
            with_label_image=wish.preview is not None or wish.mask_file is not None))
        labels = label_image_from_msg(reply.label_image) if reply.label_image.width else None
        return Answer(
            reply.success, reply.message, stamp_from_msg(reply.stamp),
            tuple(tracked_object_from_msg(each) for each in reply.objects), labels)

    def _list(self) -> Answer:
        reply = self._call(ListObjects, 'list_objects', ListObjects.Request())
        return Answer(
            reply.success, reply.message, stamp_from_msg(reply.header.stamp),
            tuple(tracked_object_from_msg(each) for each in reply.objects))

    def _remove(self) -> Answer:
        number = self._wish.object_id
        reply = self._call(RemoveObject, 'remove_object', RemoveObject.Request(object_id=number))
        return Answer(reply.success, reply.message or f'object {number} is removed')

    def _reset(self) -> Answer:
        reply = self._call(Trigger, 'reset', Trigger.Request())
        return Answer(reply.success, reply.message or 'every object is removed')

    def _pause(self) -> Answer:
        is_pause = self._wish.action is Action.PAUSE
        reply = self._call(SetBool, 'pause', SetBool.Request(data=is_pause))
        return Answer(reply.success, reply.message)

    def _call(self, kind: type, service: str, request: Any) -> Any:
        """
        Call a service once.

        :raises NoTrackerError: it is not there
        :raises NoAnswerError: it was asked and has not answered in time
        """
        name = self._node.resolve_service_name(f'{self._wish.tracker}/{service}')
        client = self._node.create_client(kind, name, qos_profile=SERVICE)
        timeout_s = self._wish.timeout_s
        if not self._wait(client.service_is_ready, timeout_s):
            raise NoTrackerError(f'{name} is not there, and nothing was sent: is the tracker '
                                 'running, in this namespace and with the same ROS_DOMAIN_ID?')
        future = client.call_async(request)
        if not self._wait(future.done, timeout_s):
            raise NoAnswerError(f'{name} has not answered within {timeout_s:g} s: it may have '
                                'been done, or not; --list shows what there is')
        return future.result()

    def _wait(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Take in what comes until something is so; False after the timeout, or when stopped."""
        end_s = time.monotonic() + timeout_s
        while not is_done():
            left_s = end_s - time.monotonic()
            if left_s <= 0 or self._stop.is_made():
                return False
            self._executor.spin_once(timeout_sec=min(left_s, LOOK_PERIOD_S))
        return True

    def _pictures(self) -> RecentPictures | None:
        """Begin to keep the camera's pictures, if one is to be shown, and wait for the first."""
        if self._wish.preview is None:
            return None
        name = self._node.resolve_service_name(self._wish.tracker)
        pictures = RecentPictures(self._node, name)
        self._wait(pictures.has_begun, PICTURE_TIMEOUT_S)
        return pictures

    def _of_a_picture(self, answer: Answer, pictures: RecentPictures) -> Answer:
        """
        Wait for an answer's picture; ask for the preview again where that will not come.

        The tracker's newest frame may be older than the first picture that came here.
        """
        end_s = time.monotonic() + PICTURE_TIMEOUT_S
        while answer.is_done:
            self._wait(partial(pictures.has_reached, answer.stamp_ns), end_s - time.monotonic())
            is_late = time.monotonic() >= end_s
            if is_late or pictures.has(answer.stamp_ns) or self._wish.stamp_ns:
                break
            self._wait(partial(pictures.has_reached, pictures.newest_ns + 1), LOOK_PERIOD_S)
            answer = self._prompt()
        return answer

    def _write_files(
        self, answer: Answer, pictures: RecentPictures | None
    ) -> tuple[list[Path], str]:
        """Return the files written, and what went wrong."""
        wish, labels = self._wish, answer.label_image
        if labels is None:
            return [], ''
        wanted: dict[Path, Callable[[Path], None]] = {}
        if wish.mask_file is not None:
            wanted[wish.mask_file] = lambda path: write_mask(path, labels)
        if wish.preview is not None and pictures is not None:
            shown = pictures.of_stamp(answer.stamp_ns)
            wanted[wish.preview] = lambda path: write_preview(path, shown, labels, wish.prompts)
        written: list[Path] = []
        for path, write in wanted.items():
            try:
                write(path)
            except OSError as error:
                return written, f'{path} cannot be written: {error}'
            written.append(path)
        return written, ''

    def _show(self, answer: Answer, files: Sequence[Path]) -> None:
        if self._wish.as_json:
            lines = [as_json(answer, files)]
        else:
            columns = shutil.get_terminal_size(USUAL_SIZE).columns
            lines = as_lines(answer, columns)
            if self._wish.preview is not None:
                lines.append('a preview: nothing is changed')
            lines += [f'written: {path}' for path in files]
        sys.stdout.write(''.join(f'{line}\n' for line in lines))

    def _fail(self, sentence: str, code: ExitCode) -> ExitCode:
        if self._stop.is_made():
            # Until an answer is there it is not known what came of it.
            sentence = f'interrupted: {sentence}'
            code = ExitCode.INTERRUPTED
        if self._wish.as_json:
            sys.stdout.write(f'{as_json(Answer(False, sentence))}\n')
        else:
            sys.stderr.write(f'{sentence}\n')
        return code


class RecentPictures:
    """
    The newest pictures of a tracker's camera, by their stamps.

    :param tracker: the tracker's full name
    """

    def __init__(self, node: Node, tracker: str) -> None:
        self._camera = CameraPictures(node, tracker, '', self._keep)
        self._held: OrderedDict[int, Picture] = OrderedDict()

    def _keep(self, picture: Picture) -> None:
        self._held[picture.stamp_ns] = picture
        while len(self._held) > PICTURES:
            self._held.popitem(last=False)

    @property
    def newest_ns(self) -> int:
        """Return the newest picture's stamp, 0 before the first."""
        return next(reversed(self._held), 0)

    def has_begun(self) -> bool:
        """Tell whether a picture has come; looks for the camera until one has."""
        if not self._held:
            self._camera.want(True)
        return bool(self._held)

    def has_reached(self, stamp_ns: int) -> bool:
        """Tell whether a picture of a stamp or later has come."""
        return self.has_begun() and self.newest_ns >= stamp_ns

    def has(self, stamp_ns: int) -> bool:
        """Tell whether the picture of a stamp has come."""
        return stamp_ns in self._held

    def of_stamp(self, stamp_ns: int) -> UInt8Array | None:
        """Return a picture, (height, width, 3) RGB; None if it has not come or is none."""
        picture = self._held.get(stamp_ns)
        if picture is not None:
            with contextlib.suppress(FrameError):
                return picture.pixels()
        return None

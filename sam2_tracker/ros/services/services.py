# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The node's services: convert, hand over to the worker, await, reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from sam2_tracker.core.errors import FrameError, TrackerError
from sam2_tracker.core.frames.stored_frame import format_stamp
from sam2_tracker.core.prompts.validation import is_bare, is_renaming
from sam2_tracker.core.types import Prompt, TrackedFrame
from sam2_tracker.core.worker.prompt_requests import PromptRequest
from sam2_tracker.core.worker.worker import Worker
from sam2_tracker.ros.messages import (
    header_to_msg,
    label_image_to_msg,
    prompts_from_msgs,
    stamp_from_msg,
    stamp_to_msg,
    tracked_object_to_msg,
)
from sam2_tracker.ros.qos import SERVICE
from sam2_tracker.ros.services.replies import done, refused, Replies
from sam2_tracker_msgs.srv import AddPrompts, ListObjects, RemoveObject
from std_srvs.srv import SetBool, Trigger


class TrackerServices:
    """
    All services but those of object memories; they exist for as long as the node does.

    :param worker: returns the worker, or raises NotReadyError with the reason
    :param forget: called with the id of an object that was removed
    :param camera_trouble: says why no image comes in, '' if nothing is wrong
    """

    def __init__(self, node: Node, replies: Replies, worker: Callable[[], Worker],
                 forget: Callable[[int], None], camera_trouble: Callable[[], str]) -> None:
        self._logger = node.get_logger()
        self._replies = replies
        self._worker = worker
        self._forget = forget
        self._camera_trouble = camera_trouble
        group = ReentrantCallbackGroup()
        for kind, name, callback in (
                (AddPrompts, 'add_prompts', self.on_add_prompts),
                (RemoveObject, 'remove_object', self.on_remove_object),
                (ListObjects, 'list_objects', self.on_list_objects),
                (Trigger, 'reset', self.on_reset),
                (SetBool, 'pause', self.on_pause),
                (Trigger, 'snapshot', self.on_snapshot)):
            node.create_service(
                kind, f'~/{name}', callback, qos_profile=SERVICE, callback_group=group)

    async def on_add_prompts(self, request: AddPrompts.Request,
                             response: AddPrompts.Response) -> AddPrompts.Response:
        """Prompt objects on one frame."""
        try:
            worker = self._worker()
            wish = PromptRequest(
                prompts=prompts_from_msgs(request.prompts),
                stamp_ns=stamp_from_msg(request.stamp),
                clear_previous=request.clear_previous, preview_only=request.preview_only,
                with_label_image=request.with_label_image)
            result = await self._replies.outcome(worker.add_prompts(wish))
        except TrackerError as error:
            return refused(self._logger, 'add_prompts', self._explained(error), response)
        if not wish.preview_only:
            self._logger.info(what_was_done(wish.prompts, result))
        response.stamp = stamp_to_msg(result.frame.stamp_ns)
        response.objects = [tracked_object_to_msg(tracked) for tracked in result.objects]
        if result.label_image is not None:
            header = header_to_msg(result.frame.header)
            response.label_image = label_image_to_msg(result.label_image, header)
        return done(response)

    def _explained(self, error: TrackerError) -> TrackerError:
        """Add to a refusal for want of an image why there is none."""
        trouble = self._camera_trouble() if isinstance(error, FrameError) else ''
        return FrameError(f'{error}; {trouble}') if trouble else error

    async def on_remove_object(self, request: RemoveObject.Request,
                               response: RemoveObject.Response) -> RemoveObject.Response:
        """Forget one object."""
        try:
            await self._replies.outcome(self._worker().remove_object(request.object_id))
        except TrackerError as error:
            return refused(self._logger, 'remove_object', error, response)
        self._forget(request.object_id)
        self._logger.info(f'object {request.object_id} is removed')
        return done(response)

    async def on_list_objects(self, _: ListObjects.Request,
                              response: ListObjects.Response) -> ListObjects.Response:
        """List every object with its newest state."""
        try:
            listed = await self._replies.outcome(self._worker().list_objects())
        except TrackerError as error:
            return refused(self._logger, 'list_objects', error, response)
        if listed.header is not None:
            response.header = header_to_msg(listed.header)
        response.objects = [tracked_object_to_msg(tracked) for tracked in listed.objects]
        return done(response)

    async def on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Forget every object, keep the stream."""
        try:
            await self._replies.outcome(self._worker().reset())
        except TrackerError as error:
            return refused(self._logger, 'reset', error, response)
        self._logger.info('reset: every object is removed')
        return done(response)

    async def on_pause(self, request: SetBool.Request,
                       response: SetBool.Response) -> SetBool.Response:
        """Stop tracking and publishing, or go on."""
        try:
            await self._replies.outcome(self._worker().set_paused(request.data))
        except TrackerError as error:
            return refused(self._logger, 'pause', error, response)
        self._logger.info('tracking is paused' if request.data else 'tracking goes on')
        return done(response, 'paused' if request.data else 'tracking')

    async def on_snapshot(self, _: Trigger.Request,
                          response: Trigger.Response) -> Trigger.Response:
        """Link the buffered frames into a directory that nothing evicts from."""
        try:
            directory = await self._replies.outcome(self._worker().snapshot())
        except TrackerError as error:
            return refused(self._logger, 'snapshot', error, response)
        self._logger.info(f'snapshot in {directory}')
        return done(response, str(directory))


def what_was_done(prompts: Sequence[Prompt], result: TrackedFrame) -> str:
    """Say in one line what became of a request's prompts."""
    each = []
    for prompt, shown in zip(prompts, result.objects, strict=True):
        name = f'object {shown.id} ({shown.label})' if shown.label else f'object {shown.id}'
        if is_renaming(prompt):
            each.append(f'object {shown.id} is called {shown.label}' if shown.label else
                        f'object {shown.id} has no label any more')
        elif is_bare(prompt):
            each.append(f'prompts of {name} are taken back')
        else:
            each.append(f'{name} is prompted again' if prompt.object_id else f'new {name}')
    return f'{", ".join(each)}, on the frame of stamp {format_stamp(result.frame.stamp_ns)}'

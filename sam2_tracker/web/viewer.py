# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""One browser: what it is sent, as fast as it takes it, and what it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
import json
import time

from aiohttp import web, WSMsgType
from sam2_tracker.core.errors import TrackerError
from sam2_tracker.web.access import Allowance
from sam2_tracker.web.console import Console, Reply
from sam2_tracker.web.encoding import FrameEncoder, objects_as_json, sent_hw, with_labels
from sam2_tracker.web.requests import PageError, PageRequest, parse

# One acknowledgement a picture, and what an operator's hand can do.
MESSAGES_AT_ONCE = 120
MESSAGES_A_SECOND = 80.0
REQUESTS_AT_ONCE = 8
STATUS_INTERVAL_S = 0.2
# WebSocket's own codes.
POLICY_VIOLATION = 1008
FAILED = 1011
TOO_BUSY = 1013


class Viewer:
    """
    Serves one connection whose page may look.

    :param welcome: the first thing that the page is sent
    :param max_rate_hz: pictures a second at most
    """

    def __init__(self, socket: web.WebSocketResponse, console: Console, encoder: FrameEncoder,
                 max_rate_hz: float) -> None:
        self._socket = socket
        self._console = console
        self._encoder = encoder
        self._interval_s = 1 / max_rate_hz
        self._acknowledged = asyncio.Event()
        self._acknowledged.set()
        self._allowance = Allowance(MESSAGES_AT_ONCE, MESSAGES_A_SECOND)
        self._requests: set[asyncio.Task[None]] = set()

    async def serve(self, welcome: dict[str, object]) -> None:
        """Serve it until it leaves, or does what no page of ours does."""
        self._console.begin_to_watch()
        senders: list[asyncio.Task[None]] = []
        try:
            await self._send(welcome)
            senders = [asyncio.ensure_future(self._until_gone(each))
                       for each in (self._send_frames, self._send_status)]
            await self._read()
        finally:
            for task in (*senders, *self._requests):
                task.cancel()
            self._console.end_to_watch()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT or not self._allowance.take():
                await self._socket.close(
                    code=POLICY_VIOLATION, message=b'too many messages, or not of text')
                return
            try:
                self._take(parse(message.data))
            except PageError as error:
                await self._socket.close(
                    code=POLICY_VIOLATION, message=str(error).encode()[:120])
                return

    def _take(self, request: PageRequest) -> None:
        if request.do == 'ack':
            self._acknowledged.set()
        elif request.do != 'hello':
            task = asyncio.ensure_future(self._until_gone(partial(self._answer, request)))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def _answer(self, request: PageRequest) -> None:
        if len(self._requests) > REQUESTS_AT_ONCE:
            refusal = 'too much is asked for at once: this was not sent to the tracker'
            await self._send({'kind': 'reply', 'to': request.number, 'ok': False,
                              'sentence': refusal, 'took_ms': 0})
            return
        reply = await self._console.do(request)
        await self._socket.send_bytes(self._reply_message(request.number, reply))

    def _reply_message(self, number: int, reply: Reply) -> bytes:
        answer = reply.answer
        header: dict[str, object] = {
            'kind': 'reply',
            'to': number,
            'ok': answer.is_done,
            'sentence': answer.sentence,
            'stamp': str(answer.stamp_ns),
            'objects': objects_as_json(answer.objects),
            'removed': answer.removed,
            'took_ms': round(reply.took_ms, 1),
        }
        labels = answer.labels
        height, width = (0, 0) if labels is None else labels.shape
        return with_labels(header, labels, sent_hw((height, width), self._encoder.max_side))

    async def _send_frames(self) -> None:
        """Send a picture when the one before was drawn: a slow page gets fewer, never later."""
        number, sent_at_s = 0, 0.0
        while True:
            await self._acknowledged.wait()
            await asyncio.sleep(sent_at_s + self._interval_s - time.monotonic())
            shown = await self._console.stream.newer_than(number)
            number, sent_at_s = shown.number, time.monotonic()
            try:
                message = await self._encoder.message(shown)
            except TrackerError:
                continue  # A damaged picture: the tracker says so of itself.
            self._acknowledged.clear()
            await self._socket.send_bytes(message)

    async def _send_status(self) -> None:
        while True:
            told = self._console.told
            await self._send(self._console.status())
            await told.wait()
            await asyncio.sleep(STATUS_INTERVAL_S)

    async def _send(self, message: dict[str, object]) -> None:
        await self._socket.send_str(json.dumps(message, separators=(',', ':')))

    async def _until_gone(self, work: Callable[[], Awaitable[None]]) -> None:
        """
        Work until the page has gone; whoever reads notices that.

        A page waits for each answer before it asks again: one that cannot come ends the
        connection, which it notices, and begins anew.
        """
        try:
            await work()
        except ConnectionError:
            return
        except Exception as error:
            if isinstance(error, RuntimeError) and self._socket.closed:
                return
            await self._socket.close(code=FAILED, message=b'the console failed: see its log')
            raise

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A page's talk with the server, by a program: for tests that need no browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
import json
import struct
from typing import Any

import aiohttp
from console_rig import result_of, ServedConsole

WITHIN_S = 20.0

Talk = Callable[[aiohttp.ClientWebSocketResponse], Awaitable[Any]]


def origin_of(served: ServedConsole, host: str = '127.0.0.1') -> dict[str, str]:
    return {'Host': f'{host}:{served.server.port}',
            'Origin': f'http://{host}:{served.server.port}'}


def get(served: ServedConsole, path: str = '', **headers: str) -> tuple[int, str]:
    async def ask() -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(
                served.address + path, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    return result_of(ask(), WITHIN_S)


def talk(served: ServedConsole, what: Talk, **headers: str) -> Any:
    """Open a page's WebSocket and talk."""
    async def begin() -> Any:
        async with aiohttp.ClientSession() as session, session.ws_connect(
                f'{served.address}stream', headers={**origin_of(served), **headers}) as page:
            return await what(page)

    return result_of(begin(), WITHIN_S)


async def hello(page: aiohttp.ClientWebSocketResponse, token: str = '') -> dict[str, Any]:
    await page.send_json({'do': 'hello', 'token': token})
    return json.loads((await page.receive()).data)


async def next_frame(page: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    while True:
        message = await page.receive()
        assert message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}, message
        if message.type is aiohttp.WSMsgType.BINARY:
            length = struct.unpack('<I', message.data[:4])[0]
            header = json.loads(message.data[4:4 + length])
            if header['kind'] == 'frame':
                return header


async def answer_to(page: aiohttp.ClientWebSocketResponse, number: int) -> dict[str, Any]:
    while True:
        message = await page.receive()
        assert message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}, message
        if message.type is aiohttp.WSMsgType.BINARY:
            length = struct.unpack('<I', message.data[:4])[0]
            header = json.loads(message.data[4:4 + length])
            if header.get('to') == number:
                return header


async def closed(page: aiohttp.ClientWebSocketResponse) -> tuple[int, str]:
    """Read until the server closes; return its code and reason."""
    while True:
        message = await page.receive()
        if message.type is aiohttp.WSMsgType.CLOSE:
            return message.data, message.extra
        assert message.type not in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}, message


def still_works(served: ServedConsole) -> None:
    async def look(page: aiohttp.ClientWebSocketResponse) -> None:
        assert (await hello(page))['kind'] == 'welcome'
        await next_frame(page)

    talk(served, look)

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A slow network: a relay that lets only so many bytes a second through, each of them late."""

from __future__ import annotations

import asyncio
import contextlib
import threading

CHUNK = 2048


class ThrottledLink:
    """
    Relays connections to a port of this machine, for the duration of a `with` block.

    :param bytes_per_s: in each direction of each connection
    :param delay_s: of every byte
    :ivar port: where it listens
    """

    def __init__(self, to_port: int, bytes_per_s: float, delay_s: float) -> None:
        self._to_port, self._bytes_per_s, self._delay_s = to_port, bytes_per_s, delay_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ThrottledLink:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._relay, '127.0.0.1', 0), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            to_reader, to_writer = await asyncio.open_connection('127.0.0.1', self._to_port)
            await asyncio.gather(
                self._pass_on(reader, to_writer), self._pass_on(to_reader, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)
        sender = asyncio.ensure_future(self._send_late(late, writer))
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(CHUNK):
                await late.put((self._loop.time() + self._delay_s, chunk))
                await asyncio.sleep(len(chunk) / self._bytes_per_s)
        await late.put((0.0, b''))
        await sender

    async def _send_late(self, late: asyncio.Queue[tuple[float, bytes]],
                         writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                due_s, chunk = await late.get()
                await asyncio.sleep(due_s - self._loop.time())
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()
            writer.close()

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: the page's files, and a WebSocket for each page."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
import contextlib
import errno
from importlib.resources import files
import logging
import ssl
import time

from aiohttp import web, WSMsgType
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.log import Level, Log
from sam2_tracker.render.palette import HEX_COLOURS
from sam2_tracker.web.access import Gate, reachable_host, token_of
from sam2_tracker.web.console import Console
from sam2_tracker.web.encoding import FrameEncoder
from sam2_tracker.web.requests import MAX_MESSAGE_BYTES, PageError, parse
from sam2_tracker.web.settings import ConsoleConfig
from sam2_tracker.web.tracker_client import TrackerClient
from sam2_tracker.web.viewer import POLICY_VIOLATION, TOO_BUSY, Viewer

KINDS = {
    '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml',
}
HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "img-src 'self'; connect-src 'self'; base-uri 'none'; "
                               "form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-cache',
}
WRONG_TOKEN = 4401
HELLO_WITHIN_S = 5.0
HANDSHAKE_WITHIN_S = 10.0
WRONG_TOKEN_COSTS_S = 1.0
HEARTBEAT_S = 20.0
CLOSED_WITHIN_S = 2.0
# A connection that does not become a page's WebSocket is closed after so long.
FILES_WITHIN_S = 30.0
# For each page: its WebSocket, and those that a browser opens for files.
CONNECTIONS_A_CLIENT = 8
LOG_INTERVAL_S = 10.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ConsoleServer:
    """
    Serves the console from `start` to `stop`.

    :param log: told whom it refuses; never a token
    :raises ConfigError: settings that do not go together, or a token that cannot be kept
    """

    def __init__(self, client: TrackerClient, config: ConsoleConfig, log: Log) -> None:
        config.check()
        token, self.token_file = token_of(config)
        self._client = client
        self._config = config
        self._log = log
        self._gate = Gate(config, token)
        self._files = static_files()
        self._sockets: dict[object, web.WebSocketResponse] = {}
        # Those of them that have said hello.
        self._pages: set[object] = set()
        self._refused_at_s = -LOG_INTERVAL_S
        self.port = config.port

    @property
    def address(self) -> str:
        """Return what to type into a browser."""
        scheme = 'https' if self._config.tls_cert else 'http'
        host = reachable_host(self._config.host)
        return f'{scheme}://{f"[{host}]" if ":" in host else host}:{self.port}/'

    async def start(self) -> None:
        """
        Listen.

        :raises ConfigError: the address cannot be listened on, or the certificate not be read
        """
        self._console = Console(self._client)
        self._encoder = FrameEncoder(self._config.max_side, self._config.jpeg_quality)
        app = web.Application(middlewares=[self._checked], client_max_size=1024)
        app.router.add_get('/stream', self.on_stream)
        app.router.add_get('/{name:.*}', self.on_file)
        # Its own lines would be one for every malformed request, with a traceback.
        silent = logging.Logger('console', logging.CRITICAL)
        self._runner = web.AppRunner(
            app, access_log=None, logger=silent, handle_signals=False, keepalive_timeout=15.0)
        await self._runner.setup()
        context = self._tls_context()
        self._listener = await self._listen(context)
        self._console.start()

    async def _listen(self, context: ssl.SSLContext | None) -> asyncio.Server:
        host, port = self._config.host, self._config.port
        try:
            listener = await asyncio.get_running_loop().create_server(
                self._connection, host, port, ssl=context, backlog=64,
                ssl_handshake_timeout=HANDSHAKE_WITHIN_S if context else None)
        except (OSError, UnicodeError) as error:
            await self._runner.cleanup()
            hint = ''
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                hint = '; another console may be there: the parameter port takes 0 for a free one'
            raise ConfigError(
                f'{host} port {port} cannot be listened on: {error}{hint}') from error
        self.port = listener.sockets[0].getsockname()[1]
        return listener

    def _connection(self) -> asyncio.Protocol:
        """Make the handler of a new connection."""
        assert self._runner.server is not None
        handler = self._runner.server()
        loop = asyncio.get_running_loop()
        loop.call_later(0, self._make_room)  # When this one is open.
        loop.call_later(FILES_WITHIN_S, self._close_idle, handler)
        return handler

    def _make_room(self) -> None:
        """Close connections that are no page's yet, where there are too many."""
        assert self._runner.server is not None
        most = (self._config.max_clients + 1) * CONNECTIONS_A_CLIENT
        is_open = [each for each in self._runner.server.connections if _is_open(each)]
        idle = [each for each in is_open if each not in self._pages]
        for _ in range(min(len(is_open) - most, len(idle))):
            self._say(f'{most} connections are open: the next ones close older ones')
            _abort(idle.pop(_first_of_most(idle)))

    def _close_idle(self, handler: web.RequestHandler) -> None:
        if handler not in self._sockets:
            _abort(handler)

    def _tls_context(self) -> ssl.SSLContext | None:
        if self._config.tls_cert is None or self._config.tls_key is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(
                self._config.tls_cert, self._config.tls_key, password=_no_pass_phrase)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f'tls_cert {self._config.tls_cert} and tls_key '
                              f'{self._config.tls_key} cannot be used: {error}') from error
        return context

    async def stop(self) -> None:
        """Close every connection, and end."""
        # Before another console can have the port, and the name.
        if self.token_file is not None:
            self.token_file.unlink(missing_ok=True)
        self._client.close()
        self._listener.close()
        closing = [each.close(code=1001, message=b'the console ends')
                   for each in self._sockets.values()]
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*closing), CLOSED_WITHIN_S)
        await self._runner.cleanup()
        self._encoder.close()

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        needs_origin = request.path == '/stream'
        if refusal := self._gate.refusal(request.headers, needs_origin=needs_origin):
            self._say(f'a request from {request.remote} is refused: {refusal}')
            return web.Response(status=403, text=f'{refusal}\n', headers=HEADERS)
        return await handler(request)

    async def on_file(self, request: web.Request) -> web.Response:
        """Answer with a file of the page."""
        found = self._files.get(request.match_info['name'] or 'index.html')
        if found is None:
            return web.Response(status=404, text='there is no such file\n', headers=HEADERS)
        body, kind = found
        return web.Response(body=body, content_type=kind, charset='utf-8', headers=HEADERS)

    async def on_stream(self, request: web.Request) -> web.StreamResponse:
        """Serve a page's WebSocket."""
        page = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE_BYTES, heartbeat=HEARTBEAT_S, compress=False,
            timeout=CLOSED_WITHIN_S)
        await page.prepare(request)
        self._sockets[request.protocol] = page
        try:
            if await self._is_welcome(page, request.remote or '?'):
                self._pages.add(request.protocol)
                await self._serve(page)
        finally:
            self._pages.discard(request.protocol)
            del self._sockets[request.protocol]
        return page

    async def _serve(self, page: web.WebSocketResponse) -> None:
        if self._console.watchers >= self._config.max_clients:
            await page.close(code=TOO_BUSY, message=(
                f'{self._config.max_clients} browsers look already, which is '
                'max_clients').encode())
            return
        welcome: dict[str, object] = {
            'kind': 'welcome', 'tracker': self._client.tracker, 'colours': list(HEX_COLOURS)}
        viewer = Viewer(page, self._console, self._encoder, self._config.max_rate)
        try:
            await viewer.serve(welcome)
        finally:
            if not self._console.watchers:
                self._encoder.forget()

    async def _is_welcome(self, page: web.WebSocketResponse, remote: str) -> bool:
        """Wait for a page's first message, which has the token; until then it is sent nothing."""
        try:
            message = await asyncio.wait_for(page.receive(), HELLO_WITHIN_S)
            hello = parse(message.data) if message.type is WSMsgType.TEXT else None
        except (asyncio.TimeoutError, PageError):
            hello = None
        if hello is None or hello.do != 'hello':
            await page.close(code=POLICY_VIOLATION, message=b'a page says hello first')
            return False
        if self._gate.takes(hello.text):
            return True
        self._say(f'a browser at {remote} shows no token, or a wrong one')
        # So that trying many takes long.
        await asyncio.sleep(WRONG_TOKEN_COSTS_S)
        await page.close(code=WRONG_TOKEN, message=b'the token is missing or wrong')
        return False

    def _say(self, sentence: str) -> None:
        now_s = time.monotonic()
        if now_s - self._refused_at_s >= LOG_INTERVAL_S:
            self._refused_at_s = now_s
            self._log(Level.WARN, sentence)


def _no_pass_phrase() -> str:
    # OpenSSL would ask the terminal, and everything would wait for it.
    raise OSError('the key has a pass phrase, one without is expected')


def _is_open(handler: web.RequestHandler) -> bool:
    return handler.transport is not None and not handler.transport.is_closing()


def _abort(handler: web.RequestHandler) -> None:
    transport = handler.transport
    if transport is not None:
        handler.force_close()  # It has none afterwards.
        transport.abort()


def _first_of_most(handlers: Sequence[web.RequestHandler]) -> int:
    """Return which is the oldest of the address that has most: a flood closes its own ones."""
    addresses = [_address_of(each) for each in handlers]
    [(busiest, _)] = Counter(addresses).most_common(1)
    return addresses.index(busiest)


def _address_of(handler: web.RequestHandler) -> str:
    assert handler.transport is not None
    peer = handler.transport.get_extra_info('peername')
    return str(peer[0]) if peer else ''


def static_files() -> dict[str, tuple[bytes, str]]:
    """Read the page's files: their content and type by name."""
    found = {}
    for each in files('sam2_tracker.web').joinpath('static').iterdir():
        ending = each.name[each.name.rfind('.'):]
        if ending in KINDS:
            found[each.name] = each.read_bytes(), KINDS[ending]
    return found

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The server from outside: who is let in, and what a hostile client gets."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
import socket
import stat
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from console_rig import result_of
from page_talk import closed, get, hello, next_frame, origin_of, still_works, talk, WITHIN_S
import pytest
from sam2_tracker.web.access import token_of
from sam2_tracker.web.settings import ConsoleConfig
from waiting import wait_until

TOKEN = 'a-token-of-enough-letters'


@pytest.mark.parametrize('host', [
    'evil.example', 'evil.example:8090', '127.0.0.1.evil.example', '192.168.1.7', '[::1', ''])
def test_a_name_that_is_not_its_own_is_refused(serve: Any, host: str) -> None:
    served = serve()
    status, text = get(served, Host=host)
    assert status in {400, 403}
    assert '<html' not in text


def test_names_that_are_given_are_its_own(serve: Any) -> None:
    served = serve(names='robot.lan, arm')
    assert get(served, Host='robot.lan:8090')[0] == 200
    assert get(served, Host='localhost:9000')[0] == 200
    assert get(served, Host='evil.lan')[0] == 403


@pytest.mark.parametrize('origin', [
    'http://evil.example', 'null', 'http://127.0.0.1:1', 'http://localhost', '', 'http://[::1'])
def test_a_foreign_page_s_websocket_is_refused(serve: Any, origin: str) -> None:
    served = serve()

    async def nothing(_: Any) -> None:
        raise AssertionError('it was let in')

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        talk(served, nothing, Origin=origin)
    assert refused.value.status == 403
    assert get(served, Origin='http://evil.example')[0] == 403
    assert not served.tracker.watched
    still_works(served)


def test_a_websocket_without_an_origin_is_refused(serve: Any) -> None:
    served = serve()

    async def begin() -> None:
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(f'{served.address}stream')

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        result_of(begin())
    assert refused.value.status == 403


def test_on_other_addresses_a_token_is_asked_for_and_never_logged(serve: Any) -> None:
    served = serve(host='0.0.0.0', token=TOKEN)

    async def wrong(page: Any) -> tuple[int, str]:
        await page.send_json({'do': 'hello', 'token': 'a-token-that-is-wrong-here'})
        return await closed(page)

    async def right(page: Any) -> dict[str, Any]:
        return await hello(page, TOKEN)

    began_s = time.monotonic()
    assert talk(served, wrong) == (4401, 'the token is missing or wrong')
    assert time.monotonic() - began_s > 0.9
    assert not served.tracker.watched
    assert talk(served, right)['kind'] == 'welcome'
    assert served.lines
    assert not [line for _, line in served.lines if TOKEN in line or 'wrong-here' in line]
    # An address cannot be made to mean another machine; a name can.
    assert get(served, Host='192.168.1.7:8090')[0] == 200
    assert get(served, Host='evil.example')[0] == 403


def test_a_new_token_is_in_a_file_that_only_its_user_can_read(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('XDG_RUNTIME_DIR', str(tmp_path))
    config = ConsoleConfig(host='0.0.0.0')
    token, path = token_of(config)
    assert path.read_text().strip() == token and len(token) >= 24
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token_of(config)[0] != token
    assert token_of(ConsoleConfig()) == ('', None)


def test_consoles_on_free_ports_have_tokens_of_their_own_which_go_with_them(
        serve: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('XDG_RUNTIME_DIR', str(tmp_path))
    served = serve(host='0.0.0.0')
    path = served.server.token_file
    assert path.name == f'console_{os.getpid()}.token' and path.is_file()
    served.stop()
    assert not path.exists()


@pytest.mark.parametrize('host', ['0.0.0.0', '127.0.0.1'])
def test_the_address_that_is_printed_is_one_that_is_let_in(serve: Any, host: str) -> None:
    served = serve(host=host, token=TOKEN)
    printed = urlsplit(served.server.address)
    assert printed.hostname == (socket.gethostname().lower() if host == '0.0.0.0' else host)
    assert get(served, Host=printed.netloc)[0] == 200


def test_a_page_that_does_not_say_hello_is_sent_nothing(serve: Any) -> None:
    served = serve()

    async def something_else(page: Any) -> tuple[int, str]:
        await page.send_json({'do': 'undo', 'n': 1})
        return await closed(page)

    assert talk(served, something_else)[0] == 1008
    assert not served.tracker.watched


@pytest.mark.parametrize('message', [
    'not json', '{"do": "fly", "n": 1}', b'bytes', 'x' * 20_000,
    r'{"do": "rename", "n": 1, "object": 1, "label": "\ud800"}'])
def test_a_message_that_no_page_sends_ends_its_connection_alone(
        serve: Any, message: str | bytes) -> None:
    served = serve()

    async def send(page: Any) -> int:
        await hello(page)
        await (page.send_bytes if isinstance(message, bytes) else page.send_str)(message)
        return (await closed(page))[0]

    assert talk(served, send) in {1008, 1009}
    still_works(served)


def test_a_flood_of_messages_ends_its_connection_alone(serve: Any) -> None:
    served = serve()

    async def flood(page: Any) -> int:
        await hello(page)
        for number in range(1, 400):
            await page.send_json({'do': 'list', 'n': number})
        return (await closed(page))[0]

    assert talk(served, flood) == 1008
    still_works(served)


def test_more_pages_than_max_clients_are_told_so(serve: Any) -> None:
    served = serve(max_clients=1)

    async def second(_: Any) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.ws_connect(
                f'{served.address}stream', headers=origin_of(served)) as other:
            await other.send_json({'do': 'hello'})
            return await closed(other)

    async def first(page: Any) -> tuple[int, str]:
        await hello(page)
        return await second(page)

    assert talk(served, first) == (1013, '1 browsers look already, which is max_clients')
    wait_until(lambda: served.tracker.watched == [True, False])
    still_works(served)


def test_connections_that_do_nothing_are_few_and_keep_nobody_out_for_long(
        serve: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr('sam2_tracker.web.server.FILES_WITHIN_S', 0.5)
    served = serve(max_clients=1)
    idle = [socket.create_connection(('127.0.0.1', served.server.port)) for _ in range(40)]
    try:
        for each in idle:
            each.settimeout(WITHIN_S)
            with contextlib.suppress(ConnectionResetError):
                assert each.recv(1) == b''
        still_works(served)
    finally:
        for each in idle:
            each.close()
    assert not caplog.records


def test_a_flood_of_connections_closes_its_own_and_neither_pages_nor_newcomers(
        serve: Any) -> None:
    served = serve(max_clients=1)
    idle: list[socket.socket] = []

    async def flood(page: Any) -> None:
        await hello(page)
        await next_frame(page)
        for _ in range(60):
            idle.append(socket.create_connection(('127.0.0.1', served.server.port)))
        loop = asyncio.get_running_loop()
        began_s = time.monotonic()
        status, _ = await loop.run_in_executor(None, get, served)
        assert status == 200
        assert time.monotonic() - began_s < 5
        await page.send_json({'do': 'ack'})
        await next_frame(page)

    try:
        talk(served, flood)
        still_works(served)
    finally:
        for each in idle:
            each.close()
    assert [line for _, line in served.lines if 'connections are open' in line]


def test_malformed_requests_are_answered_shortly_and_not_logged(
        serve: Any, capfd: pytest.CaptureFixture[str]) -> None:
    served = serve()
    for request in (b'\x16\x03\x01\x02\x00\x01', b'GET / HTTP/9.9\r\n\r\n',
                    b'GET /' + b'a' * 20_000,
                    b'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n'):
        with socket.create_connection(('127.0.0.1', served.server.port)) as raw:
            raw.settimeout(WITHIN_S)
            raw.sendall(request + b'\r\n\r\n')
            assert len(raw.recv(65536)) < 2000
    assert 'Traceback' not in ''.join(capfd.readouterr())
    still_works(served)

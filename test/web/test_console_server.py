# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The server from outside: who is let in, what a hostile client gets, and a slow one costs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
import contextlib
import json
from pathlib import Path
import re
import socket
import stat
import struct
import subprocess
import sys
import time
from typing import Any
import zipfile

import aiohttp
from client_stand_in import StandIn
from console_rig import result_of, ServedConsole
import pytest
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.web.access import token_of
from sam2_tracker.web.server import ConsoleServer, static_files
from sam2_tracker.web.settings import CONSOLE_SPECS, ConsoleConfig
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
TOKEN = 'a-token-of-enough-letters'
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


def test_the_page_and_all_that_it_names_are_served_and_nothing_else(serve: Any) -> None:
    served = serve()
    status, page = get(served)
    assert status == 200
    names = set(re.findall(r'(?:src|href)="([\w.]+)', page))
    assert {'app.js', 'style.css', 'icons.svg'} <= names
    for name in static_files():
        assert get(served, name)[0] == 200
    for name in names:
        assert name in static_files()
    for name in ('nothing.js', '../settings.py', '..%2fsettings.py', '%2e%2e/server.py', 'app.js/',
                 'etc/passwd'):
        assert get(served, name)[0] == 404


def test_every_module_that_the_page_imports_is_there() -> None:
    files = static_files()
    for name, (body, _) in files.items():
        if name.endswith('.js'):
            for imported in re.findall(r"from '\./([\w.]+)'", body.decode()):
                assert imported in files, f'{name} imports {imported}'
            # A file is an idea here, too.
            assert len(body.decode().splitlines()) <= 400


def test_nothing_comes_from_other_hosts() -> None:
    for name, (body, _) in static_files().items():
        addresses = set(re.findall(r'https?://[^\s"\')]+', body.decode()))
        assert addresses <= {'http://www.w3.org/2000/svg'}, name


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


def test_a_page_that_does_not_say_hello_is_sent_nothing(serve: Any) -> None:
    served = serve()

    async def something_else(page: Any) -> tuple[int, str]:
        await page.send_json({'do': 'undo', 'n': 1})
        return await closed(page)

    assert talk(served, something_else)[0] == 1008
    assert not served.tracker.watched


@pytest.mark.parametrize('message', ['not json', '{"do": "fly", "n": 1}', b'bytes', 'x' * 20_000])
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
        serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_page_has_one_picture_on_its_way_and_then_gets_the_newest(serve: Any) -> None:
    served = serve(StandIn(rate_hz=20.0))

    async def look(page: Any) -> tuple[int, int]:
        await hello(page)
        first = int((await next_frame(page))['stamp'])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(next_frame(page), 1.0)
        return first, 0

    async def look_on(page: Any) -> list[int]:
        await hello(page)
        stamps = [int((await next_frame(page))['stamp'])]
        await asyncio.sleep(1.0)
        await page.send_json({'do': 'ack'})
        stamps.append(int((await next_frame(page))['stamp']))
        return stamps

    talk(served, look)
    before, after = talk(served, look_on)
    # Not the one that followed, a second ago.
    assert (after - before) / 1e9 > 0.7


def test_a_stalled_page_costs_nothing_and_others_go_on(serve: Any) -> None:
    served = serve(StandIn(rate_hz=20.0))

    async def both(stalled: Any) -> int:
        await hello(stalled)  # It never says that it drew anything.
        count = 0
        async with aiohttp.ClientSession() as session, session.ws_connect(
                f'{served.address}stream', headers=origin_of(served)) as good:
            await hello(good)
            end_s = time.monotonic() + 2
            while time.monotonic() < end_s:
                await next_frame(good)
                await good.send_json({'do': 'ack'})
                count += 1
        return count

    assert talk(served, both) > 5


def test_while_nobody_looks_nothing_is_subscribed_to_or_encoded(serve: Any) -> None:
    served = serve()
    assert served.tracker.watched == []
    still_works(served)
    wait_until(lambda: served.tracker.watched == [True, False])
    assert served.server._console.stream.newest is None


def test_settings_that_do_not_go_together_are_refused_in_a_sentence(
        serve: Any, tmp_path: Path) -> None:
    (tmp_path / 'cert.pem').write_text('nothing')
    for settings, reason in (
            ({'tls_cert': tmp_path / 'cert.pem'}, 'without tls_key'),
            ({'tls_cert': tmp_path / 'a', 'tls_key': tmp_path / 'b'}, 'is not there')):
        with pytest.raises(ConfigError, match=reason):
            ConsoleServer(StandIn(), ConsoleConfig(**settings), lambda *_: None)
    served = serve()
    with pytest.raises(ConfigError, match='cannot be listened on'):
        ServedConsole(port=served.server.port)


def test_with_a_certificate_it_is_https(serve: Any, tmp_path: Path) -> None:
    cert, key = tmp_path / 'cert.pem', tmp_path / 'key.pem'
    made = subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj',
         '/CN=localhost', '-keyout', key, '-out', cert], capture_output=True)
    assert made.returncode == 0, made.stderr
    served = serve(tls_cert=cert, tls_key=key)

    async def look() -> str:
        async with aiohttp.ClientSession() as session, session.ws_connect(
                f'{served.address}stream', ssl=False, headers={
                    'Origin': served.address.rstrip('/')}) as page:
            return (await hello(page))['kind']

    assert result_of(look()) == 'welcome'


def test_the_docs_have_every_setting_with_its_default() -> None:
    text = (ROOT / 'docs' / 'console.md').read_text()
    for spec in CONSOLE_SPECS:
        default = f'`{spec.default}`' if spec.default != '' else ''
        assert f'| `{spec.name}` | {default} |'.replace('|  |', '| |') in text
        assert spec.description in text


def test_a_built_wheel_has_every_file_of_the_page(tmp_path: Path) -> None:
    """A development install reads them from the checkout, and would hide a gap."""
    source = tmp_path / 'source'
    source.mkdir()
    for name in ('setup.py', 'setup.cfg', 'package.xml', 'resource', 'launch', 'config',
                 'sam2_tracker'):
        (source / name).symlink_to(ROOT / name)
    command = [sys.executable, 'setup.py', '-q', 'bdist_wheel', '--dist-dir', str(tmp_path)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob('*.whl')
    names = set(zipfile.ZipFile(wheel).namelist())
    static = ROOT / 'sam2_tracker' / 'web' / 'static'
    assert {f'sam2_tracker/web/static/{path.name}' for path in static.iterdir()} <= names
    assert set(static_files()) == {path.name for path in static.iterdir()}

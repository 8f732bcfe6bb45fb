# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The server from outside: what it serves to whom, and what is done when a page asks."""

from __future__ import annotations

import asyncio
from pathlib import Path
import re
import subprocess
import sys
import time
from typing import Any
import zipfile

import aiohttp
from client_stand_in import StandIn
from console_rig import result_of, ServedConsole
from page_talk import answer_to, closed, get, hello, next_frame, origin_of, still_works, talk
import pytest
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.web.server import ConsoleServer, static_files
from sam2_tracker.web.settings import CONSOLE_SPECS, ConsoleConfig
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


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


def test_a_request_that_fails_unforeseen_ends_its_connection_alone(serve: Any) -> None:
    class Faulty(StandIn):
        async def reset(self) -> Any:
            raise ValueError('nobody foresaw this')

    served = serve(Faulty())

    async def fail(page: Any) -> tuple[int, str]:
        await hello(page)
        await page.send_json({'do': 'reset', 'n': 1})
        return await closed(page)

    assert talk(served, fail) == (1011, 'the console failed: see its log')
    still_works(served)


def test_a_change_is_ended_whole_though_its_page_has_gone(serve: Any) -> None:
    tracker = StandIn(rate_hz=20.0)
    served = serve(tracker)

    async def point(page: Any) -> None:
        await hello(page)
        frame = await next_frame(page)
        for number in range(3):
            await page.send_json({
                'do': 'prompt', 'n': number + 1, 'stamp': frame['stamp'], 'object': number and 1,
                'points': [[300 + number, 300, 1]]})
            await answer_to(page, number + 1)
        tracker.answer_s = 0.5
        await page.send_json({'do': 'undo', 'n': 4})
        await asyncio.sleep(0.2)

    async def undo_again(page: Any) -> dict[str, Any]:
        await hello(page)
        await page.send_json({'do': 'undo', 'n': 1})
        return await answer_to(page, 1)

    talk(served, point)
    assert len(tracker.calls) == 3
    # What went with the last prompt has been sent again: the first two are left, then one.
    wait_until(lambda: [len(tracker.calls), len(tracker.objects[1].prompts)] == [5, 2])
    tracker.answer_s = 0.0
    assert talk(served, undo_again)['sentence'] == 'the click on object 1 is taken back'
    assert len(tracker.objects[1].prompts) == 1


def test_what_is_too_long_is_refused_by_the_tracker_in_its_own_words(serve: Any) -> None:
    served = serve()

    async def load(page: Any) -> dict[str, Any]:
        await hello(page)
        await page.send_json({'do': 'load', 'n': 1, 'name': 'n' * 400})
        return await answer_to(page, 1)

    assert 'no object memory nnn' in talk(served, load)['sentence']


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
    closed = tmp_path / 'closed.pem'
    made = subprocess.run(['openssl', 'rsa', '-in', key, '-aes256', '-passout', 'pass:secret',
                           '-out', closed], capture_output=True)
    assert made.returncode == 0, made.stderr
    with pytest.raises(ConfigError, match='the key has a pass phrase, one without is expected'):
        ServedConsole(tls_cert=cert, tls_key=closed)
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

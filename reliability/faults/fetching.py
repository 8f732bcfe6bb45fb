# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""`fetch_checkpoint` against a server on this machine that means no good."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
import http.server
from pathlib import Path
import socketserver
import threading

from reliability.processes import Ended
from reliability.stage import Stage
from reliability.verdicts import expect, fault

MODEL = 'sam2.1_hiera_tiny'
_SIZE = 156_008_466
_ENDLESS_LIMIT_MIB = 400
_BLOCK = bytes(1024 * 1024)


def _answers() -> dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]]:
    """Return what the server does for each path."""
    def head(handler: http.server.BaseHTTPRequestHandler, code: int, **fields: str) -> None:
        handler.send_response(code)
        for name, value in fields.items():
            handler.send_header(name.replace('_', '-'), value)
        handler.end_headers()

    def body(code: int, content: bytes, **fields: str) -> Callable[..., None]:
        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            head(handler, code, **fields)
            handler.wfile.write(content)
        return answer

    def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
        head(handler, 200)
        # More than the fault allows, or the disk of who runs this fills up.
        for _ in range(2 * _ENDLESS_LIMIT_MIB):
            handler.wfile.write(_BLOCK)

    def raw(content: bytes) -> Callable[..., None]:
        return lambda handler: handler.wfile.write(content)
    return {
        'short': body(200, b'x' * 1000, Content_Length='1000'),
        'cut': body(200, b'x' * 5000, Content_Length=str(_SIZE)),
        'no_length': body(200, b'x' * 5000),
        'negative_length': body(200, b'x' * 50, Content_Length='-5'),
        'length_no_number': body(200, b'x' * 50, Content_Length='abc'),
        'to_a_file': body(302, b'', Location='file:///etc/passwd'),
        'to_itself': body(302, b'', Location='/to_itself'),
        'to_nowhere': body(302, b'', Location='http://[::bad'),
        'error': body(500, b''),
        'wrong_range': body(206, b'y' * 10, Content_Length='10',
                            Content_Range='bytes 999-1008/2000'),
        'bad_chunk': raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\nfoo'),
        'noise': raw(b'\0\xff' * 500),
        'many_headers': raw(b'HTTP/1.1 200 OK\r\n' + b''.join(
            b'X-%d: 1\r\n' % number for number in range(500)) + b'\r\n'),
        'long_header': raw(b'HTTP/1.1 200 OK\r\nX: ' + b'a' * 100_000 + b'\r\n\r\n'),
        'endless': endless}


class _Handler(http.server.BaseHTTPRequestHandler):
    answers = _answers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer as the path says."""
        with suppress(OSError):
            self.answers[self.path.strip('/')](self)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def serving() -> Iterator[str]:
    """Run the server; yield its address."""
    with _Server(('127.0.0.1', 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f'http://127.0.0.1:{server.server_address[1]}'
        finally:
            server.shutdown()


def _fetch(stage: Stage, folder: Path, url: str, timeout_s: float = 25.0) -> Ended:
    folder.mkdir(exist_ok=True)
    return stage.module('sam2_tracker.models.fetch', MODEL, '--directory', folder, '--url', url,
                        timeout_s=timeout_s)


@fault('fetch_checkpoint from a server that lies about lengths, ranges, headers and '
       'redirections: a sentence each, no traceback, nothing that looks whole.', limit_s=200.0)
def hostile_server(stage: Stage) -> None:
    with serving() as address:
        for path in _Handler.answers.keys() - {'endless'}:
            folder = stage.folder / path
            ended = _fetch(stage, folder, f'{address}/{path}')
            expect(ended.code == 1, f'{path}: exit code {ended.code}')
            expect(not list(folder.glob('*.pt')), f'{path}: a checkpoint is there')


@fault(f'fetch_checkpoint from a server that never ends: stopped by the known size, below '
       f'{_ENDLESS_LIMIT_MIB} MiB.')
def endless_server(stage: Stage) -> None:
    folder = stage.folder / 'endless'
    with serving() as address:
        ended = _fetch(stage, folder, f'{address}/endless', 40.0)
    taken_mib = sum(path.stat().st_size for path in folder.iterdir()) / 1024 ** 2
    stage.lost = f'{taken_mib:.0f} MiB left on the disk'
    expect(ended.code == 1, f'exit code {ended.code}')
    expect('ended early' not in ended.err and taken_mib < 1.1 * _SIZE / 1024 ** 2,
           f'{taken_mib:.0f} MiB were taken')


@fault('fetch_checkpoint with a `--url` that is none, of a file, of a device, of no host: a '
       'sentence each, no traceback.')
def bad_addresses(stage: Stage) -> None:
    for name, url in (('word', 'nonsense'), ('file', 'file:///etc/passwd'),
                      ('device', 'file:///dev/zero'), ('host', 'http:///x'),
                      ('port', 'http://127.0.0.1:1/x'), ('brackets', 'http://[::bad')):
        ended = _fetch(stage, stage.folder / name, url, 15.0)
        expect(ended.code in (1, 2), f'{url}: exit code {ended.code}')


@fault('fetch_checkpoint where the unfinished file is a link to a file of the user: it is '
       'not followed.')
def planted_download_link(stage: Stage) -> None:
    folder, secret = stage.folder / 'cache', stage.folder / 'secret.txt'
    folder.mkdir()
    secret.write_text('precious')
    with serving() as address:
        for name in (f'{MODEL}.pt.part', f'.{MODEL}.pt.part'):
            (folder / name).symlink_to(secret)
        _fetch(stage, folder, f'{address}/short')
    expect(secret.exists() and secret.read_bytes() == b'precious',
           'what a planted link points to was overwritten')

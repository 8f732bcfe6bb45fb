# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A place on the web that has a checkpoint."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
import hashlib
from http.server import BaseHTTPRequestHandler
import io
import os
import re
import threading
import zipfile

from sam2_tracker.models.zoo import MODELS, ModelSpec

NAME = 'sam2.1_hiera_tiny'
PATIENCE_BYTES = 300_000_000


def archive_of(size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('archive/data.pkl', os.urandom(size))
    return buffer.getvalue()


@dataclass
class Site:
    """A web server with one file and the weaknesses that real ones have."""

    content: bytes = field(default_factory=lambda: archive_of(900_000))
    ranges: bool = True
    status: int = 200
    #: Bytes sent before the connection breaks, for each request in turn; then all of it.
    breaks: list[int] = field(default_factory=list)
    #: While it is clear only the first half is sent.
    may_finish: threading.Event = field(default_factory=threading.Event)
    #: What is sent instead of an answer, head and all.
    raw: bytes = b''
    #: Sent after that for as long as anybody reads, at most `PATIENCE_BYTES`.
    endless: bool = False
    sent_bytes: int = 0
    #: Whether the size of the file is published too.
    knows_size: bool = True
    #: The Range header of each request.
    asked: list[str | None] = field(default_factory=list)
    url: str = ''

    def spec(self) -> ModelSpec:
        return replace(
            MODELS[NAME],
            url=self.url,
            size_bytes=len(self.content) if self.knows_size else 0,
            sha256=hashlib.sha256(self.content).hexdigest(),
        )


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        asked = self.headers.get('Range')
        self.site.asked.append(asked)
        start = int(re.findall(r'\d+', asked)[0]) if asked and self.site.ranges else 0
        if self.site.raw:
            self.send_raw()
        elif self.site.status != 200:
            self.send_error(self.site.status)
        elif start >= len(self.site.content):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(self.site.content)}')
            self.end_headers()
        else:
            self.send_body(start)

    def send_raw(self) -> None:
        self.close_connection = True
        self.wfile.write(self.site.raw)
        with contextlib.suppress(OSError):
            while self.site.endless and self.site.sent_bytes < PATIENCE_BYTES:
                self.site.sent_bytes += self.wfile.write(bytes(1 << 16))

    def send_body(self, start: int) -> None:
        total = len(self.site.content)
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', f'bytes {start}-{total - 1}/{total}')
        self.send_header('Content-Length', str(total - start))
        self.end_headers()
        body = (
            self.site.content[start:start + self.site.breaks.pop(0)]
            if self.site.breaks
            else self.site.content[start:]
        )
        middle = len(body) // 2
        self.wfile.write(body[:middle])
        self.site.may_finish.wait()
        self.wfile.write(body[middle:])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass

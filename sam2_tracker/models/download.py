# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Download one file over HTTP: resumable, locked against a second download of the same file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
import fcntl
import http.client
from http.client import HTTPException, HTTPResponse
from pathlib import Path
import re
from typing import BinaryIO, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from sam2_tracker.core.errors import ModelError

CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0


class Progress(Protocol):
    """What a progress bar has to do; tqdm's does."""

    def update(self, n: int) -> object:
        """Add bytes."""


#: Opens a progress bar, given the bytes in all (0 if unknown) and those that are there already.
OpenProgress = Callable[[int, int], AbstractContextManager[Progress]]


def download(
    url: str, part: Path, open_progress: OpenProgress, timeout_s: float = TIMEOUT_S
) -> None:
    """
    Download a file into ``part``, going on where an earlier download of it stopped.

    A broken connection is taken up again for as long as each attempt brings something.

    :param part: the file to write; what it holds is taken as the file's beginning
    :raises ModelError: unreachable, refused, or broken off; then what has arrived is kept
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open('ab') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelError(f'{part} is being written by another fetch; wait for it') from None
        try:
            _download_locked(url, file, open_progress, timeout_s)
        finally:
            if not file.tell():
                part.unlink()


def _download_locked(
    url: str, file: BinaryIO, open_progress: OpenProgress, timeout_s: float
) -> None:
    while True:
        before = file.tell()
        if _attempt(url, file, open_progress, timeout_s):
            return
        if file.tell() <= before:
            raise ModelError(
                f'the connection to {_host(url)} breaks off after {before} bytes; '
                'run the same command again to go on from there'
            )


def _attempt(url: str, file: BinaryIO, open_progress: OpenProgress, timeout_s: float) -> bool:
    """Download what is missing; False if the connection broke before the end."""
    start = file.tell()
    headers = {'Range': f'bytes={start}-'} if start else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=timeout_s) as response:
            total = _expected_size(response, file)
            with open_progress(total, file.tell()) as progress:
                while chunk := response.read(CHUNK_BYTES):
                    file.write(chunk)
                    progress.update(len(chunk))
            return not total or file.tell() >= total
    except HTTPError as error:
        if error.code == 416 and start:
            return _is_complete(error, file)
        raise ModelError(f'{_host(url)} answers {error.code} {error.reason} for {url}') from error
    except URLError as error:
        raise ModelError(f'cannot reach {_host(url)}: {error.reason}') from error
    except (HTTPException, ConnectionError, TimeoutError):
        return False


def _expected_size(response: HTTPResponse, file: BinaryIO) -> int:
    """Prepare the file for what the server sends; return the file's full size, 0 if unknown."""
    length = int(response.headers.get('Content-Length') or 0)
    if response.status == http.client.PARTIAL_CONTENT:
        match = re.match(r'bytes (\d+)-', response.headers.get('Content-Range', ''))
        if match is not None and int(match[1]) == file.tell():
            return file.tell() + length if length else 0
        raise ModelError(
            f'the server sends {response.headers.get("Content-Range")!r} when asked '
            f'to go on from byte {file.tell()}; delete {file.name} and try again'
        )
    # A server without ranges sends all of it again.
    file.seek(0)
    file.truncate()
    return length


def _is_complete(error: HTTPError, file: BinaryIO) -> bool:
    """Tell whether nothing was missing; else empty the file, so that the next attempt restarts."""
    if error.headers.get('Content-Range', '') == f'bytes */{file.tell()}':
        return True
    file.seek(0)
    file.truncate()
    raise ModelError(
        f'{file.name} was longer than the file on the server and has been emptied; '
        'run the same command again'
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc or url

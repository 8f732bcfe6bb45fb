# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Download one file over HTTP: resumable, locked against a second download of the same file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
import fcntl
import http.client
from http.client import HTTPException, HTTPResponse, InvalidURL
import os
from pathlib import Path
import re
from typing import BinaryIO, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from sam2_tracker.core.errors import ModelError
from sam2_tracker.core.plain_file import refuse_irreplaceable

CHUNK_BYTES = 1 << 18
# No checkpoint is larger: that much is taken where a published size is not known.
MOST_BYTES = 1 << 30
TIMEOUT_S = 30.0


class Progress(Protocol):
    """What a progress bar has to do; tqdm's does."""

    def update(self, n: int) -> object:
        """Add bytes."""


#: Opens a progress bar, given the bytes in all (0 if unknown) and those that are there already.
OpenProgress = Callable[[int, int], AbstractContextManager[Progress]]


def download(
    url: str,
    part: Path,
    size_bytes: int,
    open_progress: OpenProgress,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """
    Download a file into ``part``, going on where an earlier download of it stopped.

    A broken connection is taken up again for as long as each attempt brings something.

    :param url: http, https or file
    :param part: the file to write; what it holds is taken as the file's beginning
    :param size_bytes: of the published file: nothing beyond it is taken; 0 if it is not known
    :raises ModelError: unreachable, refused, another file, or broken off; then what has arrived
        is kept
    :raises OSError: ``part`` cannot be written, or is something else than a file
    """
    check_url(url)
    part.parent.mkdir(parents=True, exist_ok=True)
    with _open_part(part) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelError(f'{part} is being written by another fetch; wait for it') from None
        try:
            _download_locked(url, file, size_bytes, open_progress, timeout_s)
        finally:
            if not file.tell():
                part.unlink()


def check_url(url: str) -> None:
    """
    Refuse what is no address of a file.

    :raises ModelError: naming it
    """
    try:
        scheme, host, path, *_ = urlsplit(url)
    except ValueError:
        scheme = host = path = ''
    is_one = path if scheme == 'file' else host and scheme in ('http', 'https')
    if not is_one or not url.isprintable() or ' ' in url:
        raise ModelError(
            f'{url!r} is no address of a file: http://HOST/FILE, https://HOST/FILE and '
            'file:///FILE are'
        )


def _open_part(part: Path) -> BinaryIO:
    """Open a file to append to; a link is not followed, and nothing else is waited for."""
    refuse_irreplaceable(part)
    if part.is_symlink():
        raise OSError('it is a symbolic link, which is not followed: remove it')

    def opener(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

    return open(part, 'ab', opener=opener)


def _download_locked(
    url: str, file: BinaryIO, size_bytes: int, open_progress: OpenProgress, timeout_s: float
) -> None:
    while True:
        before = file.tell()
        if _attempt(url, file, size_bytes, open_progress, timeout_s):
            return
        if file.tell() <= before:
            raise ModelError(
                f'the connection to {_host(url)} breaks off after {before} bytes; '
                'run the same command again to go on from there'
            )


def _attempt(
    url: str, file: BinaryIO, size_bytes: int, open_progress: OpenProgress, timeout_s: float
) -> bool:
    """Download what is missing; False if the connection broke before the end."""
    start = file.tell()
    headers = {'Range': f'bytes={start}-'} if start else {}
    try:
        response = urlopen(Request(url, headers=headers), timeout=timeout_s)
    except HTTPError as error:
        if error.code == 416 and start:
            return _is_complete(error, file)
        answer = f'{error.code} {_plain(error.reason)}'
        raise ModelError(f'{_host(url)} answers {answer} for {url}') from error
    except URLError as error:
        raise ModelError(f'cannot reach {_host(url)}: {_plain(error.reason)}') from error
    except (InvalidURL, ValueError) as error:
        raise ModelError(f'{_host(url)} names no usable address: {_plain(error)}') from error
    except (HTTPException, OSError):
        return False
    with response:
        total = _expected_size(response, file, size_bytes)
        with open_progress(total or size_bytes, file.tell()) as progress:
            for chunk in _chunks(response):
                if file.tell() + len(chunk) > (size_bytes or MOST_BYTES):
                    raise _too_long(url, file, size_bytes)
                file.write(chunk)
                progress.update(len(chunk))
        return file.tell() >= (total or size_bytes)


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield what arrives, until its end or until the connection breaks."""
    with suppress(HTTPException, OSError):
        while chunk := response.read(CHUNK_BYTES):
            yield chunk


def _too_long(url: str, file: BinaryIO, size_bytes: int) -> ModelError:
    """Empty the file: what came before cannot be the published file's beginning either."""
    file.seek(0)
    file.truncate()
    no_more = 'the published file has no more' if size_bytes else 'no checkpoint is that large'
    return ModelError(
        f'{_host(url)} sends more than {size_bytes or MOST_BYTES} bytes, but {no_more}'
    )


def _expected_size(response: HTTPResponse, file: BinaryIO, size_bytes: int) -> int:
    """
    Prepare the file for what the server sends; return the file's full size, 0 if unknown.

    :raises ModelError: it is not the published file's size
    """
    length = _content_length(response)
    start = file.tell() if response.status == http.client.PARTIAL_CONTENT else 0
    if response.status == http.client.PARTIAL_CONTENT:
        sent = response.headers.get('Content-Range', '')
        match = re.match(r'bytes (\d{1,19})-', sent)
        if match is None or int(match[1]) != file.tell():
            raise ModelError(
                f'the server sends {sent!r} when asked to go on from byte {file.tell()}; '
                f'delete {file.name} and try again'
            )
    if length and size_bytes and start + length != size_bytes:
        raise ModelError(
            f'the server has a file of {start + length} bytes, but the published one has '
            f'{size_bytes}'
        )
    if not start:
        # A server without ranges sends all of it again.
        file.seek(0)
        file.truncate()
    return start + length if length else 0


def _content_length(response: HTTPResponse) -> int:
    """Return how much is announced, 0 if nothing is, or nothing that can be."""
    announced = response.headers.get('Content-Length') or ''
    return int(announced) if re.fullmatch(r'\d{1,19}', announced) else 0


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


def _plain(reason: object) -> str:
    """Return a server's words in one line, without anything that a terminal would act on."""
    words = ' '.join(str(reason).split())
    return ''.join(character if character.isprintable() else '?' for character in words)


def _host(url: str) -> str:
    return urlsplit(url).netloc or url

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Who may talk to the console.

A browser sends any page's requests to this machine, and a foreign name can be made to point here:
so the name that a request asks for, and the page that it comes from, are checked always. Others
than this machine's own users have to show a token besides.
"""

from __future__ import annotations

from collections.abc import Mapping
import hmac
import ipaddress
import os
from pathlib import Path
import secrets
import socket
import time
from urllib.parse import urlsplit

from sam2_tracker.core.errors import ConfigError
from sam2_tracker.web.settings import ConsoleConfig

LOCAL_NAMES = frozenset({'localhost', '127.0.0.1', '::1'})
TOKEN_BYTES = 18


class Gate:
    """
    Says what is refused, and why.

    :param token: what has to be shown, '' for nothing
    """

    def __init__(self, config: ConsoleConfig, token: str) -> None:
        self._is_local = config.is_local
        self._token = token
        own = {socket.gethostname().lower()} if not config.is_local else set()
        own |= {f'{name}.local' for name in own}
        named = {name.strip().lower() for name in config.names.split(',') if name.strip()}
        self._names = LOCAL_NAMES | own | named | {config.host.lower()}

    def refusal(self, headers: Mapping[str, str], *, needs_origin: bool) -> str:
        """
        Check for whom a request is and where it comes from.

        :param needs_origin: whether one without an origin is refused, as browsers always send one
        :returns: why it is refused, '' if it is not
        """
        host, origin = headers.get('Host', ''), headers.get('Origin')
        if not self._is_own(host):
            return ('this console is not known by that name: its parameter names takes those that '
                    'it goes by')
        if origin is None:
            return 'a page of this console is expected to ask' if needs_origin else ''
        try:
            is_same = urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            is_same = False
        return '' if is_same else 'only pages of this console may ask'

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f'//{host}').hostname or ''
        except ValueError:
            return False
        if name in self._names:
            return True
        # Nobody can make an address mean another machine, as they can a name.
        return not self._is_local and _is_address(name)

    def takes(self, token: str) -> bool:
        """Tell whether a token is the right one, in the same time for every wrong one."""
        return not self._token or hmac.compare_digest(token.encode(), self._token.encode())


def reachable_host(host: str) -> str:
    """Return how others reach this machine where it listens on all of its addresses."""
    return socket.gethostname() if host in ('0.0.0.0', '::', '') else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def token_of(config: ConsoleConfig) -> tuple[str, Path | None]:
    """
    Return the token that has to be shown, '' for none, and the file that it is in, if any.

    :raises ConfigError: the file cannot be written
    """
    if config.token or config.is_local:
        return config.token, None
    token = secrets.token_urlsafe(TOKEN_BYTES)
    # Consoles on any free port have nothing else to tell them apart by before they listen.
    path = _token_file(config.port or os.getpid())
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        # New, so that nobody else has it open and no link leads elsewhere.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w') as file:
            file.write(f'{token}\n')
    except OSError as error:
        raise ConfigError(f'the token cannot be written to {path}: {error.strerror}; the '
                          'parameter token can name one') from error
    return token, path


def _token_file(number: int) -> Path:
    runtime = os.environ.get('XDG_RUNTIME_DIR', '')
    try:
        folder = Path(runtime) if runtime.startswith('/') else Path.home() / '.cache'
    except RuntimeError as error:
        raise ConfigError(f'there is no place for a token ({error}): set the parameter token or '
                          'XDG_RUNTIME_DIR') from error
    return folder / 'sam2_tracker' / f'console_{number}.token'


class Allowance:
    """
    How many messages are taken: so many at once, and so many a second in the long run.

    :param burst: at once
    :param rate_hz: a second
    """

    def __init__(self, burst: int, rate_hz: float) -> None:
        self._burst = burst
        self._rate_hz = rate_hz
        self._left = float(burst)
        self._at_s = time.monotonic()

    def take(self) -> bool:
        """Take one; False if there is none left."""
        now_s = time.monotonic()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._rate_hz)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True

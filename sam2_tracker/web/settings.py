# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the console can be told, as settings with their checks."""

from __future__ import annotations

from dataclasses import dataclass
import ipaddress
from pathlib import Path

from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.settings import setting, specs_of, When
from sam2_tracker.core.text import ROS_NAME

FIXED = When.FIXED


@dataclass(frozen=True)
class ConsoleConfig:
    """Settings of the console."""

    tracker: str = setting(
        '/sam2_tracker', "The tracker's node, with its namespace.", when=FIXED,
        pattern=ROS_NAME, pattern_help='the name of a node')
    image: str = setting(
        '', "The camera's topic; empty for the one that the tracker subscribes to.", when=FIXED,
        pattern=f'({ROS_NAME})?', pattern_help='the name of a topic')
    host: str = setting(
        '127.0.0.1', 'Address to listen on; one that others can reach asks for a token.',
        when=FIXED, pattern=r'\S+', pattern_help='an address or a name')
    port: int = setting(
        8090, 'Port to listen on; 0 for a free one.', when=FIXED, between=(0, 65535))
    names: str = setting(
        '', "Names besides this machine's own that browsers may call it by, with commas.",
        when=FIXED)
    token: str = setting(
        '', 'What browsers have to show; empty for a new one in a file of its own, or for none '
        "on this machine's own address.", when=FIXED, pattern=r'([\w.~-]{16,128})?',
        pattern_help='16 to 128 letters, digits or ._~-', is_secret=True)
    tls_cert: Path | None = setting(
        None, 'Certificate chain (PEM) for https; empty for http.', when=FIXED)
    tls_key: Path | None = setting(None, 'Private key (PEM) of tls_cert.', when=FIXED)
    max_clients: int = setting(
        8, 'Browsers that may look at the same time.', when=FIXED, between=(1, 100))
    max_rate: float = setting(
        15.0, 'Pictures a second that a browser gets at most.', when=FIXED, between=(0.5, 60.0))
    max_side: int = setting(
        1280, 'Longest side of a picture as it is sent, in pixels; 0 for no limit.', when=FIXED,
        between=(0, 65535))
    jpeg_quality: int = setting(
        80, 'JPEG quality of pictures that are made here.', when=FIXED, between=(1, 100))

    @property
    def is_local(self) -> bool:
        """Tell whether only this machine can reach it."""
        if self.host == 'localhost':
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def check(self) -> None:
        """
        Check what belongs together.

        :raises ConfigError: certificate without key, or a file that is not there
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            there, missing = ('tls_cert', 'tls_key') if self.tls_cert else ('tls_key', 'tls_cert')
            raise ConfigError(f'{there} is given without {missing}: https needs both')
        for path in (self.tls_cert, self.tls_key):
            if path is not None and not path.is_file():
                raise ConfigError(f'{path} is not there, or is no file: a PEM file is expected')


CONSOLE_SPECS = tuple(specs_of(ConsoleConfig))

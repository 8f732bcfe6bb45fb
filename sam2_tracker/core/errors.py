# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
What can go wrong, as sentences that a person can act on.

Every message names the offending value and what would be right, so that the edges (a service
reply, a log line, a command's last line) can show it as it is.
"""

import re

from sam2_tracker.core.text import printable

# What a picture was read from, as PIL names it, tells nobody anything.
_ADDRESS = re.compile(r' ?<[^<>]* object at 0x[0-9a-f]+>')


def reason(error: Exception) -> str:
    """Say why a file could not be used, for a sentence that names it: OSError would again."""
    return str(getattr(error, 'strerror', None) or error)


class TrackerError(Exception):
    """
    Base of every refusal: the message is one sentence for the user.

    It may quote what came from outside; what cannot be printed of that is escaped.
    """

    def __init__(self, message: str = '') -> None:
        super().__init__(printable(message))


class ConfigError(TrackerError):
    """A parameter has a value that cannot work."""


class PromptError(TrackerError):
    """A prompt is malformed, outside its frame or names an object that is not there."""


class FrameError(TrackerError):
    """A frame is unreadable, unknown or no longer buffered."""


class UnansweredError(FrameError):
    """A frame cannot be read now, as the disk does not answer; it may be read later."""


class StorageError(TrackerError):
    """The frame directory cannot be written or read."""


class ModelError(TrackerError):
    """A model or checkpoint is unknown, missing, damaged or does not fit the device."""


class WithdrawnError(TrackerError):
    """A request was withdrawn before it took effect: it timed out or the tracker stopped."""


def one_line(error: BaseException) -> str:
    """Return what an error says without the line breaks, and addresses in memory, in it."""
    return ' '.join(_ADDRESS.sub('', str(error)).split())

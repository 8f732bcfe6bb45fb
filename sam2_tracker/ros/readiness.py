# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Why the tracker cannot answer right now, as a sentence."""

from __future__ import annotations

from sam2_tracker.core.errors import TrackerError

ACTIVE = 'active'


class NotReadyError(TrackerError):
    """A request came while the tracker is not active."""


class Readiness:
    """
    Remembers the lifecycle state and the last failure.

    :param node_name: the node's full name, for the command that would help
    """

    def __init__(self, node_name: str) -> None:
        self._node_name = node_name
        self.state = 'unconfigured'
        self.failure = ''

    def entered(self, state: str) -> None:
        """Note a transition that went well."""
        self.state = state
        self.failure = ''

    def failed(self, state: str, failure: str) -> None:
        """Note a transition that failed and the state that it led back to."""
        self.state = state
        self.failure = failure

    def reason(self) -> str:
        """Say what the tracker is and what would make it active, empty if it is active."""
        if self.state == ACTIVE:
            return ''
        if self.failure:
            verb = 'configure' if self.state == 'unconfigured' else 'activate'
            return (f'the tracker is {self.state}: {self.failure.rstrip(".")}; when that is '
                    f'mended, ros2 lifecycle set {self._node_name} {verb}')
        return f'the tracker is {self.state}: {self._what_next()}'

    def _what_next(self) -> str:
        steps = {
            'unconfigured': f'ros2 lifecycle set {self._node_name} configure, then activate',
            'configuring': 'the model is being loaded; ask again when it is active',
            'inactive': f'ros2 lifecycle set {self._node_name} activate',
            'finalized': 'it was shut down; start it anew'}
        return steps.get(self.state, 'ask again when it is active')

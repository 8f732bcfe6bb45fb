# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""A contact sheet: some frames of the whole recording on one PNG, with their masks."""

from __future__ import annotations

from pathlib import Path

import cv2

from sam2_tracker.core.types import UInt8Array, Wanted
from sam2_tracker.offline.sink import Result

WANTED = Wanted(label_image=False, masks=True)
TILES = 12
_COLUMNS = 3


class ContactSheet:
    """
    Keeps a frame of every so many; where there are too many tiles, every other one goes.

    :param path: of the PNG
    """

    def __init__(self, path: Path) -> None:
        from sam2_tracker.render.overlay import Overlay

        self._path = path
        self._overlay = Overlay()
        self._every = 1
        self._tiles: dict[int, UInt8Array] = {}

    def write(self, result: Result) -> None:
        """Keep a frame, or not."""
        if result.number % self._every:
            return
        self._tiles[result.number] = self._overlay.draw(result.tracked)
        if len(self._tiles) > TILES:
            self._every *= 2
            self._tiles = {
                number: tile for number, tile in self._tiles.items() if number % self._every == 0
            }

    def finish(self) -> None:
        """Write the sheet."""
        from sam2_tracker.render.contact_sheet import contact_sheet

        if not self._tiles:
            return
        captions = [f'frame {number}' for number in self._tiles]
        sheet = contact_sheet(list(self._tiles.values()), captions, _COLUMNS)
        self._path.write_bytes(cv2.imencode('.png', sheet)[1].tobytes())

    def abort(self) -> None:
        """Forget the frames."""
        self._tiles.clear()

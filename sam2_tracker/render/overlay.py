# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Draw a frame's result over its picture, and many pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from sam2_tracker.core.config import AnnotateConfig
from sam2_tracker.core.types import ObjectState, TrackedFrame, TrackedObject, UInt8Array
from sam2_tracker.render.palette import colour_rgb, HEX_COLOURS
import supervision as sv

_TRACE_FRAMES = 60
_CAPTION_HEIGHT = 22
_GAP = 4


class Overlay:
    """
    Draws results; it remembers the ways of objects over the frames it is given, in order.

    Not thread-safe: one thread uses it.
    """

    def __init__(self, config: AnnotateConfig | None = None) -> None:
        self._palette = sv.ColorPalette.from_hex(list(HEX_COLOURS))
        self._newest_index = -1
        self._trace: sv.TraceAnnotator | None = None
        self.configure(config or AnnotateConfig())

    def configure(self, config: AnnotateConfig) -> None:
        """Change what is drawn from the next frame on."""
        self._config = config
        self._masks = sv.MaskAnnotator(
            color=self._palette, color_lookup=sv.ColorLookup.CLASS, opacity=config.opacity
        )
        self._boxes = sv.BoxAnnotator(
            color=self._palette, color_lookup=sv.ColorLookup.CLASS, thickness=2
        )
        if not config.trace:
            self._trace = None

    def draw(self, tracked: TrackedFrame) -> UInt8Array:
        """
        Draw a result over its frame.

        :param tracked: with masks if masks are to be drawn
        :returns: (height, width, 3) uint8 BGR, of the source's size
        """
        scene = _source_size_bgr(tracked)
        visible = [item for item in tracked.objects if item.box is not None]
        detections = _detections(tracked, visible)
        if self._config.mask and tracked.masks:
            scene = self._masks.annotate(scene, detections)
        if self._config.trace:
            scene = self._trace_annotator(tracked.frame.index).annotate(scene, detections)
        if self._config.box:
            scene = self._boxes.annotate(scene, detections)
        if self._config.label:
            scene = self._draw_labels(scene, detections, visible)
            _list_hidden(scene, tracked.objects)
        return scene

    def _trace_annotator(self, frame_index: int) -> sv.TraceAnnotator:
        # A frame number that goes back is a new session: no line across the cut.
        if self._trace is None or frame_index <= self._newest_index:
            self._trace = sv.TraceAnnotator(
                color=self._palette,
                color_lookup=sv.ColorLookup.CLASS,
                trace_length=_TRACE_FRAMES,
                thickness=2,
            )
        self._newest_index = frame_index
        return self._trace

    def _draw_labels(
        self, scene: UInt8Array, detections: sv.Detections, visible: list[TrackedObject]
    ) -> UInt8Array:
        annotator = sv.LabelAnnotator(
            color=self._palette,
            color_lookup=sv.ColorLookup.CLASS,
            text_color=sv.Color.BLACK,
            text_scale=_text_scale(scene),
            text_padding=3,
            smart_position=True,
        )
        return annotator.annotate(scene, detections, [label_text(item) for item in visible])


def label_text(item: TrackedObject) -> str:
    """Write an object's id, name and score or state on one line: ``2 bag 0.97``."""
    words = [str(item.id), item.label]
    if item.state is ObjectState.VISIBLE:
        words.append(f'{item.score:.2f}')
    elif item.state is not ObjectState.UNKNOWN:
        words.append(item.state.name.lower())
    if item.catching_up:
        words.append('catching up')
    return ' '.join(word for word in words if word)


def _source_size_bgr(tracked: TrackedFrame) -> UInt8Array:
    image, (height, width) = tracked.frame.image_rgb, tracked.frame.source_hw
    scene = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if image.shape[:2] != (height, width):
        scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(scene, np.uint8)


def _detections(tracked: TrackedFrame, visible: list[TrackedObject]) -> sv.Detections:
    if not visible:
        return sv.Detections.empty()
    boxes = [item.box for item in visible if item.box is not None]
    masks = None
    if tracked.masks:
        masks = np.stack(
            [
                mask
                for item, mask in zip(tracked.objects, tracked.masks, strict=True)
                if item.box is not None
            ]
        )
    ids = np.array([item.id for item in visible])
    corners = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]
    # The palette starts with the colour of id 1.
    return sv.Detections(
        xyxy=np.array(corners, np.float32),
        mask=masks,
        tracker_id=ids,
        class_id=(ids - 1) % len(HEX_COLOURS),
    )


def _text_scale(scene: UInt8Array) -> float:
    return float(np.clip(scene.shape[0] / 960, 0.4, 1.2))


def _list_hidden(scene: UInt8Array, objects: tuple[TrackedObject, ...]) -> None:
    """List the objects that are not visible in the top left corner, in place."""
    scale = _text_scale(scene)
    top = 4
    for item in objects:
        if item.box is not None:
            continue
        text = label_text(item)
        (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        bottom = top + height + base + 4
        panel = scene[top:bottom, 4:width + height + 20]
        panel[:] = panel // 4
        panel[4:-4, 4:4 + height] = colour_rgb(item.id)[::-1]
        origin = (height + 14, bottom - base - 2)
        cv2.putText(
            scene, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
        )
        top = bottom + 2


def contact_sheet(
    images: Sequence[UInt8Array], captions: Sequence[str], columns: int = 3, tile_width: int = 426
) -> UInt8Array:
    """
    Put pictures side by side, in reading order, each with a caption above it.

    :param images: one or more (height, width, 3) uint8, of any sizes; all BGR or all RGB
    :param captions: one for each picture
    :param tile_width: width of each picture on the sheet in pixels
    :returns: (height, width, 3) uint8, channels as given
    """
    tiles = [
        _tile(image, caption, tile_width) for image, caption in zip(images, captions, strict=True)
    ]
    rows = [tiles[start:start + columns] for start in range(0, len(tiles), columns)]
    width = min(columns, len(tiles)) * (tile_width + _GAP) + _GAP
    heights = [max(tile.shape[0] for tile in row) + _GAP for row in rows]
    sheet = np.full((sum(heights) + _GAP, width, 3), 255, np.uint8)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = _GAP + column * (tile_width + _GAP)
            sheet[top:top + tile.shape[0], left:left + tile_width] = tile
        top += height
    return sheet


def spread(count: int, wanted: int) -> list[int]:
    """Choose ``wanted`` of ``count`` positions, evenly spread, the first and last among them."""
    return sorted({round(position) for position in np.linspace(0, count - 1, min(wanted, count))})


def _tile(image: UInt8Array, caption: str, width: int) -> UInt8Array:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    tile = np.full((height + _CAPTION_HEIGHT, width, 3), 255, np.uint8)
    tile[_CAPTION_HEIGHT:] = picture
    cv2.putText(
        tile,
        caption,
        (2, _CAPTION_HEIGHT - 6),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.5,
        (0, 0, 0),
        1,
        cv2.LINE_AA,
    )
    return tile

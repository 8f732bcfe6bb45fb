# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo leaves to look at: a video, a contact sheet and a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
import statistics
from typing import Any

import av
import cv2
from demo.recording import Recording
from demo.scene import box_iou, HAND_BOXES, IN_PICTURE
import numpy as np
from sam2_tracker.core.frames import jpeg
from sam2_tracker.core.types import (
    Frame,
    FrameHeader,
    ObjectState,
    TrackedFrame,
    UInt8Array,
)
from sam2_tracker.render.overlay import contact_sheet, Overlay, spread

TILES = 15
# What the node calls the ways in which a frame can have no result.
NOT_TRACKED = ('dropped', 'skipped', 'lost', 'failed')


def annotated_pictures(recording: Recording, frames_folder: Path) -> list[UInt8Array]:
    """
    Return the annotated stream, one BGR picture a frame.

    The first frame was published before anything could be prompted on it: it is drawn here, from
    the answers to the prompts on it.
    """
    paths = sorted(frames_folder.glob('*.jpeg'))
    pictures = []
    for index, (frame, path) in enumerate(zip(recording.frames, paths, strict=True)):
        if index == 0:
            pictures.append(Overlay().draw(_first_frame(recording, path)))
        elif frame.annotated_bgr is None:
            pictures.append(cv2.cvtColor(jpeg.decode(path.read_bytes()), cv2.COLOR_RGB2BGR))
        else:
            pictures.append(frame.annotated_bgr)
    return pictures


def write_video(path: Path, pictures: Sequence[UInt8Array], rate_hz: float) -> None:
    """
    Write pictures as H.264 in MP4, which OpenCV, players and browsers open.

    :param pictures: (height, width, 3) uint8 BGR with even sides
    """
    height, width = pictures[0].shape[:2]
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=Fraction(rate_hz), options={'crf': '18'})
        stream.height, stream.width, stream.pix_fmt = height, width, 'yuv420p'
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='bgr24')))
        container.mux(stream.encode())


def write_sheet(path: Path, recording: Recording, pictures: Sequence[UInt8Array]) -> None:
    """Write a contact sheet of frames from first to last, with what happened as captions."""
    chosen = spread(len(pictures), TILES)
    captions = [_caption(recording, index) for index in chosen]
    sheet = contact_sheet([pictures[index] for index in chosen], captions)
    cv2.imwrite(str(path), sheet)


def report(
    recording: Recording, frames_in: int, frames_per_second: float, diagnostics: Mapping[str, str]
) -> dict[str, Any]:
    """
    Sum a run up.

    :param frames_in: frames that were played
    :param diagnostics: the tracker's own figures, as they came
    """
    tracked = len(recording.frames)
    return {
        'model': recording.model,
        'threads': recording.threads,
        'frames_in': frames_in,
        'frames_tracked': tracked,
        'dropped': sum(int(diagnostics[f'frames {what}']) for what in NOT_TRACKED),
        'fps': round(frames_per_second, 2),
        # From receiving a frame to having published its result: with every frame kept, mostly the
        # time in the queue.
        'latency_ms': {rank: float(diagnostics[f'latency {rank} ms']) for rank in ('p50', 'p95')},
        'objects': [
            _object_report(recording, object_id) for object_id in sorted(recording.labels)
        ],
        'hand_box_iou': hand_box_ious(recording),
        'diagnostics': dict(diagnostics),
    }


def hand_box_ious(recording: Recording) -> dict[str, dict[str, float]]:
    """
    Compare the boxes with those drawn by hand, by frame and label; 0 where there is none.

    Frames on which an object was prompted are left out: what is there was shown, not found.
    """
    prompted = {
        (call.on_frame, prompt.label) for call in recording.calls for prompt in call.prompts
    }
    ids = {label: object_id for object_id, label in recording.labels.items()}
    found: dict[str, dict[str, float]] = {}
    for index, boxes in HAND_BOXES.items():
        for label, box in boxes.items():
            if (index, label) in prompted:
                continue
            item = _result_on(recording, index, ids[label])
            iou = 0.0 if item is None or item.box is None else box_iou(item.box, box)
            found.setdefault(str(index), {})[label] = round(iou, 3)
    return found


def mean_hand_box_iou(recording: Recording) -> float:
    """Return the mean over all boxes drawn by hand on frames that were not prompted."""
    return statistics.mean(
        iou for boxes in hand_box_ious(recording).values() for iou in boxes.values()
    )


def _result_on(recording: Recording, index: int, object_id: int) -> Any:
    """Return an object's result on a frame: published, else from the answer to a prompt there."""
    item = recording.frames[index].of(object_id)
    if item is not None and item.state is not ObjectState.UNKNOWN:
        return item
    replies = [item for call in recording.calls if call.on_frame == index for item in call.reply]
    return next((item for item in replies if item.id == object_id), None)


def _object_report(recording: Recording, object_id: int) -> dict[str, Any]:
    label = recording.labels[object_id]
    results = [_result_on(recording, index, object_id) for index in range(len(recording.frames))]
    there = IN_PICTURE.get(label, range(len(results)))
    visible = {
        index
        for index, item in enumerate(results)
        if item is not None and item.state is ObjectState.VISIBLE
    }
    scores = [
        item.score
        for index, item in enumerate(results)
        if item is not None and index in there
    ]
    return {
        'id': object_id,
        'label': label,
        'frames_in_picture': sum(index in there for index in range(len(results))),
        'frames_visible': sum(index in there for index in visible),
        'frames_visible_when_gone': sum(index not in there for index in visible),
        'mean_score': round(statistics.mean(scores), 3) if scores else None,
    }


def _caption(recording: Recording, index: int) -> str:
    asked = [
        prompt.label
        for call in recording.calls
        if call.on_frame == index
        for prompt in call.prompts
    ]
    return f'frame {index}' + (f', prompted: {", ".join(asked)}' if asked else '')


def _first_frame(recording: Recording, path: Path) -> TrackedFrame:
    image_rgb = jpeg.decode(path.read_bytes())
    height, width = image_rgb.shape[:2]
    frame = Frame(0, recording.frames[0].stamp_ns, FrameHeader(0, ''), image_rgb, (height, width))
    answered = [
        (item, np.equal(call.reply_label_image, item.id))
        for call in recording.calls
        if call.on_frame == 0
        for item in call.reply
    ]
    return TrackedFrame(
        frame, tuple(item for item, _ in answered), tuple(mask for _, mask in answered)
    )

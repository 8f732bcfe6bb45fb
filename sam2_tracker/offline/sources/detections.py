# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
What a detector found in a recording: COCO files, MOT text files, or a topic of the bag itself.

All is read before the run: which classes there are has to be known when outputs begin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
import hashlib
import json
import math
from pathlib import Path
from typing import Any, TYPE_CHECKING

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_idl, get_types_from_msg
from sam2_tracker.core.config import DetectionsConfig
from sam2_tracker.core.detections.detection import (
    Detection,
    DetectionArray,
    Refusals,
    sifted,
    upright,
)
from sam2_tracker.core.errors import reason
from sam2_tracker.core.log import Level, Log
from sam2_tracker.core.text import shown
from sam2_tracker.offline.errors import SourceError
from sam2_tracker.offline.sources.bag import make_typestore, open_bag, readable
from sam2_tracker.offline.sources.coco import coco_rows, UnclearVideoError
from sam2_tracker.offline.sources.open_source import is_bag

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore

KIND = 'vision_msgs/msg/Detection2DArray'
# An hour of thirty boxes a frame, thirty times a second, is less.
MAX_FILE_BYTES = 512 * 1024**2
_EXPECTED = (
    'COCO results (a JSON list of {"image_id", "category_id", "bbox", "score"}), a COCO data set, '
    'or MOT lines (frame, id, left, top, width, height, score, class)')


@dataclass(frozen=True, eq=False)
class RecordedDetections:
    """
    What a detector found in one recording.

    :param name: the file or topic, as messages name it
    :param by_number: by frame number, from 0; or by picture name
    :param by_stamp: of a topic, in the order of their stamps
    :param fingerprint: tells other detections, or other settings, from these
    """

    name: str
    by_number: Mapping[int | str, tuple[Detection, ...]] = field(default_factory=dict)
    by_stamp: tuple[DetectionArray, ...] = ()
    fingerprint: str = ''

    @property
    def arrays(self) -> Iterator[tuple[Detection, ...]]:
        """Yield what was found on each frame."""
        yield from self.by_number.values()
        yield from (each.detections for each in self.by_stamp)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return all labels that objects may get, in order."""
        return tuple(sorted({each.class_id for array in self.arrays for each in array}))


def load_detections(
    what: str, recording: Path, config: DetectionsConfig, log: Log
) -> RecordedDetections:
    """
    Read a file, or else a topic of the recording.

    :param what: a path, or a topic's name
    :param log: told the first of each kind of what cannot be used
    :raises SourceError: if it is neither, or damaged
    """
    refusals = Refusals(log)
    if Path(what).is_file():
        by_number = _of_file(Path(what), recording, config, refusals, log)
        recorded = RecordedDetections(what, by_number, (), _fingerprint(by_number, config))
    else:
        by_stamp = _of_topic(what, recording, config, refusals)
        recorded = RecordedDetections(what, {}, by_stamp, _fingerprint(by_stamp, config))
    _say_what_counts(recorded, config, refusals, log)
    return recorded


def _say_what_counts(recorded: RecordedDetections, config: DetectionsConfig, refusals: Refusals,
                     log: Log) -> None:
    count = sum(map(len, recorded.arrays))
    told = (f'{recorded.name}: boxes that count: {count}; left out: {refusals.left_out} (score '
            f'below {config.min_score:g}{", or not of " if config.classes else ""}'
            f'{config.classes}); refused: {refusals.count}')
    if not count or refusals.left_out or refusals.count:
        log(Level.INFO if count else Level.WARN, told)


def _fingerprint(content: object, config: DetectionsConfig) -> str:
    return hashlib.sha256(f'{content!r} {config!r}'.encode()).hexdigest()


def _of_file(
    path: Path, recording: Path, config: DetectionsConfig, refusals: Refusals, log: Log
) -> dict[int | str, tuple[Detection, ...]]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SourceError(
                f'detections {path} have {path.stat().st_size} bytes: at most {MAX_FILE_BYTES} '
                'are read')
        text = path.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f'detections {path} cannot be read: {reason(error)}') from error
    try:
        is_json = text.lstrip()[:1] in ('[', '{')
        rows = coco_rows(json.loads(text), recording, log) if is_json else _mot_rows(text)
        found: dict[int | str, list[Detection]] = defaultdict(list)
        for frame, detection in rows:
            found[frame].append(detection)
    except UnclearVideoError as error:
        raise SourceError(f'detections {path} are not of one video: {error}') from error
    except KeyError as error:
        raise SourceError(f'detections {path} are damaged: {error} is missing; expected are '
                          f'{_EXPECTED}') from error
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SourceError(f'detections {path} are damaged: {error}; expected are {_EXPECTED}'
                          ) from error
    return {frame: sifted(each, config, refusals) for frame, each in found.items()}


def _mot_rows(text: str) -> Iterator[tuple[int, Detection]]:
    """Yield frames, which the lines count from 1, and what was found there."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            cells = line.split(',')
            if len(cells) < 6:
                raise ValueError(f'it has {len(cells)} of at least 6 numbers with commas between')
            frame, _, left, top, width, height, *rest = map(float, cells)
            if frame < 1 or not frame.is_integer():
                raise ValueError(f'frame {frame:g} is not a number from 1')
        except ValueError as error:
            raise ValueError(f'line {number}, {shown(line)}: {error}') from error
        score = rest[0] if rest else 1.0
        # Files of detections have -1 where files of the truth have a class.
        has_class = len(rest) > 1 and rest[1] >= 0 and math.isfinite(rest[1])
        class_id = f'{rest[1]:g}' if has_class else ''
        yield int(frame) - 1, Detection((left, top, left + width, top + height), score, class_id)


def _of_topic(
    topic: str, bag: Path, config: DetectionsConfig, refusals: Refusals
) -> tuple[DetectionArray, ...]:
    if not is_bag(bag):
        raise SourceError(
            f'--detections {topic}: no such file, and {bag} is no bag that could have that topic')
    with closing(open_bag(bag)) as reader, readable(bag):
        connections = _connections(topic, bag, reader.connections)
        types = _types(bag, connections)
        arrays = [
            _array(types, bytes(raw), config, refusals)
            for _, _, raw in reader.messages(connections)
        ]
    return tuple(sorted(arrays, key=lambda each: each.stamp_ns))


def _connections(topic: str, bag: Path, connections: Sequence[Connection]) -> list[Connection]:
    named = [each for each in connections if each.topic.strip('/') == topic.strip('/')]
    found = [each for each in named if each.msgtype == KIND]
    if not found:
        types = ', '.join(sorted({each.msgtype for each in named}))
        otherwise = f' (there it has {types})' if named else ''
        fitting = ', '.join(sorted({each.topic for each in connections if each.msgtype == KIND}))
        raise SourceError(
            f'--detections {topic}: no such file, and bag {bag} has no such topic with '
            f'{KIND}{otherwise}; it has {fitting or "none"}')
    return found


def _types(bag: Path, connections: Iterable[Connection]) -> Typestore:
    """
    Return the message types; a bag brings those that are not installed here.

    :raises SourceError: if it does not
    """
    types = make_typestore()
    for each in connections:
        is_idl = each.msgdef.format is MessageDefinitionFormat.IDL
        if KIND not in types.types and each.msgdef.data:
            found = (get_types_from_idl(each.msgdef.data) if is_idl
                     else get_types_from_msg(each.msgdef.data, each.msgtype))
            types.register({
                name: fields for name, fields in found.items() if name not in types.types})
    if KIND not in types.types:
        raise SourceError(
            f'bag {bag} has no definition of {KIND}: install vision_msgs and source it')
    return types


def _array(
    types: Typestore, raw: bytes, config: DetectionsConfig, refusals: Refusals
) -> DetectionArray:
    try:
        message: Any = types.deserialize_cdr(raw, KIND)
    except (SerdeError, AssertionError) as error:
        raise ValueError(f'not a whole {KIND} ({len(raw)} bytes)') from error
    stamp = message.header.stamp
    return DetectionArray(
        stamp.sec * 10**9 + stamp.nanosec, str(message.header.frame_id),
        sifted(map(upright, message.detections), config, refusals))

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Which outputs were asked for, and where each recording's lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.log import Log
from sam2_tracker.offline.sinks.annotations import Classes, CocoFile, YoloFolder
from sam2_tracker.offline.sinks.bag import BagContent, ResultBag
from sam2_tracker.offline.sinks.frames import FrameFolder, MaskFolder, ObjectTable
from sam2_tracker.offline.sinks.pictures import AnnotatedVideo, ContactSheet
from sam2_tracker.offline.sinks.sink import SinkPlan
from sam2_tracker.offline.sinks.staging import Target

PLACEHOLDER = '{source}'
DEFAULT_RATE_HZ = 30.0


@dataclass(frozen=True)
class Outputs:
    """
    What was asked for; None for what was not.

    :param bag: a rosbag2, with `content` in it
    :param masks: folder with a folder of PNGs for each recording
    :param frames: folder with a folder of pictures for each recording
    :param yolo: folder with `labels/<recording>` and data.yaml
    :param copies_topics: a bag's own topics go into `bag` too
    """

    bag: Path | None = None
    video: Path | None = None
    masks: Path | None = None
    coco: Path | None = None
    yolo: Path | None = None
    table: Path | None = None
    sheet: Path | None = None
    frames: Path | None = None
    content: BagContent = field(default_factory=BagContent)
    copies_topics: bool = False

    def of_source(self, name: str, is_only_one: bool) -> Outputs:
        """
        Return where one recording's outputs lie.

        :param name: the recording's
        :raises ConfigError: if several recordings would share a file
        """
        return replace(
            self,
            bag=self._bag(name, is_only_one),
            masks=self.masks / name if self.masks else None,
            frames=self.frames / name if self.frames else None,
            yolo=self.yolo / 'labels' / name if self.yolo else None,
            video=self._file('--video', self.video, name, is_only_one),
            coco=self._file('--coco', self.coco, name, is_only_one),
            table=self._file('--csv', self.table, name, is_only_one),
            sheet=self._file('--sheet', self.sheet, name, is_only_one),
        )

    def _bag(self, name: str, is_only_one: bool) -> Path | None:
        if self.bag is None or PLACEHOLDER in str(self.bag):
            return self._file('--output', self.bag, name, is_only_one)
        return self.bag if is_only_one else self.bag / name

    def _file(self, option: str, path: Path | None, name: str, is_only_one: bool) -> Path | None:
        if path is None:
            return None
        if not is_only_one and PLACEHOLDER not in str(path):
            suggested = path.with_name(f'{path.stem}_{PLACEHOLDER}{path.suffix}')
            raise ConfigError(
                f'{option} {path} is one file for several sources: write it with '
                f'{PLACEHOLDER} in its name, as {suggested}'
            )
        return Path(str(path).replace(PLACEHOLDER, name))

    def targets(self) -> tuple[Target, ...]:
        """Return the places of all outputs of one recording."""
        return tuple(self._targets())

    def _targets(self) -> Iterator[Target]:
        if self.bag:
            yield Target(self.bag, ResultBag.SUFFIXES)
        if self.masks:
            yield Target(self.masks, MaskFolder.SUFFIXES)
        if self.yolo:
            yield Target(self.yolo, YoloFolder.SUFFIXES)
        if self.frames:
            yield Target(self.frames, FrameFolder.SUFFIXES)
        for path in (self.video, self.coco, self.table, self.sheet):
            if path:
                yield Target(path)


@dataclass(frozen=True)
class Recording:
    """
    What outputs need to know of a recording.

    :param rate_hz: nominal frames a second
    """

    name: str
    rate_hz: float | None
    classes: Classes
    log: Log


def sink_plans(outputs: Outputs, recording: Recording) -> list[SinkPlan]:
    """Return how to make one recording's outputs."""
    return list(_sink_plans(outputs, recording))


def _sink_plans(outputs: Outputs, recording: Recording) -> Iterator[SinkPlan]:
    classes, rate_hz = recording.classes, recording.rate_hz or DEFAULT_RATE_HZ
    if outputs.bag:
        yield SinkPlan(
            Target(outputs.bag, ResultBag.SUFFIXES),
            partial(ResultBag, content=outputs.content, log=recording.log),
            outputs.content.wanted,
        )
    if outputs.masks:
        yield SinkPlan(Target(outputs.masks, MaskFolder.SUFFIXES), MaskFolder, MaskFolder.WANTED)
    if outputs.yolo:
        yield SinkPlan(
            Target(outputs.yolo, YoloFolder.SUFFIXES),
            partial(YoloFolder, classes=classes),
            YoloFolder.WANTED,
        )
    if outputs.frames:
        target = Target(outputs.frames, FrameFolder.SUFFIXES)
        yield SinkPlan(target, FrameFolder, FrameFolder.WANTED)
    files = (
        (outputs.video, partial(AnnotatedVideo, rate_hz=rate_hz), AnnotatedVideo.WANTED),
        (
            outputs.coco,
            partial(CocoFile, sequence=recording.name, classes=classes),
            CocoFile.WANTED,
        ),
        (outputs.table, ObjectTable, ObjectTable.WANTED),
        (outputs.sheet, ContactSheet, ContactSheet.WANTED),
    )
    for path, make, wanted in files:
        if path:
            yield SinkPlan(Target(path), make, wanted)

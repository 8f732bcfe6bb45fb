# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
The table of all outputs, and which of them were asked for.

A new output is a sink class and a row of `OUTPUTS`: the rest of the command goes by that table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.log import Log
from sam2_tracker.offline.sinks.annotations import (
    Classes,
    CocoFile,
    ObjectTable,
    write_names,
    YoloFolder,
)
from sam2_tracker.offline.sinks.bag import BagContent, ResultBag
from sam2_tracker.offline.sinks.pictures import (
    AnnotatedVideo,
    ContactSheet,
    FrameFolder,
    MaskFolder,
)
from sam2_tracker.offline.sinks.sink import Sink, SinkPlan
from sam2_tracker.offline.sinks.staging import Target
from sam2_tracker.offline.sources.open_source import is_bag

PLACEHOLDER = '{source}'
DEFAULT_RATE_HZ = 30.0


@dataclass(frozen=True)
class Recording:
    """
    What sinks need to know of a recording.

    :param rate_hz: nominal frames a second, None if unknown
    :param bag: what a bag of its results holds
    :param has_polygons: COCO's masks are polygons
    """

    name: str
    rate_hz: float | None
    classes: Classes
    bag: BagContent
    log: Log
    has_polygons: bool = False


# Given option, path, recording's name and whether it is the only one: where its output lies.
Place = Callable[[str, Path, str, bool], Path]


def _file(option: str, path: Path, name: str, is_only_one: bool) -> Path:
    if not is_only_one and PLACEHOLDER not in str(path):
        suggested = path.with_name(f'{path.stem}_{PLACEHOLDER}{path.suffix}')
        raise ConfigError(
            f'{option} {path} is one file for several sources: write it with '
            f'{PLACEHOLDER} in its name, as {suggested}'
        )
    return Path(str(path).replace(PLACEHOLDER, name))


def _mp4(option: str, path: Path, name: str, is_only_one: bool) -> Path:
    if path.suffix.lower() != '.mp4':
        raise ConfigError(f'{option} {path}: what is written is MP4, so name it '
                          f'{path.with_suffix(".mp4")}')
    return _file(option, path, name, is_only_one)


def _bag(option: str, path: Path, name: str, is_only_one: bool) -> Path:
    if PLACEHOLDER in str(path):
        return _file(option, path, name, is_only_one)
    return path if is_only_one else path / name


def _folder(_option: str, path: Path, name: str, _is_only_one: bool) -> Path:
    return path / name


def _labels_folder(_option: str, path: Path, name: str, _is_only_one: bool) -> Path:
    # Readers look for labels under a picture's path with its last `images` replaced.
    return path / 'images' / 'labels' if name == 'images' else path / 'labels' / name


@dataclass(frozen=True)
class OutputKind:
    """
    A row of `OUTPUTS`.

    :param option: of the command, which takes the path
    :param sink: the class of what `make` makes, on a path, for a recording
    :param place: where the output of each recording lies
    :param when_published: called with that place when all outputs of a recording are whole
    """

    option: str
    metavar: str
    help: str  # noqa: A003
    sink: type[Sink]
    make: Callable[[Path, Recording], Sink]
    place: Place
    when_published: Callable[[Path, Recording], None] | None = None

    @property
    def name(self) -> str:
        """Return what argparse calls the option's value."""
        return self.option.removeprefix('--').replace('-', '_')


OUTPUTS = (
    OutputKind(
        '--output', 'BAG', 'rosbag2 with the topics of the live node',
        ResultBag, lambda path, of: ResultBag(path, of.bag, of.log), _bag,
    ),
    OutputKind(
        '--video', 'MP4', 'the frames with masks drawn',
        AnnotatedVideo,
        lambda path, of: AnnotatedVideo(path, of.rate_hz or DEFAULT_RATE_HZ, of.log), _mp4,
    ),
    OutputKind(
        '--masks', 'FOLDER', 'palette PNGs in FOLDER/<source>, as DAVIS has them',
        MaskFolder, lambda path, _: MaskFolder(path), _folder,
    ),
    OutputKind(
        '--coco', 'JSON', 'RLE masks with track ids',
        CocoFile, lambda path, of: CocoFile(path, of.name, of.classes, of.has_polygons), _file,
    ),
    OutputKind(
        '--yolo', 'FOLDER', 'segmentation labels',
        YoloFolder, lambda path, of: YoloFolder(path, of.classes, of.log), _labels_folder,
        when_published=lambda path, of: write_names(path.parents[1], of.classes),
    ),
    OutputKind(
        '--csv', 'CSV', 'a row an object and frame',
        ObjectTable, lambda path, _: ObjectTable(path), _file,
    ),
    OutputKind(
        '--sheet', 'PNG', 'contact sheet',
        ContactSheet, lambda path, _: ContactSheet(path), _file,
    ),
    OutputKind(
        '--frames', 'FOLDER', 'the pictures themselves, in FOLDER/<source>',
        FrameFolder, lambda path, _: FrameFolder(path), _folder,
    ),
)  # fmt: skip
_KINDS = {kind.option: kind for kind in OUTPUTS}


@dataclass(frozen=True)
class Output:
    """
    An output that was asked for.

    :param option: which of `OUTPUTS`
    :param path: as given, or of one recording
    """

    option: str
    path: Path

    @property
    def kind(self) -> OutputKind:
        """Return its row."""
        return _KINDS[self.option]

    @property
    def target(self) -> Target:
        """Return its place, if it is of one recording."""
        return Target(self.path, self.kind.sink.SUFFIXES)

    def of_source(self, name: str, is_only_one: bool) -> Output:
        """Return a recording's."""
        return replace(self, path=self.kind.place(self.option, self.path, name, is_only_one))

    def plan(self, recording: Recording) -> SinkPlan:
        """Return how to make it."""
        kind, published = self.kind, self.kind.when_published
        return SinkPlan(
            self.target,
            lambda draft: kind.make(draft, recording),
            kind.sink.WANTED,
            None if published is None else lambda: published(self.path, recording),
        )


@dataclass(frozen=True)
class Outputs:
    """
    All outputs that were asked for.

    :param asked: in the order of `OUTPUTS`
    :param content: what goes into a bag
    :param copies_topics: a bag's own topics go into the output bag too
    :param has_polygons: COCO's masks are polygons
    """

    asked: tuple[Output, ...] = ()
    content: BagContent = field(default_factory=BagContent)
    copies_topics: bool = False
    has_polygons: bool = False

    def of_source(self, name: str, path: Path, is_only_one: bool) -> Outputs:
        """
        Return where one recording's outputs lie.

        :param name: the recording's
        :raises ConfigError: if several recordings would share a file, or topics of something that
            is no bag are to be copied
        """
        asked = tuple(output.of_source(name, is_only_one) for output in self.asked)
        if not self.copies_topics:
            return replace(self, asked=asked)
        if not is_bag(path):
            raise ConfigError(f'--copy-topics: source {path} is no bag and has no topics')
        return replace(self, asked=asked, content=replace(self.content, copied_from=path))

    def targets(self) -> tuple[Target, ...]:
        """Return the places of all outputs of one recording."""
        return tuple(output.target for output in self._folders_first())

    def plans(self, recording: Recording) -> tuple[SinkPlan, ...]:
        """Return how to make one recording's outputs."""
        return tuple(output.plan(recording) for output in self._folders_first())

    def _folders_first(self) -> list[Output]:
        # What can be resumed lies beside the first of them: another order would not find it.
        return sorted(self.asked, key=lambda output: not output.kind.sink.SUFFIXES)

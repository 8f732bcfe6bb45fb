# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What a run is to do, worked out in full before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
import enum
from pathlib import Path
from types import MappingProxyType

from sam2_tracker.core.config import DetectionsConfig, ModelConfig, TrackingConfig
from sam2_tracker.core.errors import ConfigError, PromptError
from sam2_tracker.core.plain_file import is_folder, real_path
from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.core.prompts.validation import label_after
from sam2_tracker.core.types import MAX_OBJECT_ID
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.sinks.annotations import Classes
from sam2_tracker.offline.sinks.outputs import Outputs
from sam2_tracker.offline.sources.detections import RecordedDetections
from sam2_tracker.offline.sources.open_source import SourceOptions
from sam2_tracker.offline.sources.timeline import Clock

# Of the folder of a recording that is under way.
PROGRESS_SUFFIX = '.progress'


class Direction(enum.Enum):
    """Where objects are tracked from their prompts."""

    FORWARD = 'forward'
    BOTH = 'both'


@dataclass(frozen=True)
class Settings:
    """
    What is the same for all recordings of a run.

    :param load_memory: object memories from an earlier run, None for none
    :param save_memory: where to write those of this run, None for nowhere
    :param threads: processor threads of each of encoding and tracking, 0 for half the cores
    :param save_every_s: most seconds between two states that an interrupted run can go on from, 0
        for none
    :param detections: which detections become objects
    """

    model: ModelConfig
    tracking: TrackingConfig
    source: SourceOptions
    clock: Clock = Clock.HEADER
    direction: Direction = Direction.FORWARD
    load_memory: Path | None = None
    save_memory: Path | None = None
    threads: int = 0
    save_every_s: float = 60.0
    detections: DetectionsConfig = field(default_factory=DetectionsConfig)


@dataclass(frozen=True, eq=False)
class SourceJob:
    """
    One recording, its prompts and its outputs.

    :param name: different from those of all others
    :param prompts: each with the id of its object
    :param detections: what a detector found, None if none was asked
    """

    name: str
    path: Path
    prompts: tuple[FilePrompt, ...]
    outputs: Outputs
    classes: Classes
    detections: RecordedDetections | None = None

    def check_outputs(self, overwrite: bool) -> None:
        """
        Refuse places that are taken.

        :param overwrite: accept what an earlier run wrote there
        :raises OutputError: naming the first of them
        """
        for target in self.outputs.targets():
            if real_path(target.path) == real_path(self.path):
                raise OutputError(f'output {target.path} is the source itself')
            target.check(overwrite)


@dataclass(frozen=True, eq=False)
class Job:
    """
    A whole run.

    :param sources: those with prompts first: what is learnt there is used on the others
    """

    settings: Settings
    sources: tuple[SourceJob, ...]

    @property
    def prompted(self) -> tuple[SourceJob, ...]:
        """Return the recordings with prompts."""
        return tuple(source for source in self.sources if source.prompts)

    @property
    def unprompted(self) -> tuple[SourceJob, ...]:
        """Return the recordings without prompts."""
        return tuple(source for source in self.sources if not source.prompts)

    def folder_of(self, name: str) -> Path:
        """Return where a recording that is under way keeps what it has found."""
        return self.journal_folder / f'{name}{PROGRESS_SUFFIX}'

    @property
    def journal_folder(self) -> Path:
        """Return the hidden place, beside the first output, of what a next run has to know."""
        places = [target.path for source in self.sources for target in source.outputs.targets()]
        first = places[0] if places else self.settings.save_memory
        assert first is not None
        return first.with_name(f'.{first.name}.resume')


def plan_job(
    paths: Sequence[Path],
    prompts: Sequence[FilePrompt],
    outputs: Outputs,
    settings: Settings,
    known: Sequence[tuple[int, str]] = (),
    detections: Mapping[Path, RecordedDetections] = MappingProxyType({}),
) -> Job:
    """
    Distribute prompts and outputs over the recordings.

    :param known: ids and labels of the objects of `settings.load_memory`
    :param detections: what a detector found in each recording
    :raises ConfigError: if the outputs do not fit the recordings, or the detections the settings
    :raises PromptError: if a prompt is for none of them, or there is nothing to track
    """
    if not prompts and not known and not detections:
        raise PromptError(
            'there is nothing to track: give --prompts, --point, --box or --mask, --detections or '
            '--load-memory'
        )
    if detections:
        _refuse_with_detections(settings)
    names = distinct_names(paths)
    numbered = with_ids(prompts, [object_id for object_id, _ in known])
    detected = (label for each in detections.values() for label in each.labels)
    classes = Classes.of([*(label for _, label in known), *_labels(numbered), *detected])
    by_name = _by_source(numbered, paths, names)
    sources = [
        SourceJob(
            name, path, tuple(by_name[name]),
            outputs.of_source(name, path, len(paths) == 1),
            classes,
            detections.get(path),
        )
        for name, path in zip(names, paths, strict=True)
    ]
    sources.sort(key=lambda source: not source.prompts)
    _refuse_shared_places(sources)
    return Job(settings, tuple(sources))


def _refuse_with_detections(settings: Settings) -> None:
    if settings.direction is not Direction.FORWARD:
        raise ConfigError(
            f'--direction {settings.direction.value} does not go with --detections: what is '
            'detected is tracked forward')
    if settings.save_memory is not None:
        raise ConfigError(
            '--save-memory does not go with --detections: it keeps what prompts taught')


def _refuse_shared_places(sources: Sequence[SourceJob]) -> None:
    seen: set[Path] = set()
    for target in (target for source in sources for target in source.outputs.targets()):
        place = real_path(target.path)
        if place in seen:
            raise ConfigError(f'{target.path} is named for two outputs')
        seen.add(place)


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each recording: its file's or folder's, numbered where two are alike."""
    names: list[str] = []
    for path in paths:
        plain = real_path(path)
        stem = plain.name if is_folder(plain) else plain.stem
        name, number = stem, 1
        while name in names:
            number += 1
            name = f'{stem}_{number}'
        names.append(name)
    return names


def with_ids(prompts: Sequence[FilePrompt], known_ids: Iterable[int]) -> list[FilePrompt]:
    """
    Give each prompt without an object an id above all others.

    :raises PromptError: if the ids run out
    """
    named = {each.prompt.object_id for each in prompts} | set(known_ids)
    largest = max(named, default=0)
    numbered = []
    for each in prompts:
        if each.prompt.object_id == 0:
            largest += 1
            each = replace(each, prompt=replace(each.prompt, object_id=largest))
        if each.prompt.object_id > MAX_OBJECT_ID:
            raise PromptError(f'{each.where}: the object ids run out at {MAX_OBJECT_ID}')
        numbered.append(each)
    return numbered


def _labels(prompts: Sequence[FilePrompt]) -> Iterable[str]:
    """Yield every label that an object has at some time."""
    seen: set[int] = set()
    for each in prompts:
        if each.prompt.label or each.prompt.object_id not in seen:
            yield label_after(each.prompt)
        seen.add(each.prompt.object_id)


def _by_source(
    prompts: Sequence[FilePrompt], paths: Sequence[Path], names: Sequence[str]
) -> dict[str, list[FilePrompt]]:
    """Sort prompts by recording; those that name none are for the first."""
    found: dict[str, list[FilePrompt]] = {name: [] for name in names}
    for each in prompts:
        meant = [
            name
            for name, path in zip(names, paths, strict=True)
            if not each.source or each.source in (name, path.name, str(path))
        ]
        if not meant or (each.source and len(meant) > 1):
            trouble = 'could be any of' if meant else 'is none of the sources'
            listed = ', '.join(str(path) for path in paths)
            raise PromptError(f'{each.where}: source {each.source!r} {trouble} {listed}')
        found[meant[0]].append(each)
    return found

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""What an interrupted run had finished, so that the next one can go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
import fcntl
import hashlib
import json
import os
from pathlib import Path
import shutil
from typing import TYPE_CHECKING

import numpy as np
from sam2_tracker.core.errors import StorageError
from sam2_tracker.core.log import Level, Log, silent
from sam2_tracker.core.plain_file import is_there, real_path
from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.core.settings import values_of
from sam2_tracker.core.text import printable
from sam2_tracker.models.zoo import model_spec, ModelSpec
from sam2_tracker.offline.errors import OutputError
from sam2_tracker.offline.run.job import Job, PROGRESS_SUFFIX, Settings, SourceJob
from sam2_tracker.offline.run.saved_progress import has_saved_state
from sam2_tracker.offline.sinks.staging import write_whole

if TYPE_CHECKING:
    from sam2_tracker.core.engine.memory.file import SavedObject

_CONTENT = 'run.json'
# What a complete run leaves, if it could not read all.
_DAMAGE = 'damage.json'
_LOCK = 'lock'
# What a recording's files are called in the fingerprint, with its name behind it.
_SOURCE = 'source '
# What the model's own configuration is called there; earlier versions knew nothing of it.
_CONFIGURATION = 'model configuration'


class Journal:
    """
    A hidden folder beside the first output, there while a run is under way.

    A lock tells a run that is alive from one that was killed.

    :param folder: the journal's place
    :param fingerprint: everything that the outputs depend on, by name
    :param log: told of what cannot be remembered; the run itself goes on
    """

    def __init__(
        self, folder: Path, fingerprint: Mapping[str, str], log: Log = silent
    ) -> None:
        self._folder = folder
        self._fingerprint = dict(fingerprint)
        self._log = log
        self._finished: dict[str, str] = {}
        self._lock: int | None = None

    @property
    def finished(self) -> Mapping[str, str]:
        """Return by name what could not be read of each recording whose outputs are complete."""
        return self._finished

    def begin(self, resume: bool) -> None:
        """
        Take the journal over, or begin a new one.

        :param resume: go on where an interrupted run was, if there is one
        :raises OutputError: if another run is still going on, or had other settings
        """
        self._take_lock()
        if resume and was_interrupted(self._folder):
            if not self._read():
                return
        else:
            self._clear()
        try:
            self._write()
        except OutputError as error:
            self._log(Level.WARN, f'{error}; --resume would begin anew')

    def _clear(self) -> None:
        """
        Throw away what an earlier run left.

        :raises OutputError: if something cannot be thrown away
        """
        try:
            for left in self._folder.iterdir():
                if left.name == _LOCK:
                    continue
                is_folder = left.is_dir() and not left.is_symlink()
                shutil.rmtree(left) if is_folder else left.unlink()
        except OSError as error:
            raise OutputError(f'{self._folder} cannot be cleared: {error}') from error

    def _take_lock(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._folder.is_symlink():
                raise OutputError(
                    f'{self._folder}, where a run remembers what it has done, is a symbolic link '
                    'of yours: it is not followed; remove it'
                )
            lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        except OSError as error:
            raise OutputError(
                f'output folder {self._folder.parent} cannot be written: {error}'
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise OutputError(
                f'another run is writing these outputs just now ({self._folder} is locked: '
                f'{error.strerror})'
            ) from error
        self._lock = lock

    def _read(self) -> bool:
        """
        Take over what an earlier run knew.

        :returns: whether recordings have been mended since
        """
        try:
            content = json.loads((self._folder / _CONTENT).read_text(encoding='utf-8'))
            before, self._finished = dict(content['fingerprint']), _texts(content['finished'])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f'{self._folder} is damaged ({error}): the run cannot be resumed; '
                'start it without --resume'
            ) from error
        if _CONFIGURATION not in before:
            raise OutputError(
                f'{self._folder} is of another version of this program: start the run without '
                '--resume'
            )
        changed = [
            name
            for name in sorted({*before, *self._fingerprint})
            if before.get(name) != self._fingerprint.get(name)
        ]
        mended = [name for name in changed if self._has_begun_anew(name)]
        changed = [name for name in changed if name not in mended]
        if changed:
            raise OutputError(
                f'the interrupted run had another {", ".join(changed)}: resume it with the same '
                'settings, or start it without --resume'
            )
        return bool(mended)

    def _has_begun_anew(self, changed: str) -> bool:
        """
        Forget how far a recording was tracked that is another now, unless it was done.

        It is mended as the earlier run asked for, or is there at last.
        """
        name = changed.removeprefix(_SOURCE)
        if name == changed or name in self._finished:
            return False
        folder = self._folder / f'{name}{PROGRESS_SUFFIX}'
        if folder.is_dir() and not folder.is_symlink():
            self._log(Level.WARN, f'{name} is another recording now: it is tracked from its start')
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def _write(self) -> None:
        content = {'fingerprint': self._fingerprint, 'finished': self._finished}
        write_whole(self._folder / _CONTENT, json.dumps(content, indent=1).encode())

    def finish(
        self, name: str, learnt: Sequence[SavedObject], model_name: str, damage: str = ''
    ) -> None:
        """
        Remember that a recording is done, and what was learnt from it.

        :param damage: what of it could not be read, as a sentence
        """
        from sam2_tracker.core.engine.memory.file import save_memory

        self._finished[name] = damage
        try:
            if learnt:
                save_memory(self._memory(name), learnt, model_name)
            self._write()
        except StorageError as error:
            del self._finished[name]
            self._log(Level.WARN, f'{error}; --resume would process {name} again')

    def learnt(self, name: str) -> tuple[SavedObject, ...]:
        """Return what was learnt from a finished recording."""
        from sam2_tracker.core.engine.memory.file import load_memory

        path = self._memory(name)
        return load_memory(path) if path.exists() else ()

    def _memory(self, name: str) -> Path:
        return self._folder / f'{name}.safetensors'

    def close(self, is_complete: bool) -> None:
        """
        Let go of the journal, if it was taken over.

        :param is_complete: everything is done: only what could not be read stays remembered;
            otherwise all that was found so far
        """
        if self._lock is None:
            return
        damage = {name: sentence for name, sentence in self._finished.items() if sentence}
        has_found = self._finished or has_saved_state(self._folder)
        if is_complete or not has_found:
            shutil.rmtree(self._folder)
        if is_complete and damage:
            self._leave(damage)
        os.close(self._lock)
        self._lock = None

    def _leave(self, damage: Mapping[str, str]) -> None:
        try:
            write_whole(self._folder / _DAMAGE, json.dumps(damage, indent=1).encode())
        except OutputError as error:
            self._log(Level.WARN, f'{error}; --resume would not know of what is damaged')


def was_interrupted(folder: Path) -> bool:
    """Return whether a run was interrupted that kept its journal here, or is still going on."""
    return is_there(folder / _CONTENT)


def damage_of_complete(folder: Path) -> tuple[str, ...]:
    """
    Return what a run that is complete could not read of its recordings, as sentences.

    :raises OutputError: if that cannot be told
    """
    path = folder / _DAMAGE
    try:
        return tuple(_texts(json.loads(path.read_text(encoding='utf-8'))).values())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(
            f'{path} is damaged ({error}), and with it what is known of the outputs: remove it, '
            'or make them anew with --overwrite'
        ) from error


def _texts(content: object) -> dict[str, str]:
    """
    Return a mapping of texts from a file, which are shown.

    :raises TypeError: it is something else
    """
    if not isinstance(content, dict) or not all(
        isinstance(text, str) for pair in content.items() for text in pair
    ):
        raise TypeError('texts by name are expected')
    return {name: printable(text) for name, text in content.items()}


def fingerprint_of(job: Job, weights: Path) -> dict[str, str]:
    """
    Return, by name, what has to be the same for a run to be resumed.

    :param weights: the model's checkpoint
    """
    found = {
        **_of_settings(job.settings),
        'weights': _of_files(weights),
        _CONFIGURATION: _of_configuration(model_spec(job.settings.model.name)),
    }
    for source in job.sources:
        found[f'{_SOURCE}{source.name}'] = _of_files(source.path)
        found[f'prompts of {source.name}'] = _hash(_of_prompt(each) for each in source.prompts)
        found[f'outputs of {source.name}'] = _of_outputs(source)
        if source.detections is not None:
            found[f'detections of {source.name}'] = source.detections.fingerprint
    return found


def _of_settings(settings: Settings) -> dict[str, str]:
    memory = settings.load_memory
    return {
        **{name: repr(value) for name, value in values_of(settings.model)},
        **{name: repr(value) for name, value in values_of(settings.tracking, 'tracking.')},
        'topic or rate': repr(settings.source),
        'clock': settings.clock.value,
        'direction': settings.direction.value,
        'save_memory': str(settings.save_memory),
        'threads': str(settings.threads),
        'load_memory': _of_files(memory) if memory else '',
    }


def _of_configuration(spec: ModelSpec) -> str:
    """Return what the model is like by itself: the size of its input, what it remembers."""
    return _hash([spec.config_file.read_bytes(), repr(dict(spec.overrides)).encode()])


def _of_outputs(source: SourceJob) -> str:
    return f'{source.outputs!r} {source.classes!r}'


def _of_files(path: Path) -> str:
    """Return names, sizes and times of a recording's files: reading them all would take long."""
    stats = []
    # What cannot be read is said when its turn comes: it is not the only recording.
    with suppress(OSError):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(file.name, file.stat()) for file in files if file.is_file()]
    return _hash(
        [
            os.fsencode(real_path(path)),
            *(os.fsencode(f'{name} {stat.st_size} {stat.st_mtime_ns}') for name, stat in stats),
        ]
    )


def _of_prompt(each: FilePrompt) -> bytes:
    prompt = each.prompt
    words = (each.frame, each.time_s, each.stamp_ns, prompt.object_id, prompt.label)
    arrays = (prompt.points_xy, prompt.point_labels, prompt.box_xyxy, prompt.mask_hw)
    parts = [b'' if array is None else np.ascontiguousarray(array).tobytes() for array in arrays]
    return repr(words).encode() + b'|'.join(parts)


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, 'little') + part)
    return digest.hexdigest()

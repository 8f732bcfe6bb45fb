# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Everything that the bytes of a run's outputs depend on."""

from __future__ import annotations

from collections.abc import Iterable
import hashlib
from pathlib import Path

import numpy as np

from sam2_tracker.core.prompts.file import FilePrompt
from sam2_tracker.offline.run.job import Job, Settings, SourceJob


def fingerprint_of(job: Job, weights: Path) -> dict[str, str]:
    """
    Return, by name, what has to be the same for a run to be resumed.

    :param weights: the model's checkpoint
    """
    found = {**_of_settings(job.settings), 'weights': _of_files(weights)}
    for source in job.sources:
        found[f'source {source.name}'] = _of_files(source.path)
        found[f'prompts of {source.name}'] = _hash(_of_prompt(each) for each in source.prompts)
        found[f'outputs of {source.name}'] = _of_outputs(source)
    return found


def _of_settings(settings: Settings) -> dict[str, str]:
    memory = settings.load_memory
    return {
        'model': repr(settings.model),
        'tracking settings': repr(settings.tracking),
        'topic or rate': repr(settings.source),
        'clock': settings.clock.value,
        'direction': settings.direction.value,
        'save_memory': str(settings.save_memory),
        'threads': str(settings.threads),
        'load_memory': _of_files(memory) if memory else '',
    }


def _of_outputs(source: SourceJob) -> str:
    return f'{source.outputs!r} {source.classes!r}'


def _of_files(path: Path) -> str:
    """Return names, sizes and times of a recording's files: reading them all would take long."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files if file.is_file()]
    return _hash(
        [
            str(path.resolve()).encode(),
            *(f'{name} {stat.st_size} {stat.st_mtime_ns}'.encode() for name, stat in stats),
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

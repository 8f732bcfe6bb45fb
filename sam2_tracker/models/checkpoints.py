# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Where checkpoint files are kept and whether one is whole. No torch here."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
import zipfile

from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.errors import ModelError
from sam2_tracker.models.zoo import model_spec, ModelSpec, package_folder

CHUNK_BYTES = 1 << 20


def cache_directory() -> Path:
    """
    Name the folder that fetched checkpoints are kept in; it need not exist.

    ``$SAM2_TRACKER_CACHE``, else ``$XDG_CACHE_HOME/sam2_tracker``, else
    ``~/.cache/sam2_tracker``.
    """
    own = os.environ.get('SAM2_TRACKER_CACHE')
    if own:
        return Path(own).expanduser()
    parent = os.environ.get('XDG_CACHE_HOME')
    return (Path(parent) if parent else Path.home() / '.cache') / 'sam2_tracker'


def checkpoint_path(spec: ModelSpec) -> Path:
    """Name the file that a model's own weights are in, whether it exists or not."""
    folder = package_folder(spec.config_package) if spec.bundled else cache_directory()
    return folder / spec.checkpoint


def find_checkpoint(config: ModelConfig) -> Path:
    """
    Find the weights that a model is to be loaded with.

    :raises ModelError: unknown model, or no such file; the message says how to get it
    """
    spec = model_spec(config.name)
    if config.checkpoint is not None:
        path = config.checkpoint.expanduser()
        if not path.is_file():
            raise ModelError(f'checkpoint {path} is not a file; {_instead(path, spec)}')
        return path
    path = checkpoint_path(spec)
    if path.is_file():
        return path
    if spec.bundled:
        raise ModelError(f'{path} is missing, though it belongs to this package: install it again')
    raise ModelError(
        f'no checkpoint of {spec.name} at {path}; fetch it with: '
        f'ros2 run sam2_tracker fetch_checkpoint {spec.name}'
    )


def _instead(path: Path, spec: ModelSpec) -> str:
    # What Transformers saves is a folder, and the weights a file in it.
    saved = path / 'model.safetensors'
    return (f'set it to {saved}' if saved.is_file()
            else f"leave the parameter empty for {spec.name}'s own")


def check_archive(path: Path) -> None:
    """
    Check that a file is a whole archive as ``torch.save`` writes it, without reading it all.

    :raises ModelError: it is unreadable, truncated or something else
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f'{path} is not a PyTorch checkpoint, or not all of one: {error}'
        ) from error
    if not any(name.endswith('data.pkl') for name in names):
        raise ModelError(f'{path} is an archive, but not a PyTorch checkpoint: no data.pkl in it')


def file_sha256(path: Path) -> str:
    """Compute a file's SHA-256 as lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def refuse_twin(path: Path, spec: ModelSpec) -> None:
    """
    Refuse another model's published file whose weights would fit, as they have the same shapes.

    :raises ModelError: it is one; the message names its model
    """
    if not spec.twins:
        return
    found = file_sha256(path)
    for twin in spec.twins:
        if model_spec(twin).sha256 == found:
            raise ModelError(f'{path} is the published checkpoint of {twin}; set model to {twin}, '
                             f'or checkpoint to weights of {spec.name}')


def check_published(path: Path, spec: ModelSpec) -> None:
    """
    Check that a file is the one that was published, byte for byte.

    :raises ModelError: size, hash or structure differ
    """
    size_bytes = path.stat().st_size
    if spec.size_bytes and size_bytes != spec.size_bytes:
        raise ModelError(
            f'{path} has {size_bytes} bytes, but the published {spec.checkpoint} has '
            f'{spec.size_bytes}'
        )
    if spec.sha256 is not None and (found := file_sha256(path)) != spec.sha256:
        raise ModelError(
            f'{path} is not the published {spec.checkpoint}: its SHA-256 is {found}, '
            f'not {spec.sha256}'
        )
    check_archive(path)

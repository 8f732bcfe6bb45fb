# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace
import hashlib
from pathlib import Path
import zipfile

import pytest
from sam2_tracker.core.config import ModelConfig
from sam2_tracker.core.errors import ModelError
from sam2_tracker.models.checkpoints import (
    cache_directory,
    check_archive,
    check_published,
    checkpoint_path,
    find_checkpoint,
)
from sam2_tracker.models.zoo import model_spec, MODELS

OFFICIAL = [name for name in MODELS if name != 'nano']
SIZE_UNKNOWN = [f'efficienttam_ti{variant}' for variant in ('_512x512', '_1', '_2')]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('SAM2_TRACKER_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


def write_archive(path: Path, member: str = 'archive/data.pkl') -> Path:
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(member, b'weights' * 100)
    return path


def test_the_zoo_has_nano_all_sizes_of_sam2_and_sam2_1_and_every_efficienttam():
    sizes = ['tiny', 'small', 'base_plus', 'large']
    assert list(MODELS) == [
        'nano',
        *(f'{generation}_hiera_{size}' for generation in ['sam2.1', 'sam2'] for size in sizes),
        *(f'efficienttam_{size}{variant}' for size in ['ti', 's']
          for variant in ['', '_512x512', '_1', '_2']),
    ]


@pytest.mark.parametrize('name', OFFICIAL)
def test_an_official_model_says_where_its_weights_are_published(name):
    spec = MODELS[name]
    assert spec.url is not None and spec.url.startswith('https://')
    assert spec.url.endswith(f'/{name}.pt')
    assert len(spec.sha256) == 64
    # Of three no size in bytes is published.
    assert bool(spec.size_bytes) == (name not in SIZE_UNKNOWN)
    assert not spec.size_bytes or spec.size_bytes > 4e6 * spec.parameters_m * 0.99


def test_no_two_models_have_the_same_file_and_twins_know_each_other():
    assert len({MODELS[name].sha256 for name in OFFICIAL}) == len(OFFICIAL)
    for name, spec in MODELS.items():
        assert all(name in MODELS[twin].twins for twin in spec.twins)


def test_an_unknown_model_is_refused_with_the_list_of_names():
    with pytest.raises(ModelError, match=r"unknown model 'sam3'; there are: nano, sam2\.1_"):
        model_spec('sam3')


def test_the_cache_directory_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv('SAM2_TRACKER_CACHE', raising=False)
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert cache_directory() == tmp_path / '.cache' / 'sam2_tracker'
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'xdg'))
    assert cache_directory() == tmp_path / 'xdg' / 'sam2_tracker'
    monkeypatch.setenv('SAM2_TRACKER_CACHE', str(tmp_path / 'own'))
    assert cache_directory() == tmp_path / 'own'


def test_a_missing_checkpoint_is_refused_with_the_command_that_fetches_it(cache):
    with pytest.raises(ModelError) as refusal:
        find_checkpoint(ModelConfig('sam2.1_hiera_tiny'))
    assert str(cache / 'sam2.1_hiera_tiny.pt') in str(refusal.value)
    assert str(refusal.value).endswith('ros2 run sam2_tracker fetch_checkpoint sam2.1_hiera_tiny')


def test_a_checkpoint_in_the_cache_is_found(cache):
    cache.mkdir()
    path = write_archive(cache / 'sam2.1_hiera_tiny.pt')
    assert find_checkpoint(ModelConfig('sam2.1_hiera_tiny')) == path


def test_a_checkpoint_of_ones_own_is_taken_from_its_path(tmp_path):
    path = write_archive(tmp_path / 'mine.pt')
    assert find_checkpoint(ModelConfig('sam2.1_hiera_tiny', checkpoint=path)) == path
    with pytest.raises(ModelError, match=r'gone\.pt is not a file'):
        find_checkpoint(ModelConfig('nano', checkpoint=tmp_path / 'gone.pt'))


def test_nano_s_checkpoint_comes_with_the_package():
    assert checkpoint_path(MODELS['nano']).parent.name == 'nano'


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = write_archive(tmp_path / 'half.pt')
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ModelError, match='not a PyTorch checkpoint, or not all of one'):
        check_archive(path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r'no data\.pkl'):
        check_archive(write_archive(tmp_path / 'other.zip', 'readme.txt'))


def test_a_file_that_differs_from_the_published_one_is_refused(tmp_path):
    path = write_archive(tmp_path / 'model.pt')
    spec = replace(
        MODELS['sam2_hiera_tiny'],
        size_bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    check_published(path, spec)
    with pytest.raises(ModelError, match='its SHA-256 is'):
        check_published(path, replace(spec, sha256='0' * 64))
    with pytest.raises(ModelError, match='bytes, but the published'):
        check_published(path, MODELS['sam2_hiera_tiny'])

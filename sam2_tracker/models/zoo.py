# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""The models that there are: their configs, checkpoint files, sizes and hashes. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sam2_tracker.core.errors import ModelError

SAM2_URL = 'https://dl.fbaipublicfiles.com/segment_anything_2/072824'
SAM2_1_URL = 'https://dl.fbaipublicfiles.com/segment_anything_2/092824'
EFFICIENTTAM_URL = 'https://huggingface.co/yunyangx/efficient-track-anything/resolve/main'


@dataclass(frozen=True)
class ModelSpec:
    """
    One model: where its config is, which weights belong to it and where they come from.

    :param config_package: Python package whose folder the config is in
    :param config: path of the config inside that folder; its name for hydra
    :param checkpoint: file name of the weights
    :param url: where the weights are published, None for weights that come with this package
    :param size_bytes: size of the published file, 0 if it comes with this package, or if its hash
        alone is published
    :param sha256: hash of the published file, None if it comes with this package
    :param parameters_m: parameters in millions
    :param overrides: what differs from the config, values by their path below ``model``
    :param twins: other models whose weights have the same names and shapes
    """

    name: str
    config_package: str
    config: str
    checkpoint: str
    parameters_m: float
    url: str | None = None
    size_bytes: int = 0
    sha256: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    twins: tuple[str, ...] = ()

    @property
    def hydra_overrides(self) -> list[str]:
        """What differs from the config, as hydra takes it."""
        return [f'++model.{path}={value}' for path, value in self.overrides.items()]

    @property
    def bundled(self) -> bool:
        """Whether the weights come with this package."""
        return self.url is None

    @property
    def config_file(self) -> Path:
        """The config's file; importing its package finds it."""
        return package_folder(self.config_package) / self.config


def package_folder(package: str) -> Path:
    """
    Find the folder of an importable package.

    :raises ModelError: the package is not installed
    """
    try:
        module = import_module(package)
    except ImportError as error:
        raise ModelError(
            f'the Python package {package} cannot be imported ({error}); install what '
            'requirements/torch.txt, run.txt and sam2.txt list'
        ) from error
    return Path(module.__path__[0])


def _official(
    generation: str, size: str, config: str, parameters_m: float, size_bytes: int, sha256: str
) -> ModelSpec:
    checkpoint = f'{generation}_hiera_{size}.pt'
    base = SAM2_1_URL if generation == 'sam2.1' else SAM2_URL
    return ModelSpec(
        name=f'{generation}_hiera_{size}',
        config_package='sam2',
        checkpoint=checkpoint,
        config=f'configs/{generation}/{generation}_hiera_{config}.yaml',
        parameters_m=parameters_m,
        url=f'{base}/{checkpoint}',
        size_bytes=size_bytes,
        sha256=sha256,
    )


# How EfficientTAM's published models differ from the smaller one at 1024 px.
_EFFICIENTTAM_SIZES: Mapping[str, Mapping[str, Any]] = {
    'ti': {},
    's': {
        'image_encoder.trunk.width': 384,
        'image_encoder.trunk.heads': 6,
        'image_encoder.neck.backbone_channel_list': [384],
    },
}
_POOLED_ATTENTION = 'sam2_tracker.models.efficienttam.pooled_attention'
_CROSS_ATTENTION = 'memory_attention.layer.cross_attention._target_'
_EFFICIENTTAM_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    '': {},
    '_512x512': {'image_size': 512},
    '_1': {_CROSS_ATTENTION: f'{_POOLED_ATTENTION}.PooledAttention'},
    '_2': {_CROSS_ATTENTION: f'{_POOLED_ATTENTION}.PooledKeysAttention'},
}


def _efficienttam(size: str, variant: str, sha256: str, size_bytes: int = 0) -> ModelSpec:
    name = f'efficienttam_{size}{variant}'
    return ModelSpec(
        name=name,
        config_package='sam2_tracker.models.efficienttam',
        config='efficienttam.yaml',
        checkpoint=f'{name}.pt',
        parameters_m=18.0 if size == 'ti' else 34.0,
        url=f'{EFFICIENTTAM_URL}/{name}.pt',
        size_bytes=size_bytes,
        sha256=sha256,
        overrides={**_EFFICIENTTAM_SIZES[size], **_EFFICIENTTAM_VARIANTS[variant]},
        twins=tuple(f'efficienttam_{size}{each}' for each in _EFFICIENTTAM_VARIANTS
                    if each != variant),
    )


_SPECS = (
    ModelSpec(
        name='nano',
        config_package='sam2_tracker.models.nano',
        config='nano.yaml',
        checkpoint='nano.pt',
        parameters_m=5.7,
    ),
    _official(
        'sam2.1',
        'tiny',
        't',
        38.9,
        156_008_466,
        '7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69',
    ),
    _official(
        'sam2.1',
        'small',
        's',
        46.0,
        184_416_285,
        '6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38',
    ),
    _official(
        'sam2.1',
        'base_plus',
        'b+',
        80.8,
        323_606_802,
        'a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5',
    ),
    _official(
        'sam2.1',
        'large',
        'l',
        224.4,
        898_083_611,
        '2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318',
    ),
    _official(
        'sam2',
        'tiny',
        't',
        38.9,
        155_906_050,
        '65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125',
    ),
    _official(
        'sam2',
        'small',
        's',
        46.0,
        184_309_650,
        '95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3',
    ),
    _official(
        'sam2',
        'base_plus',
        'b+',
        80.8,
        323_493_298,
        'd0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071',
    ),
    _official(
        'sam2',
        'large',
        'l',
        224.4,
        897_952_466,
        '7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b',
    ),
    _efficienttam(
        'ti',
        '',
        'acbb17b28cca1f860acee09c9ecb6efdb732080dc7a85a07292c31813175fa7d',
        71_616_316,
    ),
    _efficienttam(
        'ti', '_512x512', '7d4d652a465f0081391050932f45d8a66768ccc99c8ea393ce8a5927e83f3b9b'
    ),
    _efficienttam('ti', '_1', '5294bd68820ee1ee5203d54065d4384a6aa1fb4fc632c147417478fcac9576ea'),
    _efficienttam('ti', '_2', 'd2a9ca0a736257ee9bb238d335ba7c794ad853e594cb4f679019ecc0854ee587'),
    _efficienttam(
        's',
        '',
        '2b572be30d9e96ee29c8d785fe157c6b079ede7d56fbc8a3671d4120e63c89cd',
        136_375_868,
    ),
    _efficienttam(
        's',
        '_512x512',
        '67b5840012737ed2c94a4cb8787c5c1b27b3a946045d2e602e65ef77230b6085',
        136_379_145,
    ),
    _efficienttam(
        's',
        '_1',
        '4fd5d1f7ae08a7e15086623bf8b12f0b111b773b15564b43c0a5d451fc1a4267',
        136_376_327,
    ),
    _efficienttam(
        's',
        '_2',
        '253e490b4a3d56eedd64e4d466155ec538d1289f52abe78b091b14caefd92343',
        136_376_327,
    ),
)

#: Every model by its name.
MODELS: Mapping[str, ModelSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})


def model_spec(name: str) -> ModelSpec:
    """
    Look a model up by its name.

    :raises ModelError: there is no such model; the message lists all names
    """
    try:
        return MODELS[name]
    except KeyError:
        raise ModelError(f'unknown model {name!r}; there are: {", ".join(MODELS)}') from None

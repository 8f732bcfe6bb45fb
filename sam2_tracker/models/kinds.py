# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What weights are: of which model and in whose naming, told by their names and shapes alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import re

import torch


@dataclass(frozen=True)
class Naming:
    """
    Where a naming of SAM 2's weights has what tells its models apart.

    :ivar patches: the trunk's first layer
    :ivar blocks: how the names of the trunk's blocks begin
    :ivar absence: what SAM 2.1 has and SAM 2.0 has not
    """

    patches: str
    blocks: str
    absence: str


META = Naming('image_encoder.trunk.patch_embed.proj.weight', 'image_encoder.trunk.blocks.',
              'no_obj_embed_spatial')
TRANSFORMERS = Naming('vision_encoder.backbone.patch_embed.projection.weight',
                      'vision_encoder.backbone.blocks.', 'occlusion_spatial_embedding_parameter')

# Width of the first layer and number of blocks tell the sizes of Hiera apart.
_HIERA = {(96, 12): 'tiny', (96, 16): 'small', (112, 24): 'base_plus', (144, 48): 'large'}

# The width of its trunk tells EfficientTAM's sizes apart; its variants have the same weights.
_EFFICIENTTAM = {192: 'efficienttam_ti', 384: 'efficienttam_s'}
_EFFICIENTTAM_NECK = 'image_encoder.neck.convs.0.conv_1x1.weight'

# How a name begins that only another project's weights have.
_FOREIGN = (
    ('spatial_perceiver.', 'EdgeTAM, whose memory is of another shape'),
    ('image_encoder.patch_embed.', 'SAM 1, which has no memory to track with'),
    ('detector.', 'SAM 3'),
)

# From Meta's names to those of Transformers' `Sam2VideoModel`, one after the other.
_TO_TRANSFORMERS = tuple((re.compile(pattern), name) for pattern, name in (
    (r'^image_encoder\.trunk\.', 'vision_encoder.backbone.'),
    (r'^image_encoder\.neck\.convs\.(\d+)\.conv\.', r'vision_encoder.neck.convs.\1.'),
    (r'\.patch_embed\.proj\.', '.patch_embed.projection.'),
    (r'^sam_(prompt_encoder|mask_decoder)\.', r'\1.'),
    # Perceptrons have their first and last layers by name and number those between.
    (r'\.mlp\.layers\.0\.', '.mlp.proj_in.'),
    (r'\.mlp\.layers\.1\.', '.mlp.proj_out.'),
    (r'(_mlps\.\d|_head|^obj_ptr_proj)\.layers\.0\.', r'\1.proj_in.'),
    (r'(_mlps\.\d|_head|^obj_ptr_proj)\.layers\.1\.', r'\1.layers.0.'),
    (r'(_mlps\.\d|_head|^obj_ptr_proj)\.layers\.2\.', r'\1.proj_out.'),
    # Sequences have names for their members, and count no activations.
    (r'\.mask_downscaling\.0\.', '.mask_embed.conv1.'),
    (r'\.mask_downscaling\.1\.', '.mask_embed.layer_norm1.'),
    (r'\.mask_downscaling\.3\.', '.mask_embed.conv2.'),
    (r'\.mask_downscaling\.4\.', '.mask_embed.layer_norm2.'),
    (r'\.mask_downscaling\.6\.', '.mask_embed.conv3.'),
    (r'\.output_upscaling\.0\.', '.upscale_conv1.'),
    (r'\.output_upscaling\.1\.', '.upscale_layer_norm.'),
    (r'\.output_upscaling\.3\.', '.upscale_conv2.'),
    (r'\.mask_downsampler\.encoder\.0\.', '.mask_downsampler.layers.0.conv.'),
    (r'\.mask_downsampler\.encoder\.1\.', '.mask_downsampler.layers.0.layer_norm.'),
    (r'\.mask_downsampler\.encoder\.3\.', '.mask_downsampler.layers.1.conv.'),
    (r'\.mask_downsampler\.encoder\.4\.', '.mask_downsampler.layers.1.layer_norm.'),
    (r'\.mask_downsampler\.encoder\.6\.', '.mask_downsampler.layers.2.conv.'),
    (r'\.mask_downsampler\.encoder\.7\.', '.mask_downsampler.layers.2.layer_norm.'),
    (r'\.mask_downsampler\.encoder\.9\.', '.mask_downsampler.layers.3.conv.'),
    (r'\.mask_downsampler\.encoder\.10\.', '.mask_downsampler.layers.3.layer_norm.'),
    (r'\.mask_downsampler\.encoder\.12\.', '.mask_downsampler.final_conv.'),
    (r'^memory_encoder\.pix_feat_proj\.', 'memory_encoder.feature_projection.'),
    (r'^memory_encoder\.out_proj\.', 'memory_encoder.projection.'),
    (r'^memory_encoder\.fuser\.', 'memory_encoder.memory_fuser.'),
    (r'\.dwconv\.', '.depthwise_conv.'),
    (r'\.pwconv(\d)\.', r'.pointwise_conv\1.'),
    (r'\.gamma$', '.scale'),
    (r'\.out_proj\.', '.o_proj.'),
    (r'\.norm(\d?|_final_attn)\.', r'.layer_norm\1.'),
    (r'^maskmem_tpos_enc$', 'memory_temporal_positional_encoding'),
    (r'^no_mem_embed$', 'no_memory_embedding'),
    (r'^no_mem_pos_enc$', 'no_memory_positional_encoding'),
    (r'^no_obj_ptr$', 'no_object_pointer'),
    (r'^no_obj_embed_spatial$', 'occlusion_spatial_embedding_parameter'),
    (r'^obj_ptr_proj\.', 'object_pointer_proj.'),
    (r'^obj_ptr_tpos_proj\.', 'temporal_positional_encoding_projection_layer.'),
    (r'\.pe_layer\.positional_encoding_gaussian_matrix$',
     '.shared_embedding.positional_embedding'),
))
# One weight under two names, of which a file may have either or both.
_SHARED = ('prompt_encoder.shared_embedding.positional_embedding',
           'shared_image_embedding.positional_embedding')
_POINT_LABEL = re.compile(r'^sam_prompt_encoder\.point_embeddings\.(\d)\.weight$')
_POINT_LABELS = 'prompt_encoder.point_embed.weight'


def naming_of(weights: Mapping[str, torch.Tensor]) -> Naming | None:
    """Tell in whose naming weights are, None if they are not of a SAM 2 with Hiera."""
    return next((naming for naming in (META, TRANSFORMERS) if naming.patches in weights), None)


def recognise(weights: Mapping[str, torch.Tensor]) -> str | None:
    """
    Name the model that weights belong to, None if it is none of those that there are.

    :returns: of models that differ in nothing but their settings, the plain one
    """
    if 'image_encoder.trunk.stem.weight' in weights:
        return 'nano'
    if _EFFICIENTTAM_NECK in weights:
        return _EFFICIENTTAM.get(weights[_EFFICIENTTAM_NECK].shape[1])
    naming = naming_of(weights)
    if naming is None:
        return None
    blocks = {key.removeprefix(naming.blocks).split('.')[0] for key in weights
              if key.startswith(naming.blocks)}
    size = _HIERA.get((weights[naming.patches].shape[0], len(blocks)))
    if size is None:
        return None
    generation = 'sam2.1' if naming.absence in weights else 'sam2'
    return f'{generation}_hiera_{size}'


def foreign_project(weights: Mapping[str, torch.Tensor]) -> str | None:
    """Name the other project that weights are of, None if it is not known."""
    return next((project for beginning, project in _FOREIGN
                 if any(key.startswith(beginning) for key in weights)), None)


def in_meta_s_naming(weights: Mapping[str, torch.Tensor],
                     names: Iterable[str]) -> dict[str, torch.Tensor]:
    """
    Rename weights as Transformers has them to what Meta calls them.

    :param weights: in `TRANSFORMERS`' naming
    :param names: the weights that are wanted, in Meta's naming
    :returns: those of them that there are; and under their own names those left over
    """
    found: dict[str, torch.Tensor] = {}
    taken = {*_SHARED, _POINT_LABELS}
    for name in names:
        point_label = _POINT_LABEL.match(name)
        if point_label and _POINT_LABELS in weights:
            row = int(point_label[1])
            found[name] = weights[_POINT_LABELS][row:row + 1]
            continue
        theirs = _transformers_name(name)
        aliases = _SHARED if theirs in _SHARED else (theirs,)
        present = next((alias for alias in aliases if alias in weights), None)
        if present is not None:
            found[name] = weights[present]
        taken.update(aliases)
    return found | {key: weights[key] for key in weights.keys() - taken}


def _transformers_name(name: str) -> str:
    for pattern, replacement in _TO_TRANSFORMERS:
        name = pattern.sub(replacement, name)
    return name

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Run in a process of its own: what Transformers makes of SAM 2.

`transformers_reference.py SITE FOLDER` writes the names and shapes of all its models into the
folder, saves a model with random weights there and tracks with it through `pictures.npy`, already
of the model's size, from the click in `click.npy`.
"""

from __future__ import annotations

import json
from pathlib import Path
import sys
from typing import Any

import numpy as np
import torch

# (width, blocks a stage, blocks that see everything, background of positions, windows)
HIERA = {
    'tiny': (96, [1, 2, 7, 2], [5, 7, 9], [7, 7], [8, 4, 14, 7]),
    'small': (96, [1, 2, 11, 2], [7, 10, 13], [7, 7], [8, 4, 14, 7]),
    'base_plus': (112, [2, 3, 16, 3], [12, 16, 20], [14, 14], [8, 4, 14, 7]),
    'large': (144, [2, 6, 36, 4], [23, 33, 43], [7, 7], [8, 4, 16, 8]),
}


def config_of(size: str, side: int, generation: str = 'sam2.1') -> Any:
    """Return Transformers' configuration of a model for pictures of a side."""
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VisionConfig
    from transformers.models.sam2_video.configuration_sam2_video import (
        Sam2VideoPromptEncoderConfig,
    )

    width, blocks, global_blocks, background, windows = HIERA[size]
    widths = [width * 2 ** stage for stage in range(4)]
    first_heads = 1 if width == 96 else 2
    hiera = Sam2HieraDetConfig(
        hidden_size=width, num_attention_heads=first_heads, image_size=[side, side],
        blocks_per_stage=blocks, embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[first_heads * 2 ** stage for stage in range(4)],
        window_size_per_stage=windows, global_attention_blocks=global_blocks,
        window_positional_embedding_background_size=background)
    vision = Sam2VisionConfig(
        backbone_config=hiera, backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[side // stride] * 2 for stride in (4, 8, 16)])
    is_newer = generation == 'sam2.1'
    return Sam2VideoConfig(
        vision_config=vision, image_size=side,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(image_size=side),
        memory_attention_rope_feat_sizes=[side // 16] * 2,
        enable_temporal_pos_encoding_for_object_pointers=is_newer,
        enable_occlusion_spatial_embedding=is_newer)


def write_names(path: Path) -> None:
    """Write {model: {name: shape}} of every size of both generations."""
    from transformers import Sam2VideoModel

    found = {}
    for generation in ('sam2.1', 'sam2'):
        for size in HIERA:
            with torch.device('meta'):
                model = Sam2VideoModel(config_of(size, 1024, generation))
            found[f'{generation}_hiera_{size}'] = {
                name: list(value.shape) for name, value in model.state_dict().items()}
    path.write_text(json.dumps(found))


@torch.no_grad()
def randomise(model: torch.nn.Module) -> None:
    """Give every weight values of its own, so that one in another's place shows."""
    torch.manual_seed(0)
    for name, value in model.state_dict().items():
        if value.ndim > 1 and 'embed' not in name and 'token' not in name:
            value.normal_(0, value[0].numel() ** -0.5)
        elif name.endswith('weight') and value.ndim == 1:
            value.uniform_(0.7, 1.3)
        else:
            value.normal_(0, 0.3)
    model.prompt_encoder.shared_embedding.positional_embedding.copy_(
        model.shared_image_embedding.positional_embedding)
    # An object that is there, or there would be nothing to compare.
    model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(20)


def track(folder: Path) -> None:
    """Save the model and write the (frames, h, w) logits that it gives as `masks.npy`."""
    from transformers import Sam2VideoModel
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    pictures = torch.from_numpy(np.load(folder / 'pictures.npy'))
    model = Sam2VideoModel(config_of('tiny', pictures.shape[-1])).eval()
    randomise(model)
    model.save_pretrained(folder)
    session = Sam2VideoInferenceSession(video=pictures, video_height=pictures.shape[-2],
                                        video_width=pictures.shape[-1], dtype=torch.float32)
    number = session.obj_id_to_idx(1)
    session.add_point_inputs(number, 0, {
        'point_coords': torch.from_numpy(np.load(folder / 'click.npy'))[None, None],
        'point_labels': torch.ones(1, 1, 1, dtype=torch.int32)})
    session.obj_with_new_inputs = [1]
    masks = [model(session, frame_idx=index).pred_masks[0, 0].numpy()
             for index in range(len(pictures))]
    np.save(folder / 'masks.npy', np.stack(masks))


if __name__ == '__main__':
    sys.path.append(sys.argv[1])
    torch.set_num_threads(1)
    write_names(Path(sys.argv[2]) / 'names.json')
    track(Path(sys.argv[2]))

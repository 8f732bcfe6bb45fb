# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Run in a process of its own: what EfficientTAM's own predictor makes of a clip.

`efficienttam_reference.py SITE FOLDER` reads `jobs.json`, a list of models. Of each it writes the
names and shapes of its weights to `NAME.json`; where there are `NAME.pt` and the pictures that the
job names, the (frames, height, width) logits to `NAME.npy`. SITE holds the package of the authors,
a second `sam2`.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
import sys
from typing import Any

import numpy as np
import torch

# As the authors' configurations have them.
TRUNK = {'patch_size': 16, 'depth': 12, 'mlp_ratio': 4.0, 'qkv_bias': True,
         'drop_path_rate': 0.0, 'use_rel_pos': False, 'window_size': 14,
         'window_block_indexes': [0, 1, 3, 4, 6, 7, 9, 10]}


def build(config: dict[str, Any], width: int, heads: int, attention: str) -> Any:
    """Build the authors' predictor with the authors' trunk, neck and attention to memory."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    import sam2
    from sam2.modeling.backbones.image_encoder import ViTDetNeck
    from sam2.modeling.backbones.vitdet import ViT

    assert Path(sam2.__file__).is_relative_to(sys.argv[1])
    encoder = config['image_encoder']
    encoder['trunk'] = {'_target_': f'{ViT.__module__}.ViT', 'embed_dim': width,
                        'num_heads': heads, **TRUNK}
    encoder['neck'] = {**encoder['neck'], '_target_': f'{ViTDetNeck.__module__}.ViTDetNeck',
                       'neck_norm': 'LN', 'backbone_channel_list': [width]}
    cross = config['memory_attention']['layer']['cross_attention']
    cross['_target_'] = f'sam2.modeling.sam.transformer.{attention}'
    return instantiate(OmegaConf.create(config), _recursive_=True)


def do(job: dict[str, Any], folder: Path) -> None:
    """Write what a model's weights are called and, where it has some, its masks."""
    name = job['name']
    model = build(job['config'], job['width'], job['heads'], job['attention'])
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    (folder / f'{name}.json').write_text(json.dumps(shapes))
    weights = folder / f'{name}.pt'
    if not weights.is_file():
        return
    model.load_state_dict(torch.load(weights, weights_only=True)['model'])
    model.eval()
    state = model.init_state(job['pictures'])
    model.add_new_points(state, 0, 1, points=np.array([job['click']], np.float32),
                         labels=np.ones(1, np.int32))
    masks = [logits[0, 0].numpy() for _, _, logits in model.propagate_in_video(state)]
    np.save(folder / f'{name}.npy', np.stack(masks))


def main(folder: Path) -> None:
    """Do all jobs."""
    for job in json.loads((folder / 'jobs.json').read_text()):
        do(job, folder)


if __name__ == '__main__':
    sys.path.insert(0, sys.argv[1])
    torch.set_num_threads(1)
    if not hasattr(torch.backends.cuda, 'sdp_kernel'):
        # It chose among kernels of CUDA, and newer torch has it no more.
        torch.backends.cuda.sdp_kernel = contextlib.nullcontext
    main(Path(sys.argv[2]))

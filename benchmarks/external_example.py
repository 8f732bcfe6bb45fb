# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Stock SAM 2 by the protocol of `benchmarks.external`: an example to be copied and changed.

    python -m benchmarks.objects --external "again=$PWD/.venv/bin/python -m \
        benchmarks.external_example"

Run from the repository's root it builds the same model as the benchmark; in another environment
replace `build` by what that project offers.
"""

from __future__ import annotations

import json
from pathlib import Path
import sys
import time
from typing import Any

import numpy as np
from PIL import Image
import torch


def build(job: dict[str, Any]) -> Any:
    """Build the model that the job names, with its weights if it has any, else random ones."""
    from sam2_tracker.core.config import ModelConfig
    from sam2_tracker.models.loader import build_stock_predictor

    config = ModelConfig(job['model'], device=job['device'], image_size=job['image_size'])
    return build_stock_predictor(config, random_weights=job['model'] != 'nano')


def main(folder: Path) -> None:
    """Track all objects through all frames and answer as the protocol says."""
    job = json.loads((folder / 'job.json').read_text())
    torch.set_num_threads(job['threads'])
    torch.set_flush_denormal(True)
    model = build(job)
    seconds = []
    lower = torch.autocast(torch.device(job['device']).type, torch.bfloat16,
                           enabled=job['precision'] == 'bfloat16')
    with torch.inference_mode(), lower:
        state = model.init_state(str(folder / job['frames']))
        for prompt in job['prompts']:
            model.add_new_points_or_box(state, prompt['frame'], prompt['object'],
                                        box=np.array(prompt['box'], np.float32))
        begun = time.perf_counter()
        for index, ids, logits in model.propagate_in_video(state):
            masks = (logits[:, 0] > 0).cpu().numpy()
            seconds.append(time.perf_counter() - begun)
            for number, mask in zip(ids, masks, strict=True):
                picture = Image.fromarray(mask.astype(np.uint8) * 255)
                picture.save(folder / job['masks'] / f'{index:05d}_{number}.png')
            begun = time.perf_counter()
    print(json.dumps({'frame_seconds': seconds, 'begins_with': 'tensor'}))


if __name__ == '__main__':
    main(Path(sys.argv[1]))

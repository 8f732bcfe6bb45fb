# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Write the weights that training starts from: ``python -m training.start --output start.pt``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import io
from pathlib import Path

from sam2.modeling.sam2_base import SAM2Base
from sam2_tracker.core.command_line import refusing, writing
from sam2_tracker.core.plain_file import refuse_irreplaceable, write_whole
import torch
from training.compose import normalise
from training.matching import FeatureBasis, measure_basis, start_as_matcher
from training.model import build_nano
from training.pool import load_pool
from training.pretrained import load_imagenet_weights
from training.weights import read_saved

SIZE = 256
EVERY = 4            # of the pictures: enough for principal directions
# The experiment's features are this large. The decoder sees them as they are on a prompted
# frame and normalised on a tracked one; brought to one size, they are one task.
FEATURE_SCALE = 5.0


def take_over(model: SAM2Base, weights: Mapping[str, object]) -> list[str]:
    """
    Copy the weights of an earlier experiment that still fit, the trunk excepted.

    :returns: the names that were taken
    :raises ValueError: if none fits
    """
    own = model.state_dict()
    fitting = {name: value.float() for name, value in weights.items()
               if isinstance(value, torch.Tensor) and name in own
               and own[name].shape == value.shape and '.trunk.' not in name}
    if not fitting:
        raise ValueError(f'none of the {len(weights)} entries is a weight of neck, memory or '
                         'decoder of nano: a state dict of an experiment with it is expected')
    model.load_state_dict(fitting, strict=False)
    with torch.no_grad():
        for level in model.image_encoder.neck.convs[:2]:
            level.conv.weight.div_(FEATURE_SCALE)
            level.conv.bias.div_(FEATURE_SCALE)
        model.no_mem_embed.div_(FEATURE_SCALE)
    return sorted(fitting)


@torch.inference_mode()
def basis_of(model: SAM2Base, rgb: torch.Tensor) -> FeatureBasis:
    """Measure the principal directions of the stride-16 features of (N, S, S, 3) pictures."""
    features = []
    for picture in rgb[::EVERY]:
        image = torch.nn.functional.interpolate(picture.permute(2, 0, 1)[None].float(),
                                                size=(SIZE, SIZE), mode='bilinear',
                                                antialias=True)
        described = model.image_encoder(normalise(image))
        features.append(described['vision_features'][0].flatten(1).T[::3])
    return measure_basis(torch.cat(features))


def main(line: Sequence[str] | None = None) -> None:
    """Write first weights as the command line says."""
    parser = argparse.ArgumentParser(prog='python -m training.start', description=__doc__)
    parser.add_argument('--experiment', type=Path,
                        help='weights to take neck and decoder from; else they are random')
    parser.add_argument('--data', type=Path, required=True, help='what training.pack wrote')
    parser.add_argument('--output', type=Path, required=True)
    arguments = parser.parse_args(line)
    torch.manual_seed(0)
    with refusing(parser.prog):
        refuse_irreplaceable(arguments.output)
        model = build_nano(SIZE)
        load_imagenet_weights(model.image_encoder.trunk)
        if arguments.experiment:
            taken = take_over(model, read_saved(arguments.experiment))
            print(f'{len(taken)} tensors taken from {arguments.experiment}')
        pool = load_pool(arguments.data, torch.device('cpu'))
    start_as_matcher(model, basis_of(model, pool.stills.rgb))
    saved = io.BytesIO()
    torch.save(model.state_dict(), saved)
    with writing(parser.prog):
        write_whole(arguments.output, saved.getvalue())


if __name__ == '__main__':
    main()

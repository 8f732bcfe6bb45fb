# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""From pixels to what the image encoder makes of them, at once or in another thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image
from sam2_tracker.core.engine.stream_predictor import StreamPredictor, unread_position
from sam2_tracker.core.protocols import FrameFeatures
from sam2_tracker.core.types import UInt8Array
import torch

# SAM 2's own, those of ImageNet.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class EncodedFrame:
    """
    The feature maps of one frame.

    :param maps: (1, C, H, W) each, finest first, as `SAM2Base.forward_image` gives them
    :param position: (1, C, H, W) of the last map, shared between all frames
    """

    maps: tuple[torch.Tensor, ...]
    position: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Return the bytes of the feature maps; the position map is shared."""
        return sum(tensor.nbytes for tensor in self.maps)

    def as_cached(self) -> tuple[torch.Tensor, dict[str, list[torch.Tensor]]]:
        """Return the form in which SAM 2 looks features up in `cached_features`."""
        positions = [unread_position(tensor) for tensor in self.maps[:-1]]
        backbone_out = {'backbone_fpn': list(self.maps),
                        'vision_pos_enc': [*positions, self.position]}
        return self.position.new_empty(1, 1, 1, 1), backbone_out


def own_features(features: FrameFeatures) -> EncodedFrame:
    """Return features as what this predictor makes, or raise TypeError."""
    if not isinstance(features, EncodedFrame):
        raise TypeError(f'features of this predictor were expected, not {type(features).__name__}')
    return features


class Preprocessor:
    """
    Pixels to the encoder's input, bit-identical to stock SAM 2's over a folder of pictures.

    :param side: side of the model's square input in pixels
    """

    def __init__(self, side: int, device: torch.device) -> None:
        self._side = side
        self._device = device
        self._mean = torch.tensor(MEAN, dtype=torch.float32, device=device)[:, None, None]
        self._std = torch.tensor(STD, dtype=torch.float32, device=device)[:, None, None]
        # A tensor: CUDA multiplies by the reciprocal of a plain number, which rounds otherwise.
        self._white = torch.tensor(255.0, device=device)

    def __call__(self, image_rgb: UInt8Array) -> torch.Tensor:
        """
        Scale, upload as bytes and normalise on the device.

        :param image_rgb: (height, width, 3) uint8
        :returns: (1, 3, side, side) float32 on the device
        """
        pixels = torch.from_numpy(np.array(_resized(image_rgb, self._side)))
        if self._device.type == 'cuda':
            pixels = pixels.pin_memory()
        pixels = pixels.to(self._device, non_blocking=True)
        planes = pixels.permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format)
        return planes.div_(self._white).sub_(self._mean).div_(self._std)[None]


def _resized(image_rgb: UInt8Array, side: int) -> UInt8Array:
    """
    Scale a picture to a square as stock SAM 2 does: Pillow, bicubic, aspect not kept.

    :param image_rgb: (height, width, 3) uint8
    :returns: (side, side, 3) uint8
    """
    if image_rgb.shape[:2] == (side, side):
        return image_rgb
    return np.asarray(Image.fromarray(image_rgb).resize((side, side)))


def encode_image(model: StreamPredictor, pixels: torch.Tensor) -> EncodedFrame:
    """
    Run the image encoder and keep what the later stages read.

    :param pixels: (1, 3, side, side) float32, normalised
    """
    backbone_out = model.forward_image(pixels)
    levels = int(model.num_feature_levels)
    *finer, last = backbone_out['backbone_fpn'][-levels:]
    if model.encoder_is_compiled:
        last = last.clone()
    return EncodedFrame((*finer, last), model.image_encoder.neck.position_encoding(last))


class EncodeAhead:
    """
    Holds at most one picture that is being encoded in another thread.

    :param encode: may run beside everything else that the model does
    """

    def __init__(self, encode: Callable[[UInt8Array], EncodedFrame]) -> None:
        self._encode = encode
        self._thread: ThreadPoolExecutor | None = None
        self._image_rgb: UInt8Array | None = None
        self._features: Future[EncodedFrame] | None = None

    def begin(self, image_rgb: UInt8Array) -> None:
        """
        Begin to encode a picture; one that was begun before and never taken is forgotten.

        :param image_rgb: (height, width, 3) uint8, not to be written to
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix='encode ahead')
        self._image_rgb = image_rgb
        self._features = self._thread.submit(self._encode, image_rgb)

    def take(self, image_rgb: UInt8Array) -> EncodedFrame | None:
        """Wait for a picture's features if it was begun, the very same array; None otherwise."""
        if self._features is None or image_rgb is not self._image_rgb:
            return None
        features, self._features, self._image_rgb = self._features, None, None
        return features.result()

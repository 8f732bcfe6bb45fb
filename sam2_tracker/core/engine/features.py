# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""From pixels to what the image encoder makes of them, at once or in another thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
import threading
from typing import Generic, TypeVar

from sam2_tracker.core.engine.graphs.recorder import Tensors
from sam2_tracker.core.engine.graphs.replays import Replay
from sam2_tracker.core.engine.stream_predictor import StreamPredictor, unread_position
from sam2_tracker.core.protocols import FrameFeatures
from sam2_tracker.core.types import UInt8Array
import torch

Result = TypeVar('Result')


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


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor from the host, without waiting for the device."""
    if device.type == 'cuda':
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def encode_image(model: StreamPredictor, pixels: torch.Tensor, replays: Replay) -> EncodedFrame:
    """
    Run the image encoder and keep what the later stages read.

    :param pixels: (1, 3, side, side) float32, normalised
    :param replays: does the work, from a recording where there is one
    """
    def maps_of(inputs: Tensors) -> Tensors:
        levels = int(model.num_feature_levels)
        return tuple(model.forward_image(inputs[0])['backbone_fpn'][-levels:])

    maps = replays('encoder', maps_of, (pixels,))
    return EncodedFrame(maps, model.image_encoder.neck.position_encoding(maps[-1]))


@dataclass(frozen=True, eq=False)
class Underway:
    """
    Features that the device may still be at work on.

    :param done: when they are there, on CUDA
    """

    features: EncodedFrame
    done: torch.cuda.Event | None = None

    def wait(self) -> EncodedFrame:
        """Let what this thread does next on the device wait for them."""
        if self.done is not None:
            current = torch.cuda.current_stream(self.features.position.device)
            current.wait_event(self.done)
            for each in self.features.maps:
                # Otherwise their memory would be free for the encoder while it is read here.
                each.record_stream(current)
        return self.features


class EncoderStream:
    """
    The encoder's place on the device: beside what else is done there, one picture at a time.

    :param device: on a CPU there is nothing to do beside anything
    """

    def __init__(self, device: torch.device) -> None:
        self._lock = threading.Lock()
        self._stream: torch.cuda.Stream | None = None
        if device.type == 'cuda':
            self._stream = torch.cuda.Stream(device)
            # The weights may still be on their way.
            self._stream.wait_stream(torch.cuda.current_stream(device))

    def run(self, encode: Callable[[], EncodedFrame]) -> Underway:
        """Encode a picture; from any thread."""
        with self._lock:
            if self._stream is None:
                return Underway(encode())
            with torch.cuda.stream(self._stream):
                features = encode()
                return Underway(features, self._stream.record_event())


class EncodeAhead(Generic[Result]):
    """
    Holds at most one picture that is being encoded in another thread.

    :param encode: may run beside everything else that the model does
    """

    def __init__(self, encode: Callable[[UInt8Array], Result]) -> None:
        self._encode = encode
        self._thread: ThreadPoolExecutor | None = None
        self._image_rgb: UInt8Array | None = None
        self._features: Future[Result] | None = None

    def begin(self, image_rgb: UInt8Array) -> None:
        """
        Begin to encode a picture; one that was begun before and never taken is forgotten.

        :param image_rgb: (height, width, 3) uint8, not to be written to
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix='encode ahead')
        self._image_rgb = image_rgb
        self._features = self._thread.submit(self._encode, image_rgb)

    def take(self, image_rgb: UInt8Array) -> Result | None:
        """Wait for a picture's features if it was begun, the very same array; None otherwise."""
        if self._features is None or image_rgb is not self._image_rgb:
            return None
        features, self._features, self._image_rgb = self._features, None, None
        return features.result()

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Every import of the package's own modules that these commands make, in one place.

All else is driven from outside: executables, topics, services, the offline command. Only what is
fuzzed, and a node whose model fails on command, are reached from inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FuzzedParts:
    """
    What is fuzzed.

    :param own_error: base of all the package's sentences
    :param encodings: of raw images, that are accepted
    :param image: pixels of an Image message
    :param mask: mask of an Image message
    :param prompts: prompts of messages, checked against a frame of a size
    :param prompt_file: prompts of a YAML file
    :param ingest: a CompressedImage message as the node takes it in, and its pixels out again
    :param load_memory: objects of a memory file
    :param save_memory: write a memory file of one object
    """

    own_error: type[Exception]
    encodings: dict[str, int]
    image: Callable[[Any, int], Any]
    mask: Callable[[Any], Any]
    prompts: Callable[[Sequence[Any], tuple[int, int]], Any]
    prompt_file: Callable[[Path], Any]
    ingest: Callable[[Any], Any]
    load_memory: Callable[[Path], Any]
    save_memory: Callable[[Path], None]


def fuzzed_parts() -> FuzzedParts:
    """Import what is fuzzed; takes seconds."""
    from sam2_tracker.core.engine.memory.file import load_memory
    from sam2_tracker.core.errors import TrackerError
    from sam2_tracker.core.prompts.file import load_prompt_file
    from sam2_tracker.core.prompts.validation import validate_prompts
    from sam2_tracker.ros.messages import (
        BYTES_PER_PIXEL,
        image_from_msg,
        mask_from_msg,
        prompts_from_msgs,
    )

    def prompts(messages: Sequence[Any], hw: tuple[int, int]) -> Any:
        return validate_prompts(prompts_from_msgs(messages), hw, {1, 2}, 5)
    return FuzzedParts(TrackerError, dict(BYTES_PER_PIXEL), image_from_msg, mask_from_msg,
                       prompts, load_prompt_file, _ingestion(), load_memory, _save_one)


def _ingestion() -> Callable[[Any], Any]:
    from itertools import cycle

    from sam2_tracker.core.config import BufferConfig, FramePolicy
    from sam2_tracker.core.frames import jpeg
    from sam2_tracker.core.frames.stored_frame import EncodedImage, RawImage
    from sam2_tracker.ros.messages import payload_from_msg

    codecs: Iterator[jpeg.FrameCodec] = cycle([
        jpeg.FrameCodec(BufferConfig(max_side=side), policy)
        for side in (0, 32) for policy in FramePolicy])

    def ingest(message: Any) -> Any:
        received = payload_from_msg(message)
        frame = next(codecs).prepare(
            EncodedImage(received) if isinstance(received, bytes) else RawImage(received))
        return jpeg.decode(frame.payload)
    return ingest


def _save_one(path: Path) -> None:
    from sam2_tracker.core.engine.memory.file import save_memory, SavedObject
    from sam2_tracker.core.engine.memory.transfer import CondBank
    import torch

    tensors = {'maps': torch.zeros(1, 64, 4, 4), 'pointers': torch.zeros(1, 256),
               'score_logits': torch.ones(1, 1)}
    bank = CondBank.read(tensors, {'model': 'f' * 64, 'image_size': '64'})
    save_memory(path, [SavedObject(1, 'cup', bank)], 'nano')


def run_node_with(wrap: Callable[[Any], Any], arguments: Sequence[str]) -> int:
    """
    Run the node as its executable does, with something around its model.

    :param wrap: gets the loaded model and returns what the node is to use
    """
    from sam2_tracker.ros.stop_request import StopRequest

    # As in the executable: signals count from here on, not from after the imports.
    stop = StopRequest()

    from sam2_tracker.ros.node.engine import Sam2Loader
    from sam2_tracker.ros.node.tracker_process import run

    class WrappingLoader(Sam2Loader):
        """Loads the model and wraps it."""

        def load(self, config: Any, cancelled: Any) -> Any:
            """Build and warm the model."""
            return wrap(super().load(config, cancelled))
    return run(arguments, stop, WrappingLoader())

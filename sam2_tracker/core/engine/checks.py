# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What the predictor refuses, and why."""

from __future__ import annotations

from collections.abc import Iterable

from sam2_tracker.core.engine.features import EncodedFrame
from sam2_tracker.core.engine.memory.object_memory import LowResMask, ObjectMemory
from sam2_tracker.core.engine.stream_predictor import StreamPredictor
from sam2_tracker.core.errors import FrameError, ModelError
from sam2_tracker.core.protocols import FrameFeatures, MaskOutput, Memory


def refuse_unfit(model: StreamPredictor) -> None:
    """Raise ModelError if a model is set up so that results could not be exact."""
    if model.fill_hole_area != 0:
        # `build_sam2_video_predictor` sets it to 8 after all overrides.
        raise ModelError(f'the model fills holes up to {model.fill_hole_area} pixels: set '
                         'fill_hole_area to 0 after building it')
    if not model.add_all_frames_to_correct_as_cond:
        raise ModelError('the model must be built with add_all_frames_to_correct_as_cond=true, '
                         'or corrections fade')
    for name in ('clear_non_cond_mem_around_input', 'non_overlap_masks',
                 'non_overlap_masks_for_mem_enc'):
        if getattr(model, name):
            raise ModelError(f'the model must be built with {name}=false')
    if model.training:
        raise ModelError('the model is in training mode: call eval()')


def refuse_unknown(name: str, value: str, known: Iterable[str]) -> None:
    """Raise ModelError if a setting has a value that there is not."""
    if value not in known:
        raise ModelError(f'{name} {value!r} is none of {", ".join(known)}')


def refuse_forgotten(memory: ObjectMemory, frame_index: int) -> None:
    """Raise FrameError if what a prompt or result on a frame would read was pruned."""
    if frame_index < memory.oldest_index:
        raise FrameError(f'frame {frame_index} is too old: this object is remembered from frame '
                         f'{memory.oldest_index} on')


def own_memory(memory: Memory) -> ObjectMemory:
    """Return a memory as what this predictor makes, or raise TypeError."""
    if not isinstance(memory, ObjectMemory):
        raise TypeError(f'a memory of this predictor was expected, not {type(memory).__name__}')
    return memory


def own_features(features: FrameFeatures) -> EncodedFrame:
    """Return features as what this predictor makes, or raise TypeError."""
    if not isinstance(features, EncodedFrame):
        raise TypeError(f'features of this predictor were expected, not {type(features).__name__}')
    return features


def own_output(output: MaskOutput) -> LowResMask:
    """Return a result as what this predictor makes, or raise TypeError."""
    if not isinstance(output, LowResMask):
        raise TypeError(f'a result of this predictor was expected, not {type(output).__name__}')
    return output

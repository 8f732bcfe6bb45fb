# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Streaming SAM 2: what the tracker uses of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
from typing import Any

import numpy as np
from sam2_tracker.core.engine.attention_kernels import AttentionKernels
from sam2_tracker.core.engine.batching import BatchTracker, Job
from sam2_tracker.core.engine.features import (
    encode_image,
    EncodeAhead,
    EncodedFrame,
    EncoderStream,
    own_features,
    Underway,
)
from sam2_tracker.core.engine.graphs.replays import Graphs
from sam2_tracker.core.engine.mask_summary import summarise_masks
from sam2_tracker.core.engine.memory.belief import BeliefRule
from sam2_tracker.core.engine.memory.distractor import DistractorMemory
from sam2_tracker.core.engine.memory.entry import lesson_of
from sam2_tracker.core.engine.memory.object_memory import (
    LowResMask,
    MemoryPolicy,
    OBJECT_ID,
    ObjectMemory,
    own_memory,
    own_output,
    refuse_too_many_points,
)
from sam2_tracker.core.engine.memory.selective import SelectiveMemory
from sam2_tracker.core.engine.memory.stock import StockMemory
from sam2_tracker.core.engine.memory.transfer import (
    CondBank,
    export_cond,
    fingerprint,
    import_cond,
    restore,
)
from sam2_tracker.core.engine.memory_attention import fold_values
from sam2_tracker.core.engine.pillow_resize import resized_by_pillow
from sam2_tracker.core.engine.preprocessing import Preprocessor
from sam2_tracker.core.engine.stream_predictor import (
    refuse_unfit,
    refuse_unknown,
    StreamPredictor,
)
from sam2_tracker.core.errors import ModelError, PromptError
from sam2_tracker.core.log import Log, silent
from sam2_tracker.core.protocols import (
    FrameFeatures,
    FrameMasks,
    GraphCounts,
    MaskOutput,
    Memory,
    TrackStep,
)
from sam2_tracker.core.types import MaskRules, PLAIN_MASKS, Prompt, UInt8Array, Wanted
import torch

_PRECISIONS = {'float32': torch.float32, 'bfloat16': torch.bfloat16}
_POLICIES: Mapping[str, Callable[[StreamPredictor], MemoryPolicy]] = {
    'stock': StockMemory.of, 'selective': SelectiveMemory.of, 'distractor': DistractorMemory.of}


class Predictor:
    """
    A segmentation model with memory, as `PredictorProtocol` describes it.

    Not thread-safe: one thread owns it.

    :param model: with its weights, on its device, in eval mode
    :param precision: float32, or bfloat16 for automatic mixed precision
    :param batched: track several objects in one pass, equal to one after the other but for
        rounding; False is bit-identical to stock SAM 2 in float32; None is True on CUDA and False
        on a CPU, which large models fill with one object already
    :param max_batch: largest number of objects in one pass
    :param graphs: where work is recorded and replayed from, None for nowhere
    :param on_device: scale pictures and count masks on the device, too; None for on CUDA only
    :param memory: stock; selective or distractor, which read other frames than SAM 2 by itself
    :param beliefs: when a result is taken for the object; None: always
    :raises ModelError: if the model is set up so that results could not be exact
    """

    def __init__(self, model: StreamPredictor, precision: str = 'float32',
                 batched: bool | None = None, max_batch: int = 16,
                 graphs: Graphs | None = None, log: Log = silent,
                 on_device: bool | None = None, memory: str = 'stock',
                 beliefs: BeliefRule | None = None) -> None:
        refuse_unfit(model)
        refuse_unknown('memory', memory, _POLICIES)
        refuse_unknown('precision', precision, _PRECISIONS)
        self._model = model
        self._device = torch.device(model.device)
        self._dtype = _PRECISIONS[precision]
        if precision == 'bfloat16':
            model.lower_precision(torch.bfloat16)
            if self._device.type == 'cpu':
                fold_values(model.memory_attention.layers)
        self._policy = _POLICIES[memory](model)
        self._graphs = graphs or Graphs()
        self._on_device = self._device.type == 'cuda' if on_device is None else on_device
        self._preprocess = Preprocessor(self.image_size, self._device, self._graphs.encoder, log,
                                        self._on_device)
        self._ahead = EncodeAhead(self._encode)
        if batched is None:
            batched = self._device.type == 'cuda'
        kernels = AttentionKernels.of(self._device, self._dtype)
        self._rule, learns = beliefs, bool(self._policy.learnt)
        judges = learns or beliefs is not None
        # SAM 2's own code reads as stock does, so others go through batches, of one if need be.
        self._batches = (BatchTracker(model, max_batch if batched else 1, self._graphs.tracking,
                                      kernels, judges) if batched or learns else None)
        self._constants: dict[str, Any] = {}
        self._fingerprint: str | None = None
        # The last: it waits for the weights as they are by now.
        self._encoder = EncoderStream(self._device)

    @property
    def image_size(self) -> int:
        """Return the side of the square that the model sees, in pixels."""
        return int(self._model.image_size)

    @property
    def model(self) -> StreamPredictor:
        """Return the model itself."""
        return self._model

    @property
    def device(self) -> torch.device:
        """Return where the model runs."""
        return self._device

    @property
    def is_batched(self) -> bool:
        """Return whether several objects are tracked in one pass."""
        return self._batches is not None and self._batches.max_batch > 1

    @property
    def graph_counts(self) -> GraphCounts | None:
        """Return what was recorded and replayed so far, None where nothing is."""
        return self._graphs.counts

    @property
    def graph_bytes(self) -> int:
        """Return what recordings hold on the device; takes some milliseconds."""
        return self._graphs.nbytes

    def record_only_if(self, condition: Callable[[], bool]) -> None:
        """Record nothing while a condition does not hold."""
        self._graphs.record_only_if(condition)

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Compute on this predictor's device and with its precision."""
        on_device = (torch.cuda.device(self._device) if self._device.type == 'cuda'
                     else contextlib.nullcontext())
        with on_device, torch.autocast(self._device.type, self._dtype,
                                       enabled=self._dtype is not torch.float32):
            yield

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Run every stage once, so that the first frame is not slower than the rest."""
        side = self.image_size
        picture = np.zeros((side, side, 3), np.uint8)
        features = self.encode(picture)
        # Other policies come to read as much as stock, if what they see is not black.
        policy = StockMemory.of(self._model)
        memory = ObjectMemory.empty((side, side), self._device, policy, self._constants)
        middle = np.full((1, 2), side / 2, np.float32)
        prompt = Prompt(points_xy=middle, point_labels=np.ones(1, np.int32))
        output: MaskOutput = self.prompt(memory, 0, features, prompt, clear_previous=False)
        # Only with full windows is there a layout that stays.
        recorded = self._batches if self._graphs.are_recorded else None
        frames = 3 if recorded is None else policy.longest + 1
        for index in range(1, frames):
            output = self.track([TrackStep(memory, index, features)])[0]
        if recorded is not None:
            with self._arithmetic():
                recorded.prepare(Job(memory, frames, features))
        self._encode(picture, record=True)
        self.summarise([output], [1], (side, side), Wanted())

    @property
    def summarises_on_host(self) -> bool:
        """Return whether `summarise` may run in any thread, beside the model's own."""
        return self._device.type == 'cpu' and not self._on_device

    def scaled(self, image_rgb: UInt8Array) -> UInt8Array:
        """Scale a picture unless the device does, in any thread; `encode` takes the result."""
        return image_rgb if self._on_device else resized_by_pillow(image_rgb, self.image_size)

    def encode(self, image_rgb: UInt8Array) -> EncodedFrame:
        """
        Run the image encoder once; stock SAM 2's preprocessing, bit for bit.

        :param image_rgb: (height, width, 3) uint8, any size
        """
        begun = self._ahead.take(image_rgb)
        return (self._encode(image_rgb) if begun is None else begun).wait()

    def encode_ahead(self, image_rgb: UInt8Array) -> None:
        """Begin to encode in another thread; see `PredictorProtocol.encode_ahead`."""
        self._ahead.begin(image_rgb)

    @torch.inference_mode()
    def _encode(self, image_rgb: UInt8Array, record: bool = False) -> Underway:
        replays = self._graphs.encoder
        with self._arithmetic():
            return self._encoder.run(lambda: encode_image(
                self._model, self._preprocess(image_rgb),
                replays.prepare if record else replays))

    def new_memory(self, video_hw: tuple[int, int]) -> ObjectMemory:
        """Return an empty memory for one object; see `PredictorProtocol.new_memory`."""
        return ObjectMemory.empty(video_hw, self._device, self._policy, self._constants,
                                  self._rule)

    @torch.inference_mode()
    def prompt(self, memory: Memory, frame_index: int, features: FrameFeatures,
               prompt: Prompt, clear_previous: bool) -> LowResMask:
        """
        Prompt one object on one frame; the memory is changed, so give a fork for a draft.

        Its memory map is encoded by the next `track`, as stock SAM 2's propagation does.

        :param prompt: pixels of the memory's `video_hw`; `object_id` and `label` are not read
        :param clear_previous: drop this object's prompts and its old mask on this frame first
        :raises FrameError: if what such an old frame would read was pruned
        :raises PromptError: if the frame has too many points with those of earlier prompts
        """
        own = own_memory(memory)
        own.refuse_forgotten(frame_index)
        own.take_in()
        with self._arithmetic(), self._corrected_by_policy(own, own_features(features)):
            if clear_previous:
                self._model.clear_all_prompts_in_frame(own.state, frame_index, OBJECT_ID,
                                                       need_output=False)
                own.forget_output(frame_index)
            own.hold_features(frame_index, own_features(features))
            self._apply(own, frame_index, prompt)
        output = own.output(frame_index)
        assert output is not None
        own.beliefs.point_out(frame_index)
        return output

    def _corrected_by_policy(self, memory: ObjectMemory, features: EncodedFrame
                             ) -> contextlib.AbstractContextManager[None]:
        """Let a prompt on a tracked frame read what the policy reads there."""
        batches = self._batches
        if batches is None or not self._policy.learnt:
            return contextlib.nullcontext()
        return self._model.reading_by(
            lambda frame_index: batches.condition(Job(memory, frame_index, features)))

    def _apply(self, memory: ObjectMemory, frame_index: int, prompt: Prompt) -> None:
        """Give SAM 2 a prompt; a box or a mask replaces this frame's prompts."""
        if prompt.mask_hw is not None:
            self._model.add_new_mask(memory.state, frame_index, OBJECT_ID,
                                     torch.tensor(prompt.mask_hw))
            # SAM 2 keeps the mask at its input's size on the device and never reads it.
            memory.state['mask_inputs_per_obj'][0].clear()
            return
        if prompt.box_xyxy is None:
            refuse_too_many_points(memory, frame_index, len(prompt.points_xy))
        has_points = len(prompt.points_xy) > 0
        self._model.add_new_points_or_box(
            memory.state, frame_index, OBJECT_ID,
            points=torch.tensor(prompt.points_xy) if has_points else None,
            labels=torch.tensor(prompt.point_labels) if has_points else None,
            box=None if prompt.box_xyxy is None else torch.tensor(prompt.box_xyxy),
            clear_old_points=prompt.box_xyxy is not None)

    @torch.inference_mode()
    def track(self, steps: Sequence[TrackStep]) -> list[MaskOutput]:
        """
        Track each step's object on its frame and remember the result.

        On a prompted frame that prompt's result is returned as it is.
        """
        jobs = [Job(own_memory(each.memory), each.frame_index, own_features(each.features),
                    each.shots) for each in steps]
        if len({id(job.memory) for job in jobs}) < len(jobs):
            raise ValueError('an object can be tracked on one frame at a time')
        with self._arithmetic():
            for job in jobs:
                job.memory.take_in()
                self._settle(job.memory)
            self._run([job for job in jobs if job.frame_index not in job.memory.cond])
        return [job.finished() for job in jobs]

    def _run(self, jobs: list[Job]) -> None:
        for job in jobs:
            if not job.memory.cond:
                raise PromptError(f'frame {job.frame_index}: an object that was never prompted '
                                  'cannot be tracked')
            job.memory.refuse_forgotten(job.frame_index)
        if self._batches is not None:
            self._batches.track(jobs)
            return
        for job in jobs:
            self._run_as_stock(job)

    def _run_as_stock(self, job: Job) -> None:
        memory = job.memory
        memory.hold_features(job.frame_index, job.features)
        entry, _ = self._model._run_single_frame_inference(
            inference_state=memory.state, output_dict=memory.outputs, frame_idx=job.frame_index,
            batch_size=1, is_init_cond_frame=False, point_inputs=None, mask_inputs=None,
            reverse=False, run_mem_encoder=True)
        lesson = None if self._rule is None else lesson_of(entry, self._model.newest_ious)
        memory.remember(job.frame_index, entry, lesson, job.shots)
        memory.drop_features()

    def _settle(self, memory: ObjectMemory) -> None:
        """Encode the memory of frames that were prompted since the last tracking."""
        if memory.unsettled:
            self._model.propagate_in_video_preflight(memory.state)
            memory.drop_features()
            memory.drop_prompted_anchors()

    def summarise(self, outputs: Sequence[MaskOutput], object_ids: Sequence[int],
                  video_hw: tuple[int, int], wanted: Wanted,
                  rules: MaskRules = PLAIN_MASKS) -> FrameMasks:
        """Turn results of one frame into pixels; see `PredictorProtocol.summarise`."""
        at_once = self._graphs.tracking if self._on_device else None
        with torch.inference_mode():
            return summarise_masks([own_output(output) for output in outputs], object_ids,
                                   video_hw, wanted, rules, at_once)

    @torch.inference_mode()
    def export_cond(self, memory: Memory) -> CondBank:
        """
        Return what an object's prompted frames taught, for use in other sequences.

        :raises PromptError: if the object was never prompted
        """
        own = own_memory(memory)
        with self._arithmetic():
            self._settle(own)
        return export_cond(own, self.fingerprint(), self.image_size)

    @torch.inference_mode()
    def import_cond(self, memory: Memory, bank: CondBank) -> None:
        """
        Let an object start from what it was elsewhere, as the frames before the first.

        :param memory: an empty one
        :raises ModelError: if the bank was made by other weights or another input size
        """
        if (bank.model, bank.image_size) != (self.fingerprint(), self.image_size):
            raise ModelError(
                f'the object memory was made by the model {bank.model[:12]} at {bank.image_size} '
                f'px, this is {self.fingerprint()[:12]} at {self.image_size} px')
        import_cond(own_memory(memory), bank, self._map_position())

    @torch.inference_mode()
    def taught(self, memory: Memory, video_hw: tuple[int, int]) -> ObjectMemory:
        """Return a memory of an object's prompted frames; see `PredictorProtocol.taught`."""
        own, other = own_memory(memory), self.new_memory(video_hw)
        with self._arithmetic():
            self._settle(own)
        import_cond(other, export_cond(own, '', self.image_size), self._map_position())
        other.beliefs = own.beliefs_to_go_on_with()
        return other

    @torch.inference_mode()
    def restored(self, video_hw: tuple[int, int], state: Mapping[str, Any]) -> ObjectMemory:
        """
        Return a memory to track on with.

        :param video_hw: height and width of the source images
        :param state: as `state_of` gave it, of the same model
        :raises ModelError: if it is not such a state
        """
        memory = self.new_memory(video_hw)
        restore(memory, state, self._map_position())
        return memory

    def _map_position(self) -> torch.Tensor:
        """Return the position encoding of memory maps, (1, mem_dim, h, w): the same for all."""
        model = self._model
        side = model.image_size // model.backbone_stride
        maps = torch.empty(1, model.mem_dim, side, side, dtype=self._dtype, device=self._device)
        position: torch.Tensor = model.memory_encoder.position_encoding(maps)
        return position

    def fingerprint(self) -> str:
        """Return a hash of the model's weights; the first call takes a moment."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self._model)
        return self._fingerprint

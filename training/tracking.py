# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""
Run the model over the frames of clips as tracking does, with gradients.

The picture features are computed once a clip and shared by its objects: with one object a
picture a model learns to find objects and to ignore the prompt. Nothing here reads a value back
from the device or sends one there, so that a step can be queued, or recorded, as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from sam2.modeling.sam2_base import SAM2Base
from sam2.modeling.sam2_utils import get_1d_sine_pe
import torch
from torch.nn import functional
from training.losses import frame_losses, overlaps
from training.prompts import correcting_points, no_points, Points

MASK_STRIDE = 4
MIN_VISIBLE = 0.0004    # of the frame; fewer pixels count as out of sight
FAR = 64                # frames; pointers are never this old
FROZEN_STAGES = 3       # of the trunk, up to stride 8
TAPS = (1, 2, 4, 6)     # stages whose outputs leave the trunk
# The exported model's mask logits are this much steeper. SAM 2 replaces a mask whose outline
# moves between logits of -0.05 and 0.05 by one of three candidates, and after a training this
# short the mask is the better one: measured, J .664 instead of .618.
SHARPENING = 5.0


@dataclass(frozen=True)
class Batch:
    """
    Clips with K objects each; N = clips x K, the objects of a clip side by side.

    :ivar images: (T * clips, 3, S, S), frame by frame, normalised as for ImageNet
    :ivar masks: (T, N, S, S) bool
    :ivar weights: (N,) 0 where there was no object to fill the row
    """

    images: torch.Tensor
    masks: torch.Tensor
    weights: torch.Tensor
    clips: int


@dataclass(frozen=True)
class Practice:
    """
    How a batch is prompted; each distinct one can be recorded once and run again.

    :ivar kind: prompt on the first frame
    :ivar numbers: how many frames each frame is from the first
    :ivar correct_on: index of the frame on which mistakes get a click, or None
    """

    kind: str
    numbers: tuple[int, ...]
    correct_on: int | None = None


@dataclass(frozen=True)
class Draws:
    """
    What is left to chance, by object, (N,) bool but for the last.

    :ivar true_memory: remember the true masks, not the predicted ones
    :ivar true_presence: remember whether the object is really seen
    :ivar candidates: choose among three masks on the frames after the first, as in use
    :ivar places: (N, S, S) 0 to 1, where corrections are clicked
    """

    true_memory: torch.Tensor
    true_presence: torch.Tensor
    candidates: torch.Tensor
    places: torch.Tensor


@dataclass(frozen=True)
class Outcome:
    """
    Loss of a batch, and its figures over objects that are in sight, by frame.

    :ivar ious: (T,) of the mask that tracking would take; 1 on a frame whose mask was given
    :ivar misjudged: (T,) how far its estimated IoU is off, mean of the absolute values
    :ivar states_right: share of objects rightly called visible or occluded
    """

    loss: torch.Tensor
    ious: torch.Tensor
    misjudged: torch.Tensor
    states_right: torch.Tensor

    def detached(self) -> Outcome:
        """Give the figures without the graph that leads to them."""
        return Outcome(*(figure.detach() for figure in self._all()))

    def copied(self) -> Outcome:
        """Give the figures in memory of their own."""
        return Outcome(*(figure.clone() for figure in self._all()))

    def _all(self) -> tuple[torch.Tensor, ...]:
        return self.loss, self.ious, self.misjudged, self.states_right


@dataclass(frozen=True)
class Features:
    """Picture features at strides 4, 8 and 16: a row a frame of a clip, or a row an object."""

    fine: torch.Tensor
    middle: torch.Tensor
    top: torch.Tensor

    def of_frame(self, frame: int, clips: int, objects: int) -> Features:
        """Take one frame's rows, each as often as its clip has objects."""
        rows = slice(frame * clips, (frame + 1) * clips)
        return Features(*(level[rows].repeat_interleave(objects, 0)
                          for level in (self.fine, self.middle, self.top)))


@dataclass(frozen=True)
class Decoded:
    """Four masks (N, 4, h, w), IoU estimates (N, 4), tokens (N, 4, C), score logits (N, 1)."""

    logits: torch.Tensor
    ious: torch.Tensor
    tokens: torch.Tensor
    scores: torch.Tensor


@dataclass(frozen=True)
class Remembered:
    """A frame in memory: (N, C, h, w) features, their positions, (N, D) object pointers."""

    features: torch.Tensor
    positions: torch.Tensor
    pointer: torch.Tensor
    prompted: bool


def picture_features(model: SAM2Base, images: torch.Tensor, train_trunk: bool) -> Features:
    """
    Compute the trunk's and neck's levels for the decoder.

    :param images: (B, 3, S, S)
    :param train_trunk: let gradients into the trunk above stride 8
    """
    maps = []
    trunk = model.image_encoder.trunk
    with torch.no_grad():
        x = functional.relu6(trunk.stem(images.contiguous(memory_format=torch.channels_last)))
        for stage in range(FROZEN_STAGES):
            x = trunk.stages[stage](x)
            if stage in TAPS:
                maps.append(x)
    with torch.set_grad_enabled(train_trunk and torch.is_grad_enabled()):
        for stage in range(FROZEN_STAGES, len(trunk.stages)):
            x = trunk.stages[stage](x)
            if stage in TAPS:
                maps.append(x)
    neck, decoder = model.image_encoder.neck, model.sam_mask_decoder
    top = neck.convs[1](maps[2]) + functional.interpolate(
        neck.convs[0](maps[3]).float(), scale_factor=2.0, mode='nearest')
    return Features(_both(neck.convs[3].conv, decoder.conv_s0, maps[0]),
                    _both(neck.convs[2].conv, decoder.conv_s1, maps[1]), top)


def _both(first: torch.nn.Conv2d, second: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Apply two 1x1 convolutions as one: the first is wide, and nothing lies between."""
    assert first.bias is not None and second.bias is not None
    outer = second.weight[:, :, 0, 0]
    weight = outer @ first.weight[:, :, 0, 0]
    bias = outer @ first.bias + second.bias
    return functional.conv2d(x, weight[:, :, None, None], bias)


def track(model: SAM2Base, features: Features, batch: Batch, points: Points | None,
          practice: Practice, draws: Draws) -> Outcome:
    """
    Prompt on the first frame, track through the others and add up what it cost.

    :param points: what :func:`training.prompts.prompt` gave for the first frame's masks
    """
    return _Run(model, features, batch, points, practice, draws).over_all_frames()


class _Run:
    """One batch on its way through its frames."""

    def __init__(self, model: SAM2Base, features: Features, batch: Batch,
                 points: Points | None, practice: Practice, draws: Draws) -> None:
        self.model, self.practice, self.draws = model, practice, draws
        self.features, self.batch, self.points = features, batch, points
        self.masks = batch.masks
        self.truth = functional.avg_pool2d(batch.masks.float(), MASK_STRIDE)
        self.visible = (self.truth.mean((-2, -1)) > MIN_VISIBLE).float()
        self.rows = torch.arange(len(batch.weights), device=batch.weights.device)
        side = features.top.shape[-1]
        self.places = model.image_encoder.neck.position_encoding(
            features.top.new_empty(1, 1, side, side)).flatten(2).permute(2, 0, 1)
        ages = torch.arange(FAR, device=batch.weights.device)
        self.ages = get_1d_sine_pe(ages / (model.max_obj_ptrs_in_encoder - 1),
                                   dim=model.hidden_dim)
        self.memory: dict[int, Remembered] = {}

    def over_all_frames(self) -> Outcome:
        """Predict and remember frame after frame."""
        frames = len(self.masks)
        losses, ious, misjudged, states = [], [], [], []
        for frame in range(frames):
            features = self.features.of_frame(frame, self.batch.clips,
                                              len(self.rows) // self.batch.clips)
            decoded, loss = self._predict(frame, features)
            corrected = decoded is not None and frame > 0 and frame == self.practice.correct_on
            if decoded is not None and corrected:
                decoded, more = self._correct(frame, features, decoded)
                loss = (loss + more) / 2
            if frame < frames - 1:
                self._remember(frame, features, decoded, frame == 0 or corrected)
            losses.append(self._mean(loss, self.batch.weights))
            for figures, value in zip((ious, misjudged, states), self._judge(frame, decoded),
                                      strict=True):
                figures.append(value)
        return Outcome(torch.stack(losses).sum() / frames, torch.stack(ious),
                       torch.stack(misjudged), torch.stack(states).mean())

    @staticmethod
    def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return (values * weights).sum() / weights.sum().clamp(min=1)

    @torch.no_grad()
    def _judge(self, frame: int, decoded: Decoded | None) -> tuple[torch.Tensor, ...]:
        """Give mean IoU, mean error of its estimate and the share of right states."""
        if decoded is None:
            one = self.batch.weights.new_ones(())
            return one, torch.zeros_like(one), one
        choice = self._choice(decoded, frame)
        iou = overlaps(decoded.logits[self.rows, choice], self.truth[frame])
        seen = self.batch.weights * self.visible[frame]
        error = (decoded.ious[self.rows, choice] - iou).abs()
        right = ((decoded.scores[:, 0] > 0) == (self.visible[frame] > 0)).float()
        return (self._mean(iou, seen), self._mean(error, seen),
                self._mean(right, self.batch.weights))

    def _predict(self, frame: int, features: Features) -> tuple[Decoded | None, torch.Tensor]:
        if frame == 0:
            if self.points is None:
                return None, torch.zeros_like(self.batch.weights)
            embedding = features.top + self.model.no_mem_embed[0, :, :, None].transpose(0, 1)
            decoded = self._decode(embedding, features, self.points)
        else:
            decoded = self._decode(self._recall(frame, features), features, None)
        return decoded, self._losses(frame, decoded)

    def _losses(self, frame: int, decoded: Decoded) -> torch.Tensor:
        return frame_losses(decoded.logits, decoded.ious, decoded.scores, self.truth[frame],
                            self.visible[frame])

    def _correct(self, frame: int, features: Features,
                 decoded: Decoded) -> tuple[Decoded, torch.Tensor]:
        """Click on mistakes and predict again from the click and the mask so far."""
        before = decoded.logits[self.rows, self._choice(decoded, frame)].detach()
        points = correcting_points(_enlarge(before) > 0, self.masks[frame], self.draws.places)
        again = self._decode(self._recall(frame, features), features, points,
                             (before * SHARPENING).clamp(-32, 32)[:, None])
        return again, self._losses(frame, again)

    def _recall(self, frame: int, features: Features) -> torch.Tensor:
        """Let a frame's features attend to memory, read as in use."""
        model, number = self.model, self.practice.numbers[frame]
        read = remembered_frames(self.memory, number, model.num_maskmem,
                                 model.memory_temporal_stride_for_eval)
        memory = [each.features.flatten(2).permute(2, 0, 1) for _, each in read]
        positions = [each.positions.flatten(2).permute(2, 0, 1) + model.maskmem_tpos_enc[code]
                     for code, each in read]
        age = [number - each for each, kept in self.memory.items() if kept.prompted]
        age += [number - each for each, kept in self.memory.items() if not kept.prompted
                and number - each < model.max_obj_ptrs_in_encoder]
        pointers = torch.stack([self.memory[number - each].pointer for each in age])
        codes = model.obj_ptr_tpos_proj(torch.stack([self.ages[each] for each in age]))
        parts = model.hidden_dim // model.mem_dim
        rows = len(features.top)
        pointers = pointers.unflatten(2, (parts, model.mem_dim)).transpose(1, 2).flatten(0, 1)
        codes = codes[:, None].expand(-1, rows, -1).repeat_interleave(parts, 0)
        read_out = model.memory_attention(
            curr=[features.top.flatten(2).permute(2, 0, 1)],
            curr_pos=[self.places.expand(-1, rows, -1)],
            memory=torch.cat([*memory, pointers]), memory_pos=torch.cat([*positions, codes]),
            num_obj_ptr_tokens=len(pointers))
        return read_out.permute(1, 2, 0).unflatten(2, features.top.shape[-2:])

    def _decode(self, embedding: torch.Tensor, features: Features, points: Points | None,
                masks: torch.Tensor | None = None) -> Decoded:
        points = points or no_points(len(embedding), embedding.device)
        encoder = self.model.sam_prompt_encoder
        sparse, dense = encoder(points=(points.coords, points.labels), boxes=None, masks=masks)
        logits, ious, tokens, scores = self.model.sam_mask_decoder.predict_masks(
            image_embeddings=embedding, image_pe=encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, repeat_image=False,
            high_res_features=[features.fine, features.middle])
        return Decoded(logits.float(), ious.float(), tokens, scores.float())

    def _choice(self, decoded: Decoded, frame: int) -> torch.Tensor:
        """Index of the mask that is taken: the best of three after one click, or if drawn."""
        best = decoded.ious[:, 1:].argmax(1) + 1
        if frame == 0:
            return best if self.practice.kind == 'click' else torch.zeros_like(best)
        return best * self.draws.candidates

    def _remember(self, frame: int, features: Features, decoded: Decoded | None,
                  prompted: bool) -> None:
        """Encode what is now believed about a frame into memory."""
        model, exact = self.model, self.masks[frame].float()[:, None] * 20 - 10
        if decoded is None:
            low = model.mask_downsample(self.masks[frame].float()[:, None])
            token = self._decode(features.top, features, None, low).tokens[:, 0]
            seen, believed = torch.ones_like(exact[:, :, 0, 0]), exact
        else:
            choice = self._choice(decoded, frame)
            token = decoded.tokens[self.rows, choice]
            # what is drawn into memory does not teach the frame that drew it: half the cost
            large = _enlarge(decoded.logits[self.rows, choice].detach())[:, None] * SHARPENING
            seen = torch.where(self.draws.true_presence, self.visible[frame],
                               (decoded.scores[:, 0] > 0).float())[:, None]
            large = large.masked_fill(seen[:, :, None, None] == 0, -1024.0)
            believed = (large > 0).float() * 20 - 10 if prompted else large
            believed = torch.where(self.draws.true_memory[:, None, None, None], exact, believed)
        pointer = model.obj_ptr_proj(token)
        pointer = seen * pointer + (1 - seen) * model.no_obj_ptr
        encoded, positions = model._encode_new_memory(
            [features.top.flatten(2).permute(2, 0, 1)], [features.top.shape[-2:]], believed,
            seen * 2 - 1, is_mask_from_pts=False)
        self.memory[self.practice.numbers[frame]] = Remembered(encoded, positions[-1], pointer,
                                                               prompted)


def _enlarge(logits: torch.Tensor) -> torch.Tensor:
    """Bring (N, h, w) mask logits to the size of the input."""
    return functional.interpolate(logits[:, None], scale_factor=float(MASK_STRIDE),
                                  mode='bilinear')[:, 0]


def remembered_frames(memory: dict[int, Remembered], number: int, most: int,
                      stride: int) -> list[tuple[int, Remembered]]:
    """
    List what a frame attends to: prompted frames, the newest one and some older ones.

    :param number: of the frame that attends
    :param most: as SAM 2's ``num_maskmem``, the prompted frames counted as one
    :param stride: older frames are read at its multiples
    :returns: pairs of a time code's index and a frame
    """
    read = [(most - 1, frame) for frame in memory.values() if frame.prompted]
    newest_multiple = (number - 2) // stride * stride
    for back in range(most - 1, 0, -1):
        wanted = number - 1 if back == 1 else newest_multiple - (back - 2) * stride
        frame = memory.get(wanted)
        if frame is not None and not frame.prompted:
            read.append((back - 1, frame))
    return read

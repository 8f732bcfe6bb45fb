# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""
Every setting, once: the node's parameters, launch arguments, `process` options, YAML, README.

A field is a parameter. Those who use it get its group as a plain frozen dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
import enum
from pathlib import Path
from types import MappingProxyType

from sam2_tracker.core.settings import group, Option, ParameterSpec, setting, specs_of, When
from sam2_tracker.core.types import MAX_OBJECT_ID

# What there is to choose from; `models.zoo` has what stands behind each name.
MODEL_NAMES = (
    'nano',
    *(f'{generation}_hiera_{size}' for generation in ('sam2.1', 'sam2')
      for size in ('tiny', 'small', 'base_plus', 'large')),
    *(f'efficienttam_{size}{variant}' for size in ('ti', 's')
      for variant in ('', '_512x512', '_1', '_2')),
)


# The coarsest feature map has this stride, and Hiera's windows and the mask encoder need as much.
IMAGE_SIZE_STEP = 32
# A picture of that many takes 150 MB, and half a second to decode.
MAX_PIXELS = 50_000_000


class FramePolicy(enum.Enum):
    """What to do when frames come faster than they can be tracked."""

    LATEST = 'latest'
    EVERY = 'every'


@dataclass(frozen=True)
class ModelConfig:
    """Which model, and how it runs."""

    name: str = setting(
        'nano',
        'Which SAM 2; nano is bundled, for demos and tests, the others are for work.',
        name='model',
        choices=MODEL_NAMES,
        launch=True,
        option=Option('its name (%(default)s)', 'MODEL', checked=False),
    )
    checkpoint: Path | None = setting(
        None,
        "Path of the weights; empty for the model's own in the cache (see fetch_checkpoint).",
        launch=True,
        option=Option('its weights', 'FILE'),
    )
    device: str = setting(
        'auto',
        'Where the model runs; auto takes CUDA where there is one.',
        pattern=r'auto|cpu|cuda(:\d{1,2})?',
        pattern_help='auto, cpu, cuda or cuda:N',
        launch=True,
        option=Option('auto, cpu, cuda or cuda:N', checked=False),
    )
    precision: str = setting(
        'auto',
        'Arithmetic of the model; auto is bfloat16 on CUDA devices that have it, else float32.',
        choices=('auto', 'bfloat16', 'float32'),
        option=Option(),
    )
    image_size: int = setting(
        0,
        "Side in pixels of what the model sees; 0 for the model's own.",
        between=(0, 4096),
        step=IMAGE_SIZE_STEP,
        option=Option("side of the model's input, 0 for its own (%(default)s)", 'PX'),
    )
    batching: str = setting(
        'auto',
        'Several objects in one pass: faster with nano, exact but for rounding; auto: on CUDA.',
        choices=('auto', 'always', 'never'),
        option=Option('whether objects share a pass; auto: on CUDA'),
    )
    cuda_graphs: bool = setting(
        True,
        'Record what the GPU does and replay it: the same masks, faster; no effect on a CPU.',
        option=Option(),
    )


@dataclass(frozen=True)
class InputConfig:
    """How images come in."""

    transport: str = setting(
        'raw',
        'raw subscribes to sensor_msgs/Image, compressed to CompressedImage on image/compressed, '
        'or on image where that is published there.',
        name='image_transport',
        choices=('raw', 'compressed'),
        launch=True,
    )
    reliability: str = setting(
        'auto',
        'Reliability asked of the camera; auto is reliable if every publisher found is.',
        name='image_reliability',
        choices=('auto', 'reliable', 'best_effort'),
    )
    max_value: int = setting(
        65535,
        'Value of a 16-bit grey pixel (mono16, PNG) that is white; larger ones are clipped.',
        when=When.LIVE,
        name='image_max_value',
        between=(1, 65535),
        option=Option('value of a 16-bit grey pixel that is white (%(default)s)', 'N'),
    )
    max_pixels: int = setting(
        MAX_PIXELS,
        'Pixels of the largest image that is taken; larger ones are refused undecoded.',
        name='image_max_pixels',
        between=(1, 178956970),
        option=Option('of the largest JPEG or PNG (%(default)s)', 'N', '--max-pixels'),
    )
    frame_policy: FramePolicy = setting(
        FramePolicy.LATEST,
        'latest skips frames that cannot be kept up with (live), every loses none (bags).',
        launch=True,
    )


@dataclass(frozen=True)
class BufferConfig:
    """The frame buffer."""

    directory: Path | None = setting(
        None, "Parent of the sessions' folders of JPEGs; empty for a private temporary one."
    )
    max_frames: int = setting(
        300,
        'Processed frames kept: how far back a new object may be prompted.',
        between=(2, 1000000),
    )
    max_bytes: int = setting(
        2 * 1024**3,
        'Bytes of JPEG kept, processed and waiting together.',
        between=(1024**2, 1024**4),
    )
    jpeg_quality: int = setting(95, 'JPEG quality of frames that arrive raw.', between=(1, 100))
    max_side: int = setting(
        0,
        'Longest side of a stored frame in pixels, larger ones are scaled down; 0 for no limit.',
        between=(0, 65535),
    )
    keep: bool = setting(False, 'Leave the frames on disk at exit and evict nothing.')


@dataclass(frozen=True)
class TrackingConfig:
    """The tracker."""

    max_objects: int = setting(
        32,
        'Objects tracked at once; more are refused.',
        when=When.LIVE,
        between=(1, 1000),
        option=Option(metavar='N'),
    )
    max_cond_frames: int = setting(
        4,
        'Prompted frames that memory attention reads per object.',
        between=(2, 64),
        option=Option('prompted frames that are remembered (%(default)s)', 'N'),
    )
    memory: str = setting(
        'stock',
        'What is read of past frames; selective is for absences, distractor for look-alikes too.',
        choices=('stock', 'selective', 'distractor'),
        option=Option('which past frames are read (%(default)s)'),
    )
    cuts: bool = setting(
        False,
        'Find cuts; objects are occluded until they are surely seen, or their shot comes again.',
        option=Option('find cuts: objects are hidden until surely seen again'),
    )
    doubt: bool = setting(
        False,
        'Call objects occluded whose mask floods the picture, or jumps, as their score falls.',
        option=Option('doubt masks that flood or jump'),
    )
    look_back_frames: int = setting(
        0,
        'Processed frames that a refinement may go back; 0 for 2 s of them, 4 to 120.',
        when=When.LIVE,
        between=(0, 10000),
    )
    lost_after_s: float = setting(
        3.0,
        'Seconds of image stamps that an object is occluded for before it counts as lost.',
        when=When.LIVE,
        between=(0.0, 86400.0),
        option=Option('hidden for longer means lost (%(default)s s)', 'S', '--lost-after'),
    )
    mask_threshold: float = setting(
        0.0,
        'Logit above which a pixel belongs to an object.',
        when=When.LIVE,
        between=(-32.0, 32.0),
        option=Option('pixels above it are in the mask (%(default)s)', 'LOGIT'),
    )
    fill_hole_area: int = setting(
        0,
        'Holes of up to so many source pixels are filled in the published masks.',
        when=When.LIVE,
        between=(0, 1000000),
        option=Option('fill holes of up to so many pixels (%(default)s)', 'PX'),
    )
    min_island_area: int = setting(
        0,
        "Parts of fewer source pixels are dropped from published masks, but an object's largest.",
        when=When.LIVE,
        between=(0, 1000000),
        option=Option('drop parts of fewer pixels, but the largest (%(default)s)', 'PX'),
    )


@dataclass(frozen=True)
class PromptConfig:
    """How prompts come in, and find their frame."""

    stamp_tolerance_s: float = setting(
        0.1,
        "Seconds that the nearest buffered frame may be from a prompt's stamp.",
        between=(0.0, 60.0),
    )
    timeout_s: float = setting(
        10.0,
        'Seconds after which a request that has not taken effect is withdrawn and answered.',
        between=(0.1, 3600.0),
    )
    clicked_point: bool = setting(
        False, 'Take ~/clicked_point: one positive point is one new object.'
    )
    mouse: bool = setting(
        False, "Take rqt_image_view's clicks on ~/annotated and on the camera's topic."
    )
    mouse_object: int = setting(
        0,
        'Object that such a click corrects; with 0 each click is a new object.',
        between=(0, MAX_OBJECT_ID),
        when=When.LIVE,
    )
    prompts_file: Path | None = setting(
        None,
        'YAML file of prompts that apply by themselves; empty for none.',
        name='prompts_file',
        launch=True,
    )


_WORD = r'\s*[^,=\s][^,=]*'
_CLASS = f'{_WORD}(={_WORD})?'


@dataclass(frozen=True)
class DetectionsConfig:
    """Which boxes of a detector become objects, and when these go."""

    use: bool = setting(
        False, 'Take ~/detections_in: what a detector finds becomes objects of its own.'
    )
    min_score: float = setting(
        0.5,
        "Boxes of a lower score are not looked at; by the detector's own scale.",
        when=When.LIVE,
        between=(0.0, 1.0),
        option=Option('boxes below are not looked at (%(default)s)', 'SCORE'),
    )
    classes: str = setting(
        '',
        'Wanted classes with commas between, all if empty; 0=person gives class 0 a label.',
        when=When.LIVE,
        pattern=fr'({_CLASS}(,{_CLASS})*)?',
        pattern_help='class or class=label, with commas between,',
        option=Option('wanted ones, as 0=person,16=dog (all)', 'NAMES'),
    )
    confirm_frames: int = setting(
        3,
        'Frames that must show a thing before it becomes an object.',
        when=When.LIVE,
        between=(1, 100),
        option=Option('that must show a thing (%(default)s)', 'N'),
    )
    match_iou: float = setting(
        0.5,
        "Overlap with the box of an object's mask from which on a box is that object's.",
        when=When.LIVE,
        between=(0.05, 1.0),
        option=Option("overlap from which on a box is an object's (%(default)s)", 'IOU'),
    )
    period_s: float = setting(
        0.0,
        'Least seconds, by stamps, between two pictures whose boxes are looked at; 0 for all.',
        when=When.LIVE,
        between=(0.0, 3600.0),
        option=Option('between boxes that are looked at (%(default)s)', 'S', '--period'),
    )
    remove_lost: float = setting(
        10.0,
        "Seconds of image stamps that a detector's object may be LOST before it goes.",
        when=When.LIVE,
        between=(0.0, 86400.0),
        option=Option('LOST for longer means gone (%(default)s)', 'S'),
    )


@dataclass(frozen=True)
class MemoryConfig:
    """The files of objects' memories."""

    directory: Path | None = setting(
        None,
        'Folder of the files of save_memory and load_memory; empty for sam2_tracker/memories in '
        '$XDG_DATA_HOME or ~/.local/share.',
    )


@dataclass(frozen=True)
class AnnotateConfig:
    """
    What is drawn over a picture.

    Labels come with a list of the objects that are not visible; a trace is the way of the centre
    of a box over the last frames.
    """

    mask: bool = setting(True, 'Draw the masks on ~/annotated.', when=When.LIVE)
    box: bool = setting(True, 'Draw the boxes on ~/annotated.', when=When.LIVE)
    label: bool = setting(True, 'Draw ids, labels and scores on ~/annotated.', when=When.LIVE)
    trace: bool = setting(False, "Draw the objects' past ways on ~/annotated.", when=When.LIVE)
    opacity: float = setting(
        0.5, 'Opacity of the masks drawn.', when=When.LIVE, between=(0.0, 1.0)
    )


@dataclass(frozen=True)
class CoreConfig:
    """Everything that the core needs to run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    buffer: BufferConfig = field(default_factory=BufferConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    prompt: PromptConfig = field(default_factory=PromptConfig)
    detections: DetectionsConfig = field(default_factory=DetectionsConfig)
    frame_policy: FramePolicy = InputConfig.frame_policy
    max_pixels: int = InputConfig.max_pixels


@dataclass(frozen=True)
class NodeConfig:
    """Everything that the node can be told, in the order of config/tracker.yaml."""

    model: ModelConfig = group(ModelConfig, prefix='')
    input: InputConfig = group(InputConfig, prefix='')  # noqa: A003
    buffer: BufferConfig = group(BufferConfig)
    tracking: TrackingConfig = group(TrackingConfig)
    prompt: PromptConfig = group(PromptConfig)
    detections: DetectionsConfig = group(DetectionsConfig)
    memory: MemoryConfig = group(MemoryConfig)
    annotate: AnnotateConfig = group(AnnotateConfig)
    autostart: bool = setting(
        True,
        'Configure and activate without a lifecycle manager.',
        when=When.FIXED,
        launch=True,
    )

    @property
    def core(self) -> CoreConfig:
        """The part that the core needs."""
        return CoreConfig(
            self.model, self.buffer, self.tracking, self.prompt, self.detections,
            self.input.frame_policy, self.input.max_pixels,
        )


#: Every parameter of the node by its name.
PARAMETERS: Mapping[str, ParameterSpec] = MappingProxyType(
    {spec.name: spec for spec in specs_of(NodeConfig)}
)

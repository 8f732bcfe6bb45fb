# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Every parameter of the node in one table: declaration, checks, YAML and README follow it."""

from __future__ import annotations

from dataclasses import dataclass
import enum
import math
import re

from sam2_tracker.core.config import BufferConfig, ModelConfig, PromptConfig, TrackingConfig
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.models.zoo import MODELS

Value = bool | int | float | str


class When(enum.Enum):
    """When a parameter may be set."""

    FIXED = 'fixed'
    AT_CONFIGURE = 'at configure'
    LIVE = 'live'


@dataclass(frozen=True)
class ParameterSpec:
    """
    One row of the table; the type is that of the default.

    :param minimum: smallest number allowed, None for text and switches
    :param maximum: largest number allowed
    :param choices: every text allowed, empty for any
    :param pattern: regular expression that the whole text must match, empty for any
    :param pattern_help: the pattern in words
    """

    name: str
    default: Value
    when: When
    description: str
    minimum: int | float | None = None
    maximum: int | float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ''
    pattern_help: str = ''

    @property
    def type_name(self) -> str:
        """Name the ROS type: bool, integer, double or string."""
        names = {bool: 'bool', int: 'integer', float: 'double', str: 'string'}
        return names[type(self.default)]

    @property
    def accepted(self) -> str:
        """Say which values are accepted, as the end of a sentence."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        if self.pattern_help:
            return self.pattern_help
        if self.minimum is not None:
            article = 'an' if self.type_name == 'integer' else 'a'
            return f'{article} {self.type_name} from {self.minimum} to {self.maximum}'
        return 'true or false' if self.type_name == 'bool' else f'a {self.type_name}'

    def check(self, value: object) -> Value:
        """
        Return the value in the parameter's own type; an integer is taken for a double.

        :raises ConfigError: a sentence with the value and what is accepted
        """
        if type(self.default) is float and type(value) is int:
            value = float(value)
        if type(value) is not type(self.default) or not self._allows(value):
            shown = repr(value) if isinstance(value, str) else str(value)
            raise ConfigError(f"parameter '{self.name}' is {shown}: {self.accepted} is expected")
        return value

    def _allows(self, value: Value) -> bool:
        if isinstance(value, str):
            if self.choices:
                return value in self.choices
            return not self.pattern or re.fullmatch(self.pattern, value) is not None
        if self.minimum is None or self.maximum is None:
            return True
        return math.isfinite(value) and self.minimum <= value <= self.maximum


_MODEL = ModelConfig()
_BUFFER = BufferConfig()
_TRACKING = TrackingConfig()
_PROMPT = PromptConfig()
_CONFIGURE = When.AT_CONFIGURE
_LIVE = When.LIVE

_MODEL_ROWS = (
    ParameterSpec(
        'model', _MODEL.name, _CONFIGURE,
        'Which SAM 2; nano is bundled, for demos and tests, the others are for work.',
        choices=tuple(MODELS)),
    ParameterSpec(
        'checkpoint', '', _CONFIGURE,
        "Path of the weights; empty for the model's own in the cache (see fetch_checkpoint)."),
    ParameterSpec(
        'device', _MODEL.device, _CONFIGURE,
        'Where the model runs; auto takes CUDA where there is one.',
        pattern=r'auto|cpu|cuda(:\d{1,2})?',
        pattern_help='auto, cpu, cuda or cuda:N'),
    ParameterSpec(
        'precision', _MODEL.precision, _CONFIGURE,
        'Arithmetic of the model; auto is bfloat16 on CUDA devices that have it, else float32.',
        choices=('auto', 'bfloat16', 'float32')),
    ParameterSpec(
        'compile', _MODEL.compile, _CONFIGURE,
        'What torch.compile compiles on configure: slower to start, faster frames.',
        choices=('none', 'encoder', 'full')),
    ParameterSpec(
        'image_size', _MODEL.image_size, _CONFIGURE,
        "Side in pixels of what the model sees, a multiple of 32; 0 for the model's own.",
        0, 4096),
    ParameterSpec(
        'batching', _MODEL.batching, _CONFIGURE,
        'Several objects in one pass: faster with nano, exact but for rounding; auto: on CUDA.',
        choices=('auto', 'always', 'never')),
)

_INPUT_ROWS = (
    ParameterSpec(
        'image_transport', 'raw', _CONFIGURE,
        'raw subscribes to sensor_msgs/Image, compressed to CompressedImage on image/compressed.',
        choices=('raw', 'compressed')),
    ParameterSpec(
        'image_reliability', 'auto', _CONFIGURE,
        'Reliability asked of the camera; auto is reliable if every publisher found is.',
        choices=('auto', 'reliable', 'best_effort')),
    ParameterSpec(
        'image_max_value', 65535, _LIVE,
        'Value of a mono16 pixel that is white; larger ones are clipped.', 1, 65535),
    ParameterSpec(
        'frame_policy', 'latest', _CONFIGURE,
        'latest skips frames that cannot be kept up with (live), every loses none (bags).',
        choices=('latest', 'every')),
)

_BUFFER_ROWS = (
    ParameterSpec(
        'buffer.directory', '', _CONFIGURE,
        "Parent of the sessions' folders of JPEGs; empty for a private temporary one."),
    ParameterSpec(
        'buffer.max_frames', _BUFFER.max_frames, _CONFIGURE,
        'Processed frames kept: how far back a new object may be prompted.', 2, 1000000),
    ParameterSpec(
        'buffer.max_bytes', _BUFFER.max_bytes, _CONFIGURE,
        'Bytes of JPEG kept, processed and waiting together.', 1048576, 1099511627776),
    ParameterSpec(
        'buffer.jpeg_quality', _BUFFER.jpeg_quality, _CONFIGURE,
        'JPEG quality of frames that arrive raw.', 1, 100),
    ParameterSpec(
        'buffer.max_side', _BUFFER.max_side, _CONFIGURE,
        'Longest side of a stored frame in pixels, larger ones are scaled down; 0 for no limit.',
        0, 65535),
    ParameterSpec(
        'buffer.keep', _BUFFER.keep, _CONFIGURE,
        'Leave the frames on disk at exit and evict nothing.'),
)

_TRACKING_ROWS = (
    ParameterSpec(
        'tracking.max_objects', _TRACKING.max_objects, _LIVE,
        'Objects tracked at once; more are refused.', 1, 1000),
    ParameterSpec(
        'tracking.max_cond_frames', _TRACKING.max_cond_frames, _CONFIGURE,
        'Prompted frames that memory attention reads per object.', 2, 64),
    ParameterSpec(
        'tracking.look_back_frames', _TRACKING.look_back_frames, _LIVE,
        'Processed frames that a refinement may go back; 0 for 2 s of them, 4 to 120.',
        0, 10000),
    ParameterSpec(
        'tracking.lost_after_s', _TRACKING.lost_after_s, _LIVE,
        'Seconds of image stamps that an object is occluded for before it counts as lost.',
        0.0, 86400.0),
    ParameterSpec(
        'tracking.mask_threshold', _TRACKING.mask_threshold, _LIVE,
        'Logit above which a pixel belongs to an object.', -32.0, 32.0),
    ParameterSpec(
        'tracking.fill_hole_area', _TRACKING.fill_hole_area, _LIVE,
        'Holes of up to so many source pixels are filled in the published masks.', 0, 1000000),
)

_PROMPT_ROWS = (
    ParameterSpec(
        'prompt.stamp_tolerance_s', _PROMPT.stamp_tolerance_s, _CONFIGURE,
        "Seconds that the nearest buffered frame may be from a prompt's stamp.", 0.0, 60.0),
    ParameterSpec(
        'prompt.timeout_s', _PROMPT.timeout_s, _CONFIGURE,
        'Seconds after which a request that has not taken effect is withdrawn and answered.',
        0.1, 3600.0),
    ParameterSpec(
        'prompt.clicked_point', False, _CONFIGURE,
        'Take ~/clicked_point: one positive point is one new object.'),
    ParameterSpec(
        'prompts_file', '', _CONFIGURE,
        'YAML file of prompts that apply by themselves; empty for none.'),
    ParameterSpec(
        'memory.directory', '', _CONFIGURE,
        'Folder of the files of save_memory and load_memory; empty for sam2_tracker/memories in '
        '$XDG_DATA_HOME or ~/.local/share.'),
)

_OUTPUT_ROWS = (
    ParameterSpec('annotate.mask', True, _LIVE, 'Draw the masks on ~/annotated.'),
    ParameterSpec('annotate.box', True, _LIVE, 'Draw the boxes on ~/annotated.'),
    ParameterSpec('annotate.label', True, _LIVE, 'Draw ids, labels and scores on ~/annotated.'),
    ParameterSpec('annotate.trace', False, _LIVE, "Draw the objects' past ways on ~/annotated."),
    ParameterSpec('annotate.opacity', 0.5, _LIVE, 'Opacity of the masks drawn.', 0.0, 1.0),
    ParameterSpec(
        'autostart', True, When.FIXED,
        'Configure and activate without a lifecycle manager.'),
)

PARAMETERS: dict[str, ParameterSpec] = {
    row.name: row for row in (*_MODEL_ROWS, *_INPUT_ROWS, *_BUFFER_ROWS, *_TRACKING_ROWS,
                              *_PROMPT_ROWS, *_OUTPUT_ROWS)}

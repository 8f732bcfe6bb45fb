# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""Declare, check and convert the node's parameters, all after the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from sam2_tracker.core.config import (
    BufferConfig,
    CoreConfig,
    FramePolicy,
    ModelConfig,
    PromptConfig,
    TrackingConfig,
)
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.settings import PARAMETERS, ParameterSpec, Value, When


@dataclass(frozen=True)
class InputConfig:
    """How images and clicks come in."""

    transport: str = 'raw'
    reliability: str = 'auto'
    frame_policy: FramePolicy = FramePolicy.LATEST
    clicked_point: bool = False
    prompts_file: Path | None = None


@dataclass(frozen=True)
class AnnotateConfig:
    """What is drawn on the annotated stream."""

    mask: bool = True
    box: bool = True
    label: bool = True
    trace: bool = False
    opacity: float = 0.5


def descriptor_of(spec: ParameterSpec) -> ParameterDescriptor:
    """
    Describe a parameter to ROS tools.

    Doubles are declared with dynamic typing: rclpy would refuse an integer before any check.
    """
    descriptor = ParameterDescriptor(
        name=spec.name,
        description=f'{spec.description} Settable: {spec.when.value}.',
        additional_constraints=spec.accepted,
        read_only=spec.when is When.FIXED,
        dynamic_typing=spec.type_name == 'double')
    if spec.minimum is not None and spec.maximum is not None:
        if spec.type_name == 'double':
            descriptor.floating_point_range = [FloatingPointRange(
                from_value=float(spec.minimum), to_value=float(spec.maximum))]
        else:
            descriptor.integer_range = [IntegerRange(
                from_value=int(spec.minimum), to_value=int(spec.maximum))]
    return descriptor


def declare_checked(node: Node, spec: ParameterSpec) -> None:
    """
    Declare one parameter with its override, if there is one, in the table's type.

    It is declared without a type first, to see the override as it was given.

    :raises ConfigError: the override is not accepted
    """
    untyped = ParameterDescriptor(dynamic_typing=True)
    given = node.declare_parameter(spec.name, spec.default, untyped).value
    value = spec.check(given)
    node.undeclare_parameter(spec.name)
    node.declare_parameter(spec.name, value, descriptor_of(spec), ignore_override=True)


class NodeParameters:
    """
    The node's parameters: declared at once, checked on every change.

    :param node: where they are declared
    :param is_unconfigured: whether *at configure* parameters may be set now
    :param on_change: called with every value after a change was accepted
    :raises ConfigError: an override is not accepted
    """

    def __init__(self, node: Node, is_unconfigured: Callable[[], bool],
                 on_change: Callable[[Mapping[str, Value]], None] = lambda _: None) -> None:
        self._node = node
        self._is_unconfigured = is_unconfigured
        self._on_change = on_change
        for spec in PARAMETERS.values():
            declare_checked(node, spec)
        node.add_on_set_parameters_callback(self.on_set)
        _warn_of_unknown(node)

    def value(self, name: str) -> Value:
        """Return a parameter's present value in the table's type."""
        return PARAMETERS[name].check(self._node.get_parameter(name).value)

    def values(self) -> dict[str, Value]:
        """Return every parameter's present value."""
        return {name: self.value(name) for name in PARAMETERS}

    def on_set(self, changes: Sequence[Parameter]) -> SetParametersResult:
        """Accept or refuse a change, with the reason."""
        try:
            changed = {change.name: self._checked(PARAMETERS[change.name], change.value)
                       for change in changes if change.name in PARAMETERS}
        except ConfigError as error:
            self._node.get_logger().warning(str(error))
            return SetParametersResult(successful=False, reason=str(error))
        if changed:
            self._on_change({**self.values(), **changed})
        return SetParametersResult(successful=True)

    def _checked(self, spec: ParameterSpec, value: object) -> Value:
        checked = spec.check(value)
        if spec.when is When.AT_CONFIGURE and not self._is_unconfigured():
            raise ConfigError(
                f"parameter '{spec.name}' can only be set while the node is unconfigured: "
                'deactivate and clean it up first')
        return checked


def _warn_of_unknown(node: Node) -> None:
    # rclpy ignores an override of a parameter that is never declared: a slip of the pen.
    overrides = getattr(node, '_parameter_overrides', {})
    unknown = [name for name in overrides
               if not node.has_parameter(name) and not name.startswith('qos_overrides.')]
    if unknown:
        node.get_logger().warning(
            f'unknown parameters are ignored: {", ".join(sorted(unknown))}')


def core_config(values: Mapping[str, Value]) -> CoreConfig:
    """Turn parameter values into the core's settings."""
    text = {name: str(value) for name, value in values.items()}
    return CoreConfig(
        model=ModelConfig(
            name=text['model'],
            checkpoint=path_or_none(text['checkpoint']),
            device=text['device'],
            precision=text['precision'],
            compile=text['compile'],
            image_size=int(values['image_size']),
            batching=text['batching']),
        buffer=_buffer_config(values),
        tracking=tracking_config(values),
        prompt=PromptConfig(
            stamp_tolerance_s=float(values['prompt.stamp_tolerance_s']),
            timeout_s=float(values['prompt.timeout_s'])),
        frame_policy=FramePolicy(text['frame_policy']))


def input_config(values: Mapping[str, Value]) -> InputConfig:
    """Turn parameter values into the settings of the node's inputs."""
    return InputConfig(
        transport=str(values['image_transport']),
        reliability=str(values['image_reliability']),
        frame_policy=FramePolicy(values['frame_policy']),
        clicked_point=bool(values['prompt.clicked_point']),
        prompts_file=path_or_none(str(values['prompts_file'])))


def annotate_config(values: Mapping[str, Value]) -> AnnotateConfig:
    """Turn parameter values into what is drawn."""
    return AnnotateConfig(
        mask=bool(values['annotate.mask']),
        box=bool(values['annotate.box']),
        label=bool(values['annotate.label']),
        trace=bool(values['annotate.trace']),
        opacity=float(values['annotate.opacity']))


def _buffer_config(values: Mapping[str, Value]) -> BufferConfig:
    return BufferConfig(
        directory=path_or_none(str(values['buffer.directory'])),
        max_frames=int(values['buffer.max_frames']),
        max_bytes=int(values['buffer.max_bytes']),
        jpeg_quality=int(values['buffer.jpeg_quality']),
        max_side=int(values['buffer.max_side']),
        keep=bool(values['buffer.keep']))


def tracking_config(values: Mapping[str, Value]) -> TrackingConfig:
    """Turn parameter values into the tracker's settings."""
    return TrackingConfig(
        max_objects=int(values['tracking.max_objects']),
        max_cond_frames=int(values['tracking.max_cond_frames']),
        look_back_frames=int(values['tracking.look_back_frames']),
        lost_after_s=float(values['tracking.lost_after_s']),
        mask_threshold=float(values['tracking.mask_threshold']),
        fill_hole_area=int(values['tracking.fill_hole_area']))


def path_or_none(text: str) -> Path | None:
    """Turn a path's parameter into the path, None for an empty one."""
    return Path(text).expanduser() if text else None

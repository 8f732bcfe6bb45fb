# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of `core.config` as ROS parameters: declared, described, checked on change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import itertools
from pathlib import Path
import re

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter
from sam2_tracker.core.config import NodeConfig, PARAMETERS
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.settings import from_values, ParameterSpec, Value, When
import yaml


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


def declare_checked(node: Node, spec: ParameterSpec) -> Value:
    """
    Declare one parameter with its override, if there is one, in the table's type.

    It is declared without a type first, to see the override as it was given.

    :returns: the value that it has now
    :raises ConfigError: the override is not accepted
    """
    untyped = ParameterDescriptor(dynamic_typing=True)
    given = node.declare_parameter(spec.name, spec.default, untyped).value
    value = spec.check(given)
    node.undeclare_parameter(spec.name)
    node.declare_parameter(spec.name, value, descriptor_of(spec), ignore_override=True)
    return value


class NodeParameters:
    """
    The node's parameters: declared at once, checked on every change.

    :param node: where they are declared
    :param is_unconfigured: whether *at configure* parameters may be set now
    :param on_change: called with all settings after a change was accepted
    :raises ConfigError: an override is not accepted
    """

    def __init__(self, node: Node, is_unconfigured: Callable[[], bool],
                 on_change: Callable[[NodeConfig], None] = lambda _: None) -> None:
        self._node = node
        self._is_unconfigured = is_unconfigured
        self._on_change = on_change
        self._values = {spec.name: declare_checked(node, spec) for spec in PARAMETERS.values()}
        self._config = from_values(NodeConfig, self._values)
        node.add_on_set_parameters_callback(self.on_set)
        # Humble has no such callback: there an integer that is set for a double stays one.
        if hasattr(node, 'add_pre_set_parameters_callback'):
            node.add_pre_set_parameters_callback(self.on_pre_set)
        warn_of_unknown(node)

    @property
    def config(self) -> NodeConfig:
        """The settings as they are now."""
        return self._config

    def on_pre_set(self, changes: Sequence[Parameter]) -> list[Parameter]:
        """Make a double of an integer that is set for one, so that it is stored as such."""
        return [
            Parameter(each.name, Parameter.Type.DOUBLE, float(each.value))
            if each.type_ == Parameter.Type.INTEGER and _is_double(each.name) else each
            for each in changes]

    def on_set(self, changes: Sequence[Parameter]) -> SetParametersResult:
        """Accept or refuse a change, with the reason."""
        try:
            changed = {change.name: self._checked(PARAMETERS[change.name], change.value)
                       for change in changes if change.name in PARAMETERS}
        except ConfigError as error:
            self._node.get_logger().warning(str(error))
            return SetParametersResult(successful=False, reason=str(error))
        if changed:
            self._values = {**self._values, **changed}
            self._config = from_values(NodeConfig, self._values)
            self._on_change(self._config)
        return SetParametersResult(successful=True)

    def _checked(self, spec: ParameterSpec, value: object) -> Value:
        checked = spec.check(value)
        if spec.when is When.AT_CONFIGURE and not self._is_unconfigured():
            raise ConfigError(
                f"parameter '{spec.name}' can only be set while the node is unconfigured: "
                'deactivate and clean it up first')
        return checked


def _is_double(name: str) -> bool:
    return name in PARAMETERS and PARAMETERS[name].type_name == 'double'


def warn_of_unknown(node: Node) -> None:
    """Name the overrides of parameters that the node does not have."""
    # rclpy ignores an override of a parameter that is never declared: a slip of the pen.
    overrides = getattr(node, '_parameter_overrides', {})
    unknown = [name for name in overrides
               if not node.has_parameter(name) and not name.startswith('qos_overrides.')]
    if unknown:
        node.get_logger().warning(
            f'unknown parameters are ignored: {", ".join(sorted(unknown))}')


def refuse_unmatched_files(arguments: Sequence[str], node_name: str) -> None:
    """
    Make sure that every parameter file is about this node.

    rclpy takes the defaults where none of a file's entries matches, without a word.

    :param arguments: of the process
    :param node_name: with its namespace
    :raises ConfigError: a file has no entry for the node
    """
    for flag, path in itertools.pairwise(arguments):
        if flag != '--params-file':
            continue
        try:
            names = _entry_names(yaml.safe_load(Path(path).read_bytes()), '')
        except (OSError, ValueError, yaml.YAMLError):
            continue  # rclpy has read it in its own way.
        if not any(_matches(name, node_name) for name in names):
            there = f'it has {", ".join(names)}' if names else 'it has none at all'
            raise ConfigError(
                f'parameter file {path} has no entry for {node_name}: {there}; '
                f'{node_name} or /** would be right')


def _entry_names(tree: object, place: str) -> list[str]:
    """Name the nodes that a parameter file has entries for; namespaces may be nested."""
    if not isinstance(tree, dict):
        return []
    if 'ros__parameters' in tree:
        return [place]
    return [name for key, below in tree.items()
            for name in _entry_names(below, f'{place}/{str(key).strip("/")}')]


def _matches(entry_name: str, node_name: str) -> bool:
    """Return whether an entry is for a node: `*` is one part of its name, `**` any number."""
    pattern = re.escape(entry_name).replace(r'/\*\*', r'(/\w+)*').replace(r'/\*', r'/\w+')
    return re.fullmatch(pattern, node_name) is not None

# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of `core.config` as ROS parameters: declared, described, checked on change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
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
from sam2_tracker.core.config import ModelConfig, NodeConfig, PARAMETERS
from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.settings import from_values, ParameterSpec, specs_of, Value, When
import yaml

# What a model is built with: one for all cameras that share it.
MODEL_PARAMETERS: Mapping[str, ParameterSpec] = {
    name: PARAMETERS[name] for name in (
        *(spec.name for spec in specs_of(ModelConfig)), 'tracking.max_cond_frames',
        'tracking.memory', 'tracking.cuts', 'tracking.doubt')}


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
                from_value=int(spec.minimum), to_value=int(spec.maximum),
                step=spec.step if spec.step > 1 else 0)]
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
    :param specs: which ones
    :param owner: the parameters of the model that this node shares, on a node of their own: here
        they are shown, and cannot be set
    :param elsewhere: names of parameters that other nodes of the process have
    :raises ConfigError: an override is not accepted
    """

    def __init__(self, node: Node, is_unconfigured: Callable[[], bool],
                 on_change: Callable[[NodeConfig], None] = lambda _: None,
                 specs: Mapping[str, ParameterSpec] = PARAMETERS,
                 owner: NodeParameters | None = None, elsewhere: Collection[str] = ()) -> None:
        self._node = node
        self._is_unconfigured = is_unconfigured
        self._on_change = on_change
        self._specs = specs
        self._owner = owner
        self._values = {name: self._declare(spec) for name, spec in specs.items()}
        self._config = from_values(NodeConfig, self._values)
        node.add_on_set_parameters_callback(self.on_set)
        # Humble has no such callback: there an integer that is set for a double stays one.
        if hasattr(node, 'add_pre_set_parameters_callback'):
            node.add_pre_set_parameters_callback(self.on_pre_set)
        warn_of_unknown(node, elsewhere)

    def _declare(self, spec: ParameterSpec) -> Value:
        owned = self._owned(spec.name)
        if owned is None:
            return declare_checked(self._node, spec)
        shown = replace(spec, default=owned, description=f'{spec.description} '
                        f'Of the model that the cameras share: set it on {self._owner_name}.')
        value = declare_checked(self._node, shown)
        if value != owned:
            raise ConfigError(
                f"parameter '{spec.name}' is {value} for {self.node_name} and {owned} for "
                f'{self._owner_name}: the cameras share one model, give it to '
                f'{self._owner_name} or to /** only')
        return value

    def _owned(self, name: str) -> Value | None:
        """Return the value that the owner of a parameter has, None if it is this node's own."""
        return None if self._owner is None else self._owner.values.get(name)

    @property
    def _owner_name(self) -> str:
        assert self._owner is not None
        return str(self._owner.node_name)

    @property
    def node_name(self) -> str:
        """Return the full name of the node that has them."""
        return str(self._node.get_fully_qualified_name())

    @property
    def values(self) -> Mapping[str, Value]:
        """Return the values as they are now, by name."""
        return self._values

    def show(self, values: Mapping[str, Value]) -> None:
        """Take over what the owner of the model's parameters has now."""
        self._node.set_parameters([Parameter(name, value=value)
                                   for name, value in values.items()])

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
            changed = {change.name: self._checked(self._specs[change.name], change.value)
                       for change in changes if change.name in self._specs}
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
        owned = self._owned(spec.name)
        if owned is not None:
            if checked != owned:
                raise ConfigError(f"parameter '{spec.name}' is of the model that the cameras "
                                  f'share: set it on {self._owner_name}')
            return checked
        if spec.when is When.AT_CONFIGURE and not self._is_unconfigured():
            which = 'every camera' if self._specs is MODEL_PARAMETERS else 'the node'
            raise ConfigError(
                f"parameter '{spec.name}' can only be set while {which} is unconfigured: "
                'deactivate and clean up first')
        return checked


def _is_double(name: str) -> bool:
    return name in PARAMETERS and PARAMETERS[name].type_name == 'double'


def warn_of_unknown(node: Node, elsewhere: Collection[str] = ()) -> None:
    """
    Name the overrides of parameters that the node does not have.

    :param elsewhere: names of those that other nodes of the process have
    """
    # rclpy ignores an override of a parameter that is never declared: a slip of the pen.
    overrides = getattr(node, '_parameter_overrides', {})
    unknown = [name for name in overrides
               if not node.has_parameter(name) and name not in elsewhere
               and not name.startswith('qos_overrides.')]
    if unknown:
        node.get_logger().warning(
            f'unknown parameters are ignored: {", ".join(sorted(unknown))}')


def refuse_unmatched_files(arguments: Sequence[str], *node_names: str) -> None:
    """
    Make sure that every parameter file is about a node of this process.

    rclpy takes the defaults where none of a file's entries matches, without a word.

    :param arguments: of the process
    :param node_names: with their namespaces
    :raises ConfigError: a file has no entry for any of the nodes
    """
    for flag, path in itertools.pairwise(arguments):
        if flag != '--params-file':
            continue
        try:
            names = _entry_names(yaml.safe_load(Path(path).read_bytes()), '')
        except (OSError, ValueError, yaml.YAMLError):
            continue  # rclpy has read it in its own way.
        if not any(_matches(*pair) for pair in itertools.product(names, node_names)):
            there = f'it has {", ".join(names)}' if names else 'it has none at all'
            wanted = ' or '.join(node_names)
            raise ConfigError(f'parameter file {path} has no entry for {wanted}: {there}; '
                              f'{", ".join(node_names)} or /** would be right')


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

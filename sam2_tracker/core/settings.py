# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""What a setting is: a dataclass field that says what it means, what is accepted, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
import enum
import math
from pathlib import Path
import re
from typing import Any, TYPE_CHECKING, TypeVar

from sam2_tracker.core.errors import ConfigError
from sam2_tracker.core.text import LONGEST_PATH, LONGEST_TEXT, shown, text_fault

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Config = TypeVar('Config', bound=DataclassInstance)

Value = bool | int | float | str
Default = TypeVar('Default')


class When(enum.Enum):
    """When a parameter may be set."""

    FIXED = 'fixed'
    AT_CONFIGURE = 'at configure'
    LIVE = 'live'


@dataclass(frozen=True)
class Option:
    """
    How `process` offers a setting.

    :param help: the line of `--help`, empty for none
    :param metavar: what stands for the value there, empty for the name or the choices
    :param flag: the option itself, empty for the setting's name with dashes
    :param checked: False where the loading of the model refuses a wrong value: exit code 5
    """

    help: str = ''  # noqa: A003
    metavar: str = ''
    flag: str = ''
    checked: bool = True


@dataclass(frozen=True)
class ParameterSpec:
    """
    One parameter; its type is that of the default.

    :param minimum: smallest number allowed, None for text and switches
    :param maximum: largest number allowed
    :param step: of an integer; only its multiples are allowed
    :param choices: every text allowed, empty for any
    :param pattern: regular expression that the whole text must match, empty for any
    :param pattern_help: the pattern in words
    :param is_path: whether the text is a path, empty for none
    :param option: how the offline command offers it, None where it does not
    :param launch: whether tracker.launch.py has an argument for it
    :param is_secret: whether a value that is refused is not repeated
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
    is_path: bool = False
    option: Option | None = None
    launch: bool = False
    is_secret: bool = False
    step: int = 1

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
            kind = f'a multiple of {self.step}' if self.step > 1 else (
                'an integer' if self.type_name == 'integer' else f'a {self.type_name}')
            return f'{kind} from {self.minimum} to {self.maximum}'
        return 'true or false' if self.type_name == 'bool' else f'a {self.type_name}'

    def check(self, value: object) -> Value:
        """
        Return the value in the parameter's own type; an integer is taken for a double.

        :raises ConfigError: a sentence with the value and what is accepted
        """
        if type(self.default) is float and type(value) is int:
            value = float(value)
        if self.is_secret and not (isinstance(value, str) and self._allows(value)):
            raise ConfigError(f"parameter '{self.name}' is not {self.accepted}")
        if isinstance(value, str) and type(self.default) is str:
            fault = text_fault(value, LONGEST_PATH if self.is_path else LONGEST_TEXT)
            if fault:
                raise ConfigError(f"parameter '{self.name}' {fault}")
        if isinstance(value, bool | int | float | str) and self._allows(value):
            return value
        given = shown(value) if isinstance(value, str) else str(value)
        raise ConfigError(f"parameter '{self.name}' is {given}: {self.accepted} is expected")

    def _allows(self, value: Value) -> bool:
        if type(value) is not type(self.default):
            return False
        if isinstance(value, str):
            if self.choices:
                return value in self.choices
            return not self.pattern or re.fullmatch(self.pattern, value) is not None
        if self.minimum is None or self.maximum is None:
            return True
        is_step = self.step == 1 or value % self.step == 0
        return math.isfinite(value) and self.minimum <= value <= self.maximum and is_step


@dataclass(frozen=True)
class _Group:
    config: type[DataclassInstance]
    prefix: str


def setting(
    default: Default,
    description: str,
    *,
    when: When = When.AT_CONFIGURE,
    name: str = '',
    between: tuple[float, float] | None = None,
    step: int = 1,
    choices: tuple[str, ...] = (),
    pattern: str = '',
    pattern_help: str = '',
    option: Option | None = None,
    launch: bool = False,
    is_secret: bool = False,
) -> Default:
    """
    Make a field that is a setting; the other parameters are those of `ParameterSpec`.

    :param default: None makes it a path (a parameter: empty); an enum's values are its choices
    :param description: one sentence
    :param name: of the parameter, where it is not the group's prefix and the field's name
    :param between: smallest and largest number allowed
    """
    if isinstance(default, enum.Enum):
        choices = tuple(str(member.value) for member in type(default))
    minimum, maximum = between or (None, None)
    spec = ParameterSpec(
        name, _value_of(default), when, description, minimum, maximum, choices, pattern,
        pattern_help, default is None, option, launch, is_secret, step)
    return field(default=default, metadata={'setting': spec})


def group(config: type[Config], prefix: str | None = None) -> Config:
    """
    Make a field that is a group of settings.

    :param config: a dataclass of them
    :param prefix: what the parameters' names begin with; None for the field's name and a dot
    """
    return field(default_factory=config, metadata={'setting': (config, prefix)})


def specs_of(config: type[DataclassInstance], prefix: str = '') -> Iterator[ParameterSpec]:
    """Describe the settings of a dataclass of settings or groups, in their order."""
    for _, _, found in _settings_of(config, prefix):
        if isinstance(found, _Group):
            yield from specs_of(found.config, found.prefix)
        else:
            yield found


def from_values(config: type[Config], values: Mapping[str, Any], prefix: str = '') -> Config:
    """
    Fill a dataclass of settings or groups.

    :param values: checked values by the parameters' names; what is missing keeps its default
    """
    made: dict[str, object] = {}
    for name, default, found in _settings_of(config, prefix):
        if isinstance(found, _Group):
            made[name] = from_values(found.config, values, found.prefix)
        elif found.name in values:
            made[name] = _field_of(default, values[found.name])
    return config(**made)


def values_of(config: DataclassInstance, prefix: str = '') -> Iterator[tuple[str, object]]:
    """Return each setting's parameter name and what the field holds, groups' among them."""
    for name, _, found in _settings_of(type(config), prefix):
        value = getattr(config, name)
        if isinstance(found, _Group):
            yield from values_of(value, found.prefix)
        else:
            yield found.name, value


def _settings_of(
    config: type[DataclassInstance], prefix: str
) -> Iterator[tuple[str, object, ParameterSpec | _Group]]:
    for item in fields(config):
        found = item.metadata['setting']
        if isinstance(found, ParameterSpec):
            found = replace(found, name=found.name or prefix + item.name)
        else:
            inner, own_prefix = found
            found = _Group(inner, f'{item.name}.' if own_prefix is None else own_prefix)
        yield item.name, item.default, found


def _value_of(default: object) -> Value:
    """Turn a field's default into the parameter's."""
    if isinstance(default, enum.Enum):
        return str(default.value)
    if default is None:
        return ''
    assert isinstance(default, bool | int | float | str)
    return default


def _field_of(default: object, value: Any) -> object:
    """Turn a parameter's value into the field's, which is of its default's kind."""
    if isinstance(default, enum.Enum):
        return type(default)(value)
    if default is None:
        return Path(value).expanduser() if value else None
    return value

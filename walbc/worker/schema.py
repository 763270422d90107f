"""Reading a policy section by a table of its keys, with errors that name the key and what was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from walbc.library.failure import ControlError


class PolicyError(ControlError):
    """A policy file is wrong. `path` are the keys that lead to the place, `expected` what should stand there."""

    def __init__(self, path: tuple[str, ...], found: str, expected: str) -> None:
        super().__init__(f"{'.'.join(path)}: {found}; expected {expected}")
        self.path = path
        self.found = found
        self.expected = expected


class Key(NamedTuple):
    """A key of a section: the attribute it sets, how its value is read, and what to say it should be."""

    attribute: str
    parse: Callable[[Any], Any]
    expected: str


def read_section(target: object, keys: Mapping[str, Key], value: object, *path: str) -> None:
    """Sets the attributes of the keys that are there; other keys are ignored. Raises PolicyError."""
    section = as_mapping(value, *path)
    for name, key in keys.items():
        if name in section:
            setattr(target, key.attribute, read_value(key.parse, key.expected, section[name], *path, name))


def as_mapping(value: object, *path: str) -> dict[str, Any]:
    """The keys and values of a section. Raises PolicyError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PolicyError(path, f"{_shown(value)} is no section", "keys with values")
    return {str(key): element for key, element in value.items()}


def read_value(parse: Callable[[Any], Any], expected: str, value: object, *path: str) -> Any:
    """The value as the program wants it. Raises PolicyError."""
    try:
        return parse(value)
    except ControlError as error:
        raise PolicyError(path, f"bad value {_shown(value)}", expected) from error


def _shown(value: object) -> str:
    return repr(value)[:80]

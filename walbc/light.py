"""typing.NamedTuple without typing, whose import (with re) would take a third of the time of `walbc -h`.

Whoever imports it shows typing's to the type checker, under a TYPE_CHECKING of its own: that name, too, is typing's.
"""

from __future__ import annotations

from collections import namedtuple


class _Fields(type):
    """Makes a named tuple of the annotations of a class that derives from NamedTuple; its methods stay."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = body.pop("__annotations__")
        assert isinstance(fields, dict)
        defaults = [body.pop(field) for field in fields if field in body]
        base = namedtuple(name, fields, defaults=defaults)  # type: ignore[misc]
        return type(name, (base,), {**body, "__slots__": ()})


class NamedTuple(metaclass=_Fields):
    """To derive from."""

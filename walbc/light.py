"""typing.NamedTuple without typing, whose import (with re) would take a third of the time of `walbc -h`.

TYPE_CHECKING, too, is a name that importing would cost; type checkers know it by its name.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["NamedTuple"]
TYPE_CHECKING = False


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


if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class NamedTuple(metaclass=_Fields):
        """To derive from."""

"""Checks of arguments (python-library.md section 4). All raise TypeError or ControlError and return nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from walbc.library.constants import UINT64_MAX
from walbc.library.failure import ControlError

Types = type | list[type]

_SIZE_UNIT = re.compile(r"[0-9]+[kKmMgGtTpP]?")


def verify_type(obj: object, typeValue: Types, elemType: Types | None = None, allowNone: bool = False) -> None:
    """Raises TypeError unless obj is of a type, and (elemType) each of its elements is."""
    if obj is None:
        if allowNone:
            return
        raise TypeError("Invalid: object is None")
    wanted = _as_list(typeValue)
    if not isinstance(obj, tuple(wanted)):
        raise TypeError(f"Invalid object type: {type(obj).__name__} must be one of {_names(wanted)}")
    if elemType is None:
        return
    verify_iterable(obj)
    allowed = _as_list(elemType)
    for element in obj:  # type: ignore[attr-defined]
        if not isinstance(element, tuple(allowed)):
            raise TypeError(f"Invalid element type: {type(element).__name__} must be one of {_names(allowed)}")


def _as_list(types: Types) -> list[type]:
    return types if isinstance(types, list) else [types]


def _names(types: Iterable[type]) -> str:
    return f"[{', '.join(kind.__name__ for kind in types)}]"


def verify_int(obj: object, allowNone: bool = False) -> None:
    """Raises TypeError unless obj is an integer."""
    if obj is None and allowNone:
        return
    if not isinstance(obj, int):
        raise TypeError("Not integer type", type(obj))


def verify_u64(obj: Any, allowNone: bool = False) -> None:
    """Raises TypeError unless obj is an integer of 0..2^64-1."""
    if obj is None and allowNone:
        return
    verify_int(obj)
    if not 0 <= obj <= UINT64_MAX:
        raise TypeError("Cannot be unsigned 64bit integer", obj)


def verify_function(obj: object, allowNone: bool = False) -> None:
    """Raises TypeError unless obj can be called."""
    if obj is None and allowNone:
        return
    if not callable(obj):
        raise TypeError("Not function type", type(obj))


def verify_iterable(obj: object, allowNone: bool = False) -> None:
    """Raises TypeError unless one can iterate over obj."""
    if obj is None and allowNone:
        return
    if not isinstance(obj, Iterable):
        raise TypeError("not iterable type", type(obj))


def verify_gid_range(gidB: int, gidE: int, msg: str) -> None:
    """Raises ControlError if gidB > gidE."""
    verify_u64(gidB)
    verify_u64(gidE)
    if gidB > gidE:
        raise ControlError(msg, "bad gid range", gidB, gidE)


def verify_size_unit(sizeU: str | None, allowNone: bool = False) -> None:
    """Raises ControlError unless sizeU is digits and perhaps one of `k m g t p`."""
    if sizeU is None and allowNone:
        return
    verify_type(sizeU, str)
    if not _SIZE_UNIT.fullmatch(str(sizeU)):
        raise ControlError("bad size unit", sizeU)


def verify_shutdown_mode(mode: str, msg: str) -> None:
    """Raises ControlError unless mode is graceful or force."""
    if mode not in ("graceful", "force"):
        raise ControlError(msg, "bad mode", mode)

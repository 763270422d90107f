"""Small conversions from and to text (python-library.md section 4)."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable
from pathlib import Path

from walbc.library.constants import CMPR_NAMES, serverKindMap, serverKindRmap
from walbc.library.failure import ControlError
from walbc.library.verify import verify_type


def to_str(ss: Iterable[object]) -> str:
    """The elements, joined by blanks."""
    return " ".join(map(str, ss))


def printL(ls: Iterable[object]) -> None:
    """Prints one element per line."""
    for element in ls:
        print(element)


def parse_ltsv(s: str) -> dict[str, str]:
    """The fields of `label:value`, separated by tabs. Raises ControlError for a field without a colon."""
    fields: dict[str, str] = {}
    for item in s.split("\t"):
        label, colon, value = item.partition(":")
        if not colon:
            raise ControlError("parse error: not found ':'", item)
        fields[label] = value
    return fields


create_ts_delta_from_str = parse_ltsv


def server_kind_to_str(kind: int) -> str:
    """`storage`, `proxy` or `archive`. Raises ValueError."""
    if kind not in serverKindMap:
        raise ValueError("bad server kind", kind)
    return serverKindMap[kind]


def str_to_server_kind(s: str) -> int:
    """The constant of `storage`, `proxy` or `archive`. Raises ValueError."""
    if s not in serverKindRmap:
        raise ValueError("bad server kind string", s)
    return serverKindRmap[s]


def verify_compress_kind(kind: int) -> None:
    """Raises ControlError unless kind is one of the CMPR constants."""
    if kind not in CMPR_NAMES:
        raise ControlError("verify_compress_kind: bad value", kind)


def compress_kind_to_str(kind: int) -> str:
    """The name of a CMPR constant, as in `snappy:0:1`."""
    verify_compress_kind(kind)
    return CMPR_NAMES[kind]


def compress_str_to_kind(s: str) -> int:
    """The CMPR constant of a name. Raises ControlError."""
    for kind, name in CMPR_NAMES.items():
        if name == s:
            return kind
    raise ControlError("compress_str_to_kind: bad kind", s)


def str_to_datetime(s: str, fmt: str) -> datetime.datetime:
    """strptime; the result is naive and means UTC."""
    return datetime.datetime.strptime(s, fmt)


def datetime_to_str(ts: datetime.datetime, fmt: str) -> str:
    """strftime."""
    return ts.strftime(fmt)


def utc_now() -> datetime.datetime:
    """Now, naive, UTC, in whole seconds as all times of servers."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)


def execfile(path: str, namespace: dict[str, object] | None = None) -> None:
    """Runs a configuration file in the caller's names (or in `namespace`), as Python 2's function of this name did."""
    verify_type(path, str)
    names = sys._getframe(1).f_globals if namespace is None else namespace
    exec(compile(Path(path).read_text(encoding="utf-8"), path, "exec"), names)

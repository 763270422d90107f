"""Periods, sizes and flags as they stand in a policy file (python-library.md section 12.1)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping

from walbc.library.failure import ControlError

_PERIOD_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_CLOCK = re.compile(r"([0-9]+):([0-9]{2}):([0-9]{2})")
_MAX_PORT = 65535
PERIOD_FORM = "seconds, digits and one of m h d w, or hh:mm:ss"
SIZE_FORM = "bytes, or digits and one of K M G"


def parseSuffix(value: object, units: Mapping[str, int]) -> int:
    """An integer, or digits and a unit. Raises ControlError."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ControlError("parseSuffix:negative value", value)
        return value
    match = re.fullmatch(r"(-?[0-9]+)([A-Za-z]?)", str(value).strip())
    if not match or match[2] not in units:
        raise ControlError("parseSuffix:bad value", value)
    number = int(match[1])
    if number < 0:
        raise ControlError("parseSuffix:negative value", value)
    return number * units[match[2]]


def parsePERIOD(value: object) -> datetime.timedelta:
    """A span: seconds, `30m`, `12h`, `14d`, `2w`, or `hh:mm:ss`. Raises ControlError."""
    match = _CLOCK.fullmatch(str(value).strip())
    if match:
        hours, minutes, seconds = map(int, match.groups())
        return datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return datetime.timedelta(seconds=parseSuffix(value, _PERIOD_UNITS))


def parseSIZE_UNIT(value: object) -> int:
    """Bytes: an integer, or digits and one of K M G (powers of 1024). Raises ControlError."""
    return parseSuffix(value, _SIZE_UNITS)


def parsePositive(value: object) -> int:
    """An integer that is not negative. Raises ControlError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ControlError("parsePositive:bad value", value)
    return value


def parsePort(value: object) -> int:
    """A TCP port. Raises ControlError."""
    port = parsePositive(value)
    if port > _MAX_PORT:
        raise ControlError("parsePort:bad value", value)
    return port


def parseFLAG(value: object) -> bool:
    """A boolean. Raises ControlError."""
    if not isinstance(value, bool):
        raise ControlError("parseFLAG:bad value", value)
    return value


def parseTEXT(value: object) -> str:
    """Text that is not empty and printable; a number stands for its digits. Raises ControlError."""
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not text or not text.isprintable():
        raise ControlError("parseTEXT:bad value", value)
    return text

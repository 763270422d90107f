"""Times as text: UNIX seconds, UTC (snapshot-model.md section 4)."""

from __future__ import annotations

import calendar
import re
import time

from walbd.model.error import InvalidArgument
from walbd.model.limits import MAX_TIMESTAMP_SEC, check_range

_PRETTY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z?")
_DIGITS = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})")


def check_timestamp(timestamp: int) -> int:
    """Returns a time with a four-digit year, 1970-9999; raises InvalidArgument otherwise."""
    return check_range("timestamp", timestamp, 0, MAX_TIMESTAMP_SEC)


def pretty_always(timestamp: int) -> str:
    """`YYYY-MM-DDThh:mm:ss`, also for 0 (states, log messages)."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(check_timestamp(timestamp)))


def pretty(timestamp: int) -> str:
    """`YYYY-MM-DDThh:mm:ss`, or `---` for 0, which stands for never (lists, records)."""
    return pretty_always(timestamp) if timestamp else "---"


def digits(timestamp: int) -> str:
    """`YYYYMMDDhhmmss`, also for 0 (file names, states)."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(check_timestamp(timestamp)))


def parse_digits(text: str) -> int:
    """The time of exactly 14 digits. An impossible day rolls over as in the reference: 20230230 is 20230302, second 60
    the next minute. Raises InvalidArgument, also for years before 1970."""
    match = _DIGITS.fullmatch(text)
    if not match:
        raise InvalidArgument(f"bad time:{text[:80]}", "write YYYYMMDDhhmmss (UTC)")
    year, month, day, hour, minute, second = map(int, match.groups())
    in_range = 1 <= month <= 12 and 1 <= day <= 31 and hour <= 23 and minute <= 59 and second <= 60
    if not in_range or year < 1970:
        raise InvalidArgument(f"bad time:{text}", "write YYYYMMDDhhmmss (UTC), 1970 or later")
    return check_timestamp(calendar.timegm((year, month, day, hour, minute, second)))


def parse_pretty(text: str) -> int:
    """The time of `YYYY-MM-DDThh:mm:ss` (UTC), as `pretty` writes it. Raises InvalidArgument."""
    match = _PRETTY.fullmatch(text)
    if not match:
        raise InvalidArgument(f"bad time:{text[:80]}", "write YYYY-MM-DDThh:mm:ss (UTC)")
    return parse_digits("".join(match.groups()))

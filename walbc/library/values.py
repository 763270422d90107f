"""Snapshots, diffs and base images as the library hands them out (python-library.md section 5).

Unlike those of walbd/model these are plain and mutable: scripts change their attributes.
"""

from __future__ import annotations

import datetime
import re

from walbc.library.constants import UINT64_MAX, DatetimeFormatDigits, DatetimeFormatPretty
from walbc.library.failure import ControlError
from walbc.library.texts import datetime_to_str, str_to_datetime, utc_now
from walbc.library.verify import verify_type, verify_u64

_SNAPSHOT = re.compile(r"\|([0-9]+)(?:,([0-9]+))?\|")
_META_STATE = re.compile(r"<(\|[0-9,]+\|)(?:-->(\|[0-9,]+\|))?>-([0-9]{14})")
_UNSET_TIME = "---"


class _Record:
    """Equality by all fields; mutable, hence not hashable."""

    __hash__ = None  # type: ignore[assignment]

    def _key(self) -> tuple[object, ...]:
        return tuple(vars(self).values())

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, type(self)) else NotImplemented

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


class Snapshot(_Record):
    """A point in time (gidB = gidE), or some unknown one between two."""

    def __init__(self, gidB: int = 0, gidE: int = UINT64_MAX) -> None:
        verify_u64(gidB)
        verify_u64(gidE)
        if gidB > gidE:
            raise ControlError("Snapshot:bad range", f"|{gidB},{gidE}|")
        self.gidB = gidB
        self.gidE = gidE

    def isDirty(self) -> bool:
        """Whether it is an interval."""
        return self.gidB != self.gidE

    def __str__(self) -> str:
        return f"|{self.gidB},{self.gidE}|" if self.isDirty() else f"|{self.gidB}|"

    def parse(self, s: str) -> None:
        """Takes the value of `|g|` or `|b,e|`. Raises ControlError."""
        verify_type(s, str)
        match = _SNAPSHOT.fullmatch(s)
        if not match:
            raise ControlError("Snapshot:bad format", s)
        begin, end = int(match[1]), int(match[2] or match[1])
        if not begin <= end <= UINT64_MAX:
            raise ControlError("Snapshot:bad range", s)
        self.gidB, self.gidE = begin, end


def create_snapshot_from_str(s: str) -> Snapshot:
    """The snapshot of `|g|` or `|b,e|`."""
    snapshot = Snapshot()
    snapshot.parse(s)
    return snapshot


class Diff(_Record):
    """What leads from snapshot B to snapshot E; `dataSize` in bytes, `ts` UTC (None: not known)."""

    def __init__(self, B: Snapshot | None = None, E: Snapshot | None = None) -> None:
        self.B = B or Snapshot()
        self.E = E or Snapshot()
        self.isMergeable = False
        self.isCompDiff = False
        self.ts: datetime.datetime | None = utc_now()
        self.dataSize = 0

    def isDirty(self) -> bool:
        """Whether one of its ends is an interval."""
        return self.B.isDirty() or self.E.isDirty()

    def verify(self) -> None:
        """Raises ControlError unless it makes progress."""
        if self.B.gidB >= self.E.gidB or self.B.gidE > self.E.gidE:
            raise ControlError("Diff:bad progress", str(self.B), str(self.E))

    def __str__(self) -> str:
        time = datetime_to_str(self.ts, DatetimeFormatPretty) if self.ts else _UNSET_TIME
        return f"{self.B}-->{self.E} {self._flags()} {time} {self.dataSize}"

    def _flags(self) -> str:
        return ("M" if self.isMergeable else "-") + ("C" if self.isCompDiff else "-")

    def genFileName(self) -> str:
        """Name of its wdiff file."""
        time = datetime_to_str(self.ts, DatetimeFormatDigits) if self.ts else "19700101000000"
        ends = [self.B.gidB, self.E.gidB]
        if self.isDirty():
            ends = [self.B.gidB, self.B.gidE, self.E.gidB, self.E.gidE]
        return f"{time}-{self._flags()}-{'-'.join(map(str, ends))}.wdiff"

    def parse(self, s: str) -> None:
        """Takes the value of a line of `get diff`. Raises ControlError."""
        verify_type(s, str)
        fields = s.split(" ")
        ends = fields[0].split("-->")
        if len(fields) != 4 or len(ends) != 2 or not re.fullmatch("[M-][C-]", fields[1]) or not fields[3].isdigit():
            raise ControlError("Diff:bad format", s)
        self.B, self.E = create_snapshot_from_str(ends[0]), create_snapshot_from_str(ends[1])
        self.isMergeable = fields[1][0] == "M"
        self.isCompDiff = fields[1][1] == "C"
        self.ts = parse_time(fields[2])
        self.dataSize = int(fields[3])


def create_diff_from_str(s: str) -> Diff:
    """The diff of a line of `get diff`."""
    diff = Diff()
    diff.parse(s)
    return diff


class MetaState(_Record):
    """What a base image holds: snapshot B, or (applying) a mixture on the way from B to E. Equality ignores `ts`."""

    def __init__(self, B: Snapshot | None = None, E: Snapshot | None = None) -> None:
        self.B = B or Snapshot()
        self.E = E
        self.ts = utc_now()

    def _key(self) -> tuple[object, ...]:
        return self.B, self.E

    def is_applying(self) -> bool:
        """Whether an apply is under way or was interrupted."""
        return self.E is not None

    def verify(self) -> None:
        """Raises ControlError unless B lies before E."""
        if self.E is not None and self.B.gidB >= self.E.gidB:
            raise ControlError("bad MetaState", str(self.B), str(self.E))

    def __str__(self) -> str:
        end = f"-->{self.E}" if self.E is not None else ""
        return f"<{self.B}{end}>-{datetime_to_str(self.ts, DatetimeFormatDigits)}"


def create_meta_state_from_str(s: str) -> MetaState:
    """The state of `<B>-YYYYMMDDhhmmss` or `<B-->E>-…`. Raises ControlError."""
    verify_type(s, str)
    match = _META_STATE.fullmatch(s)
    if not match:
        raise ControlError("create_meta_state_from_str:bad format", s)
    state = MetaState(create_snapshot_from_str(match[1]), create_snapshot_from_str(match[2]) if match[2] else None)
    state.ts = str_to_datetime(match[3], DatetimeFormatDigits)
    return state


class GidInfo(_Record):
    """A line of `get restorable`: `GID TIME` and, when the server tells it, whether it is explicit."""

    def __init__(self, s: str) -> None:
        verify_type(s, str)
        fields = s.split()
        if len(fields) not in (2, 3) or not fields[0].isdigit() or fields[2:] not in ([], ["0"], ["1"]):
            raise ControlError("GidInfo:bad format", s)
        self.gid = int(fields[0])
        self.ts = parse_time(fields[1])
        self.is_explicit = fields[2] == "1" if len(fields) == 3 else None

    def __str__(self) -> str:
        time = datetime_to_str(self.ts, DatetimeFormatPretty) if self.ts else _UNSET_TIME
        flag = "" if self.is_explicit is None else f" {int(self.is_explicit)}"
        return f"{self.gid} {time}{flag}"


def parse_time(s: str) -> datetime.datetime | None:
    """A time as servers print it; None for one that is unset. Raises ControlError."""
    if s == _UNSET_TIME:
        return None
    try:
        return str_to_datetime(s, DatetimeFormatPretty)
    except ValueError as error:
        raise ControlError("bad time", s) from error

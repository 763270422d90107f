"""Diffs and the names of their files (snapshot-model.md sections 1, 3, 4, 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

from walbd.model.error import InvalidArgument
from walbd.model.limits import UINT64_MAX
from walbd.model.size import parse_uint
from walbd.model.snapshot import Snapshot
from walbd.model.timetext import check_timestamp, digits, parse_digits, pretty, pretty_always
from walbd.model.varint import Decoder, Encoder, Record

_PREAMBLE = 0x0312
_GID = r"(0|[1-9][0-9]{0,19})"
_FILE_NAME = re.compile(rf"([0-9]{{14}})-([M-])([C-])-{_GID}-{_GID}(?:-{_GID}-{_GID})?\.wdiff")


@dataclass(frozen=True, slots=True)
class Diff(Record):
    """Block writes that turn the snapshot `begin` into `end`. Two diffs are equal when both ends are: flags, time and
    size are no part of the identity (K2).

    is_mergeable: the snapshot at the beginning need not be kept.
    is_compared: made by comparing images several generations apart; fits one starting gid and is never merged.
    timestamp: UNIX time of the snapshot at the end.
    size_bytes: of the wdiff file, 0 when not known.
    """

    begin: Snapshot
    end: Snapshot
    is_mergeable: bool = field(default=False, compare=False)
    is_compared: bool = field(default=False, compare=False)
    timestamp: int = field(default=0, compare=False)
    size_bytes: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if self.begin.gid_begin >= self.end.gid_begin:
            raise InvalidArgument(f"MetaDiff::broken progress constraint for B:{self}")
        if self.begin.gid_end > self.end.gid_end:
            raise InvalidArgument(f"MetaDiff::broken progress constraint for E:{self}")
        check_timestamp(self.timestamp)
        if not 0 <= self.size_bytes <= UINT64_MAX:
            raise InvalidArgument(f"bad size of a diff:{self}:{self.size_bytes}")

    @property
    def is_clean(self) -> bool:
        """Whether both ends are."""
        return self.begin.is_clean and self.end.is_clean

    @property
    def flags(self) -> str:
        """`M` or `-`, then `C` or `-`."""
        return ("M" if self.is_mergeable else "-") + ("C" if self.is_compared else "-")

    def __str__(self) -> str:
        return f"{self.begin}-->{self.end}"

    def verbose(self) -> str:
        """The form of log messages: `|0|-->|1| (M- 2023-11-14T22:13:20 0)`."""
        return f"{self} ({self.flags} {pretty_always(self.timestamp)} {self.size_bytes})"

    def list_line(self) -> str:
        """The line of diff lists: `|0|-->|1| M- 2023-11-14T22:13:20 0`."""
        return f"{self} {self.flags} {pretty(self.timestamp)} {self.size_bytes}"

    @property
    def file_name(self) -> str:
        """Name of the wdiff file: time, flags, and four gids as soon as one end is dirty, else two (K3)."""
        b, e = self.begin, self.end
        if self.is_clean:
            gids = f"{b.gid_begin}-{e.gid_begin}"
        else:
            gids = f"{b.gid_begin}-{b.gid_end}-{e.gid_begin}-{e.gid_end}"
        return f"{digits(self.timestamp)}-{self.flags}-{gids}.wdiff"

    @classmethod
    def from_file_name(cls, name: str, size_bytes: int = 0) -> Self:
        """The diff of exactly the name `file_name` gives; any other spelling raises InvalidArgument, because the file
        could not be found again by its diff."""
        match = _FILE_NAME.fullmatch(name)
        if not match:
            raise InvalidArgument(f"bad wdiff file name:{name[:120]}")
        timestamp = parse_digits(match[1])
        gids = [parse_uint(gid) for gid in match.groups()[3:] if gid is not None]
        begin, end = (gids[:2], gids[2:]) if len(gids) == 4 else (gids[:1] * 2, gids[1:] * 2)
        diff = cls(
            Snapshot(*begin),
            Snapshot(*end),
            is_mergeable=match[2] == "M",
            is_compared=match[3] == "C",
            timestamp=timestamp,
            size_bytes=size_bytes,
        )
        if diff.file_name != name:
            raise InvalidArgument(f"bad wdiff file name:{name}", f"it should be {diff.file_name}")
        return diff

    def write(self, out: Encoder) -> None:
        out.u16(_PREAMBLE).bool(self.is_mergeable).bool(self.is_compared).varint(self.timestamp)
        self.begin.write(out)
        self.end.write(out)
        out.varint(self.size_bytes)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        data.preamble(_PREAMBLE)
        is_mergeable, is_compared, timestamp = data.bool(), data.bool(), data.varint()
        begin, end = Snapshot.read(data), Snapshot.read(data)
        return data.build(cls, begin, end, is_mergeable, is_compared, timestamp, data.varint())

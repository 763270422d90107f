"""Snapshots: a point in time of a volume, or an interval of them (snapshot-model.md sections 1, 3, 4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from walbd.model.error import InvalidArgument
from walbd.model.limits import UINT64_MAX, check_volume_name
from walbd.model.size import parse_uint
from walbd.model.timetext import check_timestamp
from walbd.model.varint import Decoder, Encoder, Record

# No gid: unknown, unset, or (as an upper bound) unlimited.
INVALID_GID = UINT64_MAX

SNAPSHOT_PATTERN = r"\|([0-9]{1,20})(?:,([0-9]{1,20}))?\|"

_PREAMBLE = 0x0311
_TEXT = re.compile(SNAPSHOT_PATTERN)


@dataclass(frozen=True, slots=True)
class Snapshot(Record):
    """An image in which every block has the content it had at some gid in [gid_begin, gid_end]."""

    gid_begin: int
    gid_end: int

    def __post_init__(self) -> None:
        if not 0 <= self.gid_begin <= self.gid_end <= UINT64_MAX:
            raise InvalidArgument(f"MetaSnap::check:must be gidB <= gidE:{self.gid_begin}:{self.gid_end}")

    @classmethod
    def clean(cls, gid: int) -> Self:
        """The true point in time `gid`."""
        return cls(gid, gid)

    @property
    def is_clean(self) -> bool:
        """Whether all blocks are of one point in time."""
        return self.gid_begin == self.gid_end

    def __str__(self) -> str:
        return f"|{self.gid_begin}|" if self.is_clean else f"|{self.gid_begin},{self.gid_end}|"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The snapshot of `|5|` or `|5,7|`; raises InvalidArgument."""
        match = _TEXT.fullmatch(text)
        if not match:
            raise InvalidArgument(f"bad snapshot:{text[:80]}", "write |GID| or |GID,GID|")
        return cls.of_match(match[1], match[2])

    @classmethod
    def of_match(cls, begin: str, end: str | None) -> Self:
        """The snapshot of the two groups of SNAPSHOT_PATTERN."""
        gid_begin = parse_uint(begin)
        return cls(gid_begin, gid_begin if end is None else parse_uint(end))

    def write(self, out: Encoder) -> None:
        out.u16(_PREAMBLE).varint(self.gid_begin).varint(self.gid_end)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        data.preamble(_PREAMBLE)
        return data.build(cls, data.varint(), data.varint())


@dataclass(frozen=True, slots=True)
class SnapshotInfo(Record):
    """The latest snapshot of a volume as servers tell it each other; gid and lsid are INVALID_GID when unknown."""

    volume: str
    gid: int
    timestamp: int
    lsid: int

    def __post_init__(self) -> None:
        check_volume_name(self.volume)
        check_timestamp(self.timestamp)

    def write(self, out: Encoder) -> None:
        out.string(self.volume).varint(self.gid).varint(self.timestamp).varint(self.lsid)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, data.string(), data.varint(), data.varint(), data.varint())

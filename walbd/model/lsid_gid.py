"""Storage's records of which gid lies at which lsid (snapshot-model.md sections 3, 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from walbd.model.limits import INVALID_LSID, UINT64_MAX, check_range
from walbd.model.snapshot import INVALID_GID
from walbd.model.timetext import check_timestamp, pretty
from walbd.model.varint import Decoder, Encoder, Record

_PREAMBLE = 0x0314


@dataclass(frozen=True, slots=True)
class LsidGid(Record):
    """The clean snapshot `gid` is the device's content after all log before `lsid` (in physical blocks).

    is_mergeable: the snapshot is implicit, it need not be kept.
    timestamp: UNIX time when the record was made.
    """

    lsid: int = INVALID_LSID
    gid: int = INVALID_GID
    is_mergeable: bool = False
    timestamp: int = 0

    def __post_init__(self) -> None:
        check_range("lsid", self.lsid, 0, UINT64_MAX)
        check_range("gid", self.gid, 0, UINT64_MAX)
        check_timestamp(self.timestamp)

    def status_text(self) -> str:
        """The line of storage's status: `LsidGid timestamp TIME isMergeable 0|1 lsid N gid N`."""
        return (
            f"LsidGid timestamp {pretty(self.timestamp)} isMergeable {int(self.is_mergeable)} "
            f"lsid {self.lsid} gid {self.gid}"
        )

    def write(self, out: Encoder) -> None:
        out.u16(_PREAMBLE).bool(self.is_mergeable).varint(self.timestamp).varint(self.lsid).varint(self.gid)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        data.preamble(_PREAMBLE)
        is_mergeable, timestamp, lsid, gid = data.bool(), data.varint(), data.varint(), data.varint()
        return data.build(cls, lsid, gid, is_mergeable, timestamp)

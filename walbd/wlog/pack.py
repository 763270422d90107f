"""Log packs as objects (wlog-format.md sections 5 to 7): for showing, extracting and restoring logs, not for the hot
path of the daemons. The decoding and every check are the C core's."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from walbd._core import ffi, lib
from walbd.model.error import Corrupted
from walbd.model.limits import LB_BYTES
from walbd.wlog.log_file import SECTOR_TYPE_PACK
from walbd.wlog.super_sector import checksum

_HEADER = struct.Struct("<IHHQHHI")
_RECORD = struct.Struct("<IIQIHHQ")
EXIST: int = lib.WALB_LOG_EXIST
PADDING: int = lib.WALB_LOG_PADDING
DISCARD: int = lib.WALB_LOG_DISCARD
MAX_PACK_PB = 0xFFFF


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record. lsid is where its data begin; lsid_local counts from the pack's header."""

    lsid: int
    lsid_local: int
    offset_lb: int
    size_lb: int
    flags: int
    csum: int

    @property
    def is_padding(self) -> bool:
        """Its data mean nothing."""
        return bool(self.flags & PADDING)

    @property
    def is_discard(self) -> bool:
        """It has no data."""
        return bool(self.flags & DISCARD)

    def data_pb(self, pbs: int) -> int:
        """Blocks of the log that its data take."""
        return 0 if self.is_discard else -(-self.size_lb * LB_BYTES // pbs)


@dataclass(frozen=True, slots=True)
class LogPack:
    """One pack header. total_pb counts the data blocks behind it; csum is the header's own."""

    lsid: int
    total_pb: int
    n_padding: int
    csum: int
    records: Sequence[LogRecord]

    @property
    def end_lsid(self) -> int:
        """Where the next pack begins."""
        return self.lsid + 1 + self.total_pb

    def pack(self, pbs: int, salt: int) -> bytes:
        """The header block, with a checksum of its own."""
        block = bytearray(pbs)
        _HEADER.pack_into(
            block, 0, 0, SECTOR_TYPE_PACK, self.total_pb, self.lsid, len(self.records), self.n_padding, 0
        )  # fmt: skip
        for index, r in enumerate(self.records):
            place = _HEADER.size + index * _RECORD.size
            _RECORD.pack_into(block, place, r.csum, r.flags, r.offset_lb, r.size_lb, r.lsid_local, 0, r.lsid)
        struct.pack_into("<I", block, 0, checksum(block, salt))
        return bytes(block)


def parse_pack(block: bytes | memoryview, pbs: int, salt: int, expected_lsid: int) -> LogPack | int:
    """The pack of a header block, or why it is none: END for the end block, else a negative reason code."""
    raw = ffi.new("walb_log_pack *")
    result = int(lib.walb_log_pack_parse(ffi.from_buffer(block), pbs, salt, expected_lsid, raw))
    if result != 0:
        return result
    records = tuple(
        LogRecord(r.lsid, r.lsid_local, r.offset_lb, r.size_lb, r.flags, r.csum)
        for r in (raw.records[i] for i in range(raw.n_records))
    )
    (csum,) = struct.unpack_from("<I", block)
    return LogPack(raw.lsid, raw.total_pb, raw.n_padding, csum, records)


def build_pack(lsid: int, records: Iterable[LogRecord], pbs: int) -> LogPack:
    """A pack of these records at an lsid, each with the place that follows from their order. Raises Corrupted when they
    do not fit into a pack."""
    placed, local = [], 1
    for record in records:
        placed.append(replace(record, lsid=lsid + local, lsid_local=local))
        local += record.data_pb(pbs)
    if local > MAX_PACK_PB + 1:
        raise Corrupted(f"records of {local - 1} blocks do not fit into the log pack at lsid {lsid}")
    return LogPack(lsid, local - 1, sum(r.is_padding for r in placed), 0, tuple(placed))

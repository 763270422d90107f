"""The native builder of log packs as tests use it: add() writes, build() packs, write() them to a log device."""

from __future__ import annotations

import os
from typing import Any

from walbd._core import ffi, lib
from walbd.model.error import InvalidArgument, StorageFailure
from walbd.wlog.super_sector import SuperSector

PACKS_PER_RECORD = 2
PIECES_PER_RECORD = 4
MAX_RECORD_LB = 65528
DEFAULT_MAX_WRITES = 1024


def max_write_lb(super_sector: SuperSector) -> int:
    """Longest write that is sure to fit into the ring, in logical blocks: about half of it."""
    lb_per_pb = super_sector.pbs // 512
    half_pb = super_sector.ring_size_pb // 2
    return max(0, half_pb - half_pb * lb_per_pb // MAX_RECORD_LB - 1) * lb_per_pb


class PackBuilder:
    """Room for a batch of writes and for the packs made of it."""

    def __init__(self, super_sector: SuperSector, max_pack_pb: int = 0, max_writes: int = DEFAULT_MAX_WRITES) -> None:
        self.pbs = super_sector.pbs
        self.max_writes = max_writes
        self.count = 0
        ring_offset_pb, ring_size_pb = super_sector.ring_offset_pb, super_sector.ring_size_pb
        self._ring = ffi.new(
            "walb_log_ring *", (ring_offset_pb, ring_size_pb, super_sector.pbs, super_sector.salt, max_pack_pb)
        )
        # A write has to fit on its own even when the batch has no room for a second one of that size.
        max_records = max_writes + max_write_lb(super_sector) // MAX_RECORD_LB + 1
        self._max_packs = PACKS_PER_RECORD * max_records
        self._max_pieces = PIECES_PER_RECORD * max_records
        self._writes = ffi.new("walb_log_write[]", max_writes)
        self._headers = ffi.new("uint8_t[]", self._max_packs * self.pbs)
        self._pieces = ffi.new("walb_log_piece[]", self._max_pieces)
        self._built = ffi.new("walb_log_built *")

    def add(self, offset_lb: int, size_lb: int, data: Any, *, starts_pack: bool = False) -> int:
        """Adds a write; data is a cffi pointer that must stay valid and unchanged until write() has returned.

        Returns its index in the batch."""
        return self._add(offset_lb, size_lb, data, 0, starts_pack)

    def add_discard(self, offset_lb: int, size_lb: int, *, starts_pack: bool = False) -> int:
        """Adds a discard; like add()."""
        return self._add(offset_lb, size_lb, ffi.NULL, 1, starts_pack)

    def _add(self, offset_lb: int, size_lb: int, data: Any, is_discard: int, starts_pack: bool) -> int:
        index = self.count
        self._writes[index] = (offset_lb, data, size_lb, is_discard, starts_pack, 0, 0)
        self.count += 1
        return index

    def build(self, lsid: int, limit_lsid: int, first: int = 0) -> int:
        """Forms packs of the writes from index first on, beginning at lsid and ending at or before limit_lsid.

        Returns the index of the first write that is not in them (the log is full, or packs were); their end is
        end_lsid. Raises InvalidArgument when that write can never fit."""
        result = lib.walb_log_pack_build(
            self._ring, lsid, limit_lsid, self._writes + first, self.count - first,
            self._headers, self._max_packs, self._pieces, self._max_pieces, self._built,
        )  # fmt: skip
        stopped = first + int(self._built.n_writes)
        if result != 0 and stopped == first:
            write = self._writes[stopped]
            raise InvalidArgument(
                f"write of {write.size_lb} blocks at {write.offset_lb} does not fit into the log",
                "format a larger log device, or write less at once",
            )
        return stopped

    @property
    def end_lsid(self) -> int:
        """Where the next pack begins, after build()."""
        return int(self._built.end_lsid)

    @property
    def pack_count(self) -> int:
        """Packs of the last build()."""
        return int(self._built.n_packs)

    def lsids_of(self, index: int) -> tuple[int, int]:
        """The range of the log that makes write `index` recoverable, after build()."""
        write = self._writes[index]
        return int(write.lsid), int(write.end_lsid)

    def write(self, fd: int) -> None:
        """Writes the packs of the last build() into the log device; syncs nothing. Raises StorageFailure."""
        result = lib.walb_log_write_pieces(fd, self._pieces, self._built.n_pieces)
        if result != 0:
            raise StorageFailure(f"cannot write to the log device: {os.strerror(-result)}")

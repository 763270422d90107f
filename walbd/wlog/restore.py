"""Writes a log file into the ring of a log device (wlog-format.md section 15, wlog-restore)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from walbd.model.error import Corrupted, InvalidArgument, StorageFailure
from walbd.model.limits import INVALID_LSID, LB_BYTES
from walbd.wlog.pack import EXIST, PADDING, LogPack, LogRecord, build_pack
from walbd.wlog.pack_walk import PackWalk
from walbd.wlog.ring import read_ring, write_ring
from walbd.wlog.super_sector import SuperSector, write_super_sector


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """begin_lsid..end_lsid chooses packs of the file; lsid_diff is added to their lsids. clip_lb leaves out records
    that do not lie wholly below that address, and becomes the size of the device. invalid_lsid is zeroed afterwards.
    verify reads everything back."""

    begin_lsid: int = 0
    end_lsid: int = INVALID_LSID
    lsid_diff: int = 0
    clip_lb: int | None = None
    invalid_lsid: int | None = None
    verify: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """The log that the ring holds now."""

    begin_lsid: int
    end_lsid: int
    n_packs: int
    n_clipped: int


class LogRestore:
    """Writes the packs of one log file into a ring. Until the last moment the ring holds an empty log: the first header
    is written when everything else is durable."""

    def __init__(self, ldev_fd: int, super_sector: SuperSector, walk: PackWalk, options: RestoreOptions) -> None:
        if super_sector.pbs != walk.header.pbs:
            raise InvalidArgument(
                f"the log has blocks of {walk.header.pbs} bytes, the log device of {super_sector.pbs}"
            )
        begin = max(walk.header.begin_lsid, options.begin_lsid) + options.lsid_diff
        if not 0 <= begin < INVALID_LSID:
            raise InvalidArgument(f"lsid out of range:{begin}", "choose another -d")
        self._fd = ldev_fd
        self._walk = walk
        self._options = options
        self._old = super_sector
        self._lsid = self._begin_lsid = begin
        self._first: bytes | None = None
        self._n_packs = self._n_clipped = 0

    def run(self) -> Restored:
        """Does all of it and syncs. Raises Corrupted (the log is damaged), InvalidArgument (it does not fit into the
        ring), StorageFailure; the ring then holds an empty log."""
        for pack in self._walk:
            if pack.lsid >= min(self._options.end_lsid, self._walk.header.end_lsid):
                break
            if pack.lsid < self._options.begin_lsid:
                continue
            if self._n_packs == 0:
                self._start(pack)
            self._put(pack)
        if self._n_packs == 0:
            self._start(None)
        self._zero(self._lsid)
        if self._options.invalid_lsid is not None:
            self._zero(self._options.invalid_lsid)
        self._sync()
        if self._first is not None and self._options.invalid_lsid != self._begin_lsid:
            self._write(self._begin_lsid, self._first)
            self._sync()
        return Restored(self._begin_lsid, self._lsid, self._n_packs, self._n_clipped)

    def _start(self, first: LogPack | None) -> None:
        """Makes the log device one of the file's log sequence with nothing in it."""
        if first is not None:
            self._lsid = self._begin_lsid = first.lsid + self._options.lsid_diff
        header, old = self._walk.header, self._old
        size_lb = old.device_size_lb if self._options.clip_lb is None else self._options.clip_lb
        self._super_sector = replace(
            old, salt=header.salt, uuid=header.uuid, oldest_lsid=self._lsid, written_lsid=self._lsid,
            device_size_lb=size_lb,
        )  # fmt: skip
        self._zero(self._lsid)
        write_super_sector(self._fd, self._super_sector)

    def _put(self, pack: LogPack) -> None:
        """Writes one pack at the next lsid, behind padding where the ring ends."""
        self._n_packs += 1
        pbs, ring_pb = self._walk.header.pbs, self._super_sector.ring_size_pb
        kept = [record for record in pack.records if self._is_inside(record)]
        self._n_clipped += len(pack.records) - len(kept)
        new = build_pack(self._lsid, kept, pbs)
        left_pb = ring_pb - self._lsid % ring_pb
        if new.total_pb + 1 > left_pb:
            size_lb = (left_pb - 1) * pbs // LB_BYTES
            padding = LogRecord(0, 0, 0, size_lb, EXIST | PADDING, 0)
            self._header(build_pack(self._lsid, [padding], pbs))
            new = build_pack(self._lsid + left_pb, kept, pbs)
            self._lsid = new.lsid
        if new.end_lsid > self._begin_lsid + ring_pb:
            raise InvalidArgument(
                f"the log does not fit into the ring of {ring_pb} blocks", "choose a part of it with -b and -e"
            )
        lsid = new.lsid + 1
        for data in self._kept_data(pack):
            self._write(lsid, data)
            lsid += len(data) // pbs
        if kept:
            self._header(new)
            self._lsid = new.end_lsid

    def _kept_data(self, pack: LogPack) -> Iterator[bytes]:
        for record, data in self._walk.data(pack):
            self._walk.check(record, data)
            if self._is_inside(record):
                yield data

    def _is_inside(self, record: LogRecord) -> bool:
        clip_lb = self._options.clip_lb
        return clip_lb is None or record.is_padding or record.offset_lb + record.size_lb <= clip_lb

    def _header(self, pack: LogPack) -> None:
        block = pack.pack(self._super_sector.pbs, self._super_sector.salt)
        if pack.lsid == self._begin_lsid:
            self._first = block
        else:
            self._write(pack.lsid, block)

    def _zero(self, lsid: int) -> None:
        write_ring(self._fd, self._super_sector, lsid, bytes(self._super_sector.pbs))

    def _write(self, lsid: int, data: bytes) -> None:
        write_ring(self._fd, self._super_sector, lsid, data)
        if self._options.verify:
            back = bytearray(len(data))
            read_ring(self._fd, self._super_sector, lsid, memoryview(back))
            if back != data:
                raise Corrupted(f"log device: what was written at lsid {lsid} reads back differently")

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise StorageFailure(f"cannot sync the log device: {error.strerror}") from error

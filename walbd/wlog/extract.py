"""A log file out of the ring of a log device (wlog-format.md sections 9, 12 and 13)."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from walbd._core import ffi, lib
from walbd.model.error import Corrupted, InvalidArgument
from walbd.model.limits import INVALID_LSID, MAX_VOLUME_SIZE_LB
from walbd.wlog.log_file import LogFileHeader, LogFileWriter, end_block
from walbd.wlog.pack import LogPack, parse_pack
from walbd.wlog.redo import BAD_DATA, READ_BYTES, LogRedo, redo_ring
from walbd.wlog.ring import read_ring
from walbd.wlog.stream import END, MORE, NO_PACK, reason
from walbd.wlog.super_sector import SuperSector


@dataclass(frozen=True, slots=True)
class LogExtent:
    """The log that a ring holds from begin_lsid on. When data of its last pack are wrong, the pack was cut before them:
    cut_header is then the header block it has now, at cut_lsid."""

    begin_lsid: int
    end_lsid: int
    cut_lsid: int = INVALID_LSID
    cut_header: bytes = b""


def find_log(ldev_fd: int, super_sector: SuperSector, begin_lsid: int, end_lsid: int = INVALID_LSID) -> LogExtent:
    """Verifies the log from begin_lsid (a pack boundary) up to where it ends, or the first pack at or behind end_lsid.

    A pack with wrong data is cut before them and is the last. Raises Corrupted when a header verifies but is malformed,
    InvalidArgument for an empty range, StorageFailure."""
    _check_range(begin_lsid, end_lsid)
    ring_end = begin_lsid + super_sector.ring_size_pb
    redo, result = _verify(ldev_fd, super_sector, begin_lsid, min(end_lsid, ring_end))
    if begin_lsid < end_lsid and redo.next_lsid < end_lsid and result != BAD_DATA:
        # The limit may have been met inside a pack, which is then part of the log.
        pack = _pack_at(ldev_fd, super_sector, redo.next_lsid)
        if isinstance(pack, LogPack) and pack.end_lsid <= ring_end:
            redo, result = _verify(ldev_fd, super_sector, pack.lsid, pack.end_lsid)
    if result < 0 and result != BAD_DATA and result not in NO_PACK:
        raise Corrupted(f"log pack at lsid {redo.next_lsid}: {reason(result)}")
    if result != BAD_DATA or redo.record == 0:
        return LogExtent(begin_lsid, redo.next_lsid)
    block = bytearray(redo.header)
    lib.walb_log_pack_shrink(ffi.from_buffer(block), super_sector.pbs, super_sector.salt, redo.record)
    return LogExtent(begin_lsid, redo.read_lsid, redo.next_lsid, bytes(block))


def find_headers(ldev_fd: int, super_sector: SuperSector, begin_lsid: int, end_lsid: int = INVALID_LSID) -> LogExtent:
    """The same by the headers alone: data are not looked at."""
    _check_range(begin_lsid, end_lsid)
    lsid, ring_end = begin_lsid, begin_lsid + super_sector.ring_size_pb
    while lsid < min(end_lsid, ring_end):
        pack = _pack_at(ldev_fd, super_sector, lsid)
        if not isinstance(pack, LogPack):
            if pack != END and pack not in NO_PACK:
                raise Corrupted(f"log pack at lsid {lsid}: {reason(pack)}")
            break
        if pack.end_lsid > ring_end:
            break
        lsid = pack.end_lsid
    return LogExtent(begin_lsid, lsid)


def write_log(
    file: BinaryIO,
    ldev_fd: int,
    super_sector: SuperSector,
    extent: LogExtent,
    end_lsid: int = INVALID_LSID,
    *,
    verify: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Writes the extent as a log file; end_lsid stands in its header. `progress` is told how many bytes are done.

    verify: every pack is verified once more as it is written (the ring of a living device moves on). Raises Corrupted,
    StorageFailure, OSError of the file."""
    ss, lsid = super_sector, extent.begin_lsid
    header = LogFileHeader(ss.pbs, ss.salt, ss.uuid, extent.begin_lsid, end_lsid)
    if verify:
        writer = LogFileWriter(file, header)
        write = writer.write
    else:
        file.write(header.pack())
        write = file.write  # type: ignore[assignment]
    window = memoryview(mmap.mmap(-1, READ_BYTES))
    while lsid < extent.end_lsid:
        size_pb = min(READ_BYTES // ss.pbs, extent.end_lsid - lsid, ss.ring_size_pb)
        part = window[: size_pb * ss.pbs]
        read_ring(ldev_fd, ss, lsid, part)
        if lsid <= extent.cut_lsid < lsid + size_pb:
            place = (extent.cut_lsid - lsid) * ss.pbs
            part[place : place + ss.pbs] = extent.cut_header
        write(part)
        lsid += size_pb
        progress((lsid - extent.begin_lsid) * ss.pbs)
    if verify:
        writer.finish()
    else:
        file.write(end_block(ss.pbs, ss.salt))


def _check_range(begin_lsid: int, end_lsid: int) -> None:
    if begin_lsid >= end_lsid:
        raise InvalidArgument(f"no lsid range:{begin_lsid}..{end_lsid}", "the log begins at the oldest lsid")


def _verify(ldev_fd: int, super_sector: SuperSector, begin_lsid: int, limit_lsid: int) -> tuple[LogRedo, int]:
    redo = LogRedo(
        super_sector.pbs, super_sector.salt, begin_lsid, None, MAX_VOLUME_SIZE_LB, limit_lsid=limit_lsid
    )  # fmt: skip
    result = redo_ring(ldev_fd, super_sector, redo)
    return redo, MORE if result == END else result


def _pack_at(ldev_fd: int, super_sector: SuperSector, lsid: int) -> LogPack | int:
    block = bytearray(super_sector.pbs)
    read_ring(ldev_fd, super_sector, lsid, memoryview(block))
    return parse_pack(bytes(block), super_sector.pbs, super_sector.salt, lsid)

"""Start of a device after a crash (wlog-format.md sections 9, 11, 14 and 16): the log beyond written_lsid is applied.

Killed at any point, it can be run again: written_lsid moves last, and redoing a prefix twice changes nothing.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, replace

from walbd._core import ffi, lib
from walbd.model.error import Corrupted, StorageFailure
from walbd.model.limits import LB_BYTES
from walbd.wlog.log_file import end_block
from walbd.wlog.medium import STEP_BYTES, renew
from walbd.wlog.redo import BAD_DATA, READ_BYTES, LogRedo, redo_ring
from walbd.wlog.ring import read_ring, write_ring
from walbd.wlog.stream import MORE, reason
from walbd.wlog.super_sector import SuperSector, device_size_bytes, write_super_sector

# A device never has more log than this that no sync covers.
MAX_UNSYNCED_BYTES = 64 << 20
# Headers are looked for in so much at a time: after a clean stop there is no log to be read.
HEADERS_BYTES = 1 << 20
# What a block that is no pack of this log looks like. Any other reason means that a header verifies and says nonsense:
# acknowledged writes may be behind it.
_NATURAL_ENDS = frozenset(
    (lib.WALB_LOG_BAD_TYPE, lib.WALB_LOG_BAD_CHECKSUM, lib.WALB_LOG_BAD_LSID, lib.WALB_LOG_BAD_EMPTY, lib.WALB_LOG_END)
)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did. super_sector is the one now on the device: its written_lsid is the latest lsid."""

    super_sector: SuperSector
    redone_pb: int
    normal_lb: int
    discard_lb: int
    was_cut: bool
    stale_count: int
    is_overflow: bool


def recover(ldev_fd: int, ddev_fd: int, super_sector: SuperSector, window_pb: int | None = None) -> Recovered:
    """Redoes the log from written_lsid, cuts a partly valid last pack, invalidates stale ones, stores the super sector.

    Both descriptors are open for writing and owned by the caller. So far behind the end of
    the log stale packs are searched: window_pb blocks; None: the whole ring, which is right when nothing is known of
    the crash and nobody searches the rest before new log gets there. Raises StorageFailure on
    any read, write or sync error, Corrupted when a valid header is malformed or a record lies outside the data device.
    """
    begin = super_sector.written_lsid
    size_lb = checked_size_lb(ddev_fd, super_sector)
    limit = begin + super_sector.ring_size_pb
    _make_durable(ldev_fd, super_sector)
    redo = LogRedo(super_sector.pbs, super_sector.salt, begin, ddev_fd, size_lb, limit_lsid=limit)
    result = redo_ring(ldev_fd, super_sector, redo)
    if result not in (MORE, BAD_DATA) and result not in _NATURAL_ENDS:
        raise Corrupted(
            f"log pack at lsid {redo.next_lsid} verifies but is malformed: {reason(result)}",
            "the log was written by a defective program; format the log device after saving both devices",
        )
    if redo.outside_count > 0:
        raise Corrupted(
            f"{redo.outside_count} records of the log lie outside the data device of {size_lb} blocks",
            "is this the data device that belongs to the log device?",
        )
    latest = redo.next_lsid
    if result == BAD_DATA:
        latest = _cut(ldev_fd, super_sector, redo)
    ring_size_pb = super_sector.ring_size_pb
    stale_count = invalidate_stale(
        ldev_fd, super_sector, latest, ring_size_pb if window_pb is None else min(window_pb, ring_size_pb)
    )
    _sync(ddev_fd, "data")
    if result == BAD_DATA or stale_count > 0:
        _sync(ldev_fd, "log")
    recovered = replace(super_sector, written_lsid=latest)
    write_super_sector(ldev_fd, recovered)
    return Recovered(
        recovered,
        latest - begin,
        redo.normal_lb,
        redo.discard_lb,
        result == BAD_DATA,
        stale_count,
        is_overflown(ldev_fd, recovered, latest),
    )


def _make_durable(ldev_fd: int, super_sector: SuperSector) -> None:
    """Nothing may be redone that a power cut could take out of the log (wdev.md section 15.5): a killed server leaves
    log that is not synced yet, a failed sync leaves log that no later sync writes."""
    _sync(ldev_fd, "log")
    begin, end = super_sector.written_lsid, _end_of_headers(ldev_fd, super_sector)
    if end > begin:
        from_lsid = max(begin, end - MAX_UNSYNCED_BYTES // super_sector.pbs)
        # What follows decides where the log ends.
        to_lsid = min(end + STEP_BYTES // super_sector.pbs, begin + super_sector.ring_size_pb)
        renew(ldev_fd, super_sector, from_lsid, to_lsid)


def _end_of_headers(ldev_fd: int, super_sector: SuperSector) -> int:
    """Where the log from written_lsid on ends if the data of all its packs are right."""
    pbs, limit = super_sector.pbs, super_sector.written_lsid + super_sector.ring_size_pb
    lsid = ffi.new("uint64_t *", super_sector.written_lsid)
    window = memoryview(mmap.mmap(-1, HEADERS_BYTES))
    is_end = False
    while lsid[0] < limit and not is_end:
        size_pb = min(HEADERS_BYTES // pbs, limit - lsid[0])
        part = window[: size_pb * pbs]
        read_ring(ldev_fd, super_sector, lsid[0], part)
        is_end = lib.walb_log_follow(ffi.from_buffer(part), size_pb, pbs, super_sector.salt, lsid)
    return int(min(lsid[0], limit))


def is_overflown(ldev_fd: int, super_sector: SuperSector, latest_lsid: int) -> bool:
    """True when the ring no longer holds all of [oldest, latest): section 11."""
    oldest = super_sector.oldest_lsid
    if latest_lsid == oldest:
        return False
    if latest_lsid - oldest > super_sector.ring_size_pb:
        return True
    block = bytearray(super_sector.pbs)
    read_ring(ldev_fd, super_sector, oldest, memoryview(block))
    pack = ffi.new("walb_log_pack *")
    result = lib.walb_log_pack_parse(ffi.from_buffer(block), super_sector.pbs, super_sector.salt, oldest, pack)
    return bool(result != 0)


def checked_size_lb(ddev_fd: int, super_sector: SuperSector) -> int:
    """Size of the data device. Raises Corrupted when it is smaller than the super sector says."""
    try:
        size_lb = device_size_bytes(ddev_fd) // LB_BYTES
    except OSError as error:
        raise StorageFailure(f"cannot examine the data device: {error.strerror}") from error
    if super_sector.device_size_lb > size_lb:
        raise Corrupted(
            f"data device has {size_lb} blocks, the log device says {super_sector.device_size_lb}",
            "is this the data device that belongs to the log device?",
        )
    return size_lb


def _cut(ldev_fd: int, super_sector: SuperSector, redo: LogRedo) -> int:
    """Rewrites the header of the pack whose record redo.record is wrong (section 9); returns the end of the log."""
    if redo.record == 0:
        write_ring(ldev_fd, super_sector, redo.next_lsid, end_block(super_sector.pbs, super_sector.salt))
        return redo.next_lsid
    block = bytearray(redo.header)
    lib.walb_log_pack_shrink(ffi.from_buffer(block), super_sector.pbs, super_sector.salt, redo.record)
    write_ring(ldev_fd, super_sector, redo.next_lsid, block)
    return redo.read_lsid


def invalidate_stale(ldev_fd: int, super_sector: SuperSector, latest: int, window_pb: int) -> int:
    """Zeroes what a later recovery could take for a continuation of the log (16.5); returns how many blocks."""
    pbs, count = super_sector.pbs, 0
    zeros = bytes(pbs)
    index = ffi.new("uint64_t *")
    window = memoryview(mmap.mmap(-1, READ_BYTES))
    for start in range(latest, latest + window_pb, READ_BYTES // pbs):
        size_pb = min(READ_BYTES // pbs, latest + window_pb - start)
        part = window[: size_pb * pbs]
        read_ring(ldev_fd, super_sector, start, part)
        index[0] = 0
        while lib.walb_log_find_stale(ffi.from_buffer(part), size_pb, start, pbs, super_sector.salt, index):
            write_ring(ldev_fd, super_sector, start + index[0], zeros)
            index[0] += 1
            count += 1
    return count


def _sync(fd: int, what: str) -> None:
    try:
        os.fdatasync(fd)
    except OSError as error:
        raise StorageFailure(f"cannot sync the {what} device: {error.strerror}") from error

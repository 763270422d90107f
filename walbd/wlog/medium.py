"""What of a log device is on the medium, and not only in the kernel's memory.

When writing back fails, the kernel tells each open file once and keeps the pages as if they had been written: reads
find them, and no later sync writes them. So after a failed sync the page cache may hold log that a power cut would take
away. Redone as it is, the data device would get ahead of the log; ignored, acknowledged writes would be lost.
"""

from __future__ import annotations

import mmap
import os

from walbd.model.error import StorageFailure
from walbd.wlog.ring import read_ring, write_ring
from walbd.wlog.super_sector import SuperSector

STEP_BYTES = 4 << 20


def renew(ldev_fd: int, super_sector: SuperSector, begin_lsid: int, end_lsid: int) -> None:
    """Writes this part of the ring again, durably, where the page cache holds something else than the medium. Where the
    page cache cannot be passed by (tmpfs; blocks larger than pbs), it is believed. Raises StorageFailure."""
    direct_fd = _open_direct(ldev_fd, super_sector)
    if direct_fd is None:
        return
    cached, kept = mmap.mmap(-1, STEP_BYTES), mmap.mmap(-1, STEP_BYTES)
    step_pb, is_written = STEP_BYTES // super_sector.pbs, False
    try:
        for lsid in range(begin_lsid, end_lsid, step_pb):
            size_bytes = min(step_pb, end_lsid - lsid) * super_sector.pbs
            read_ring(ldev_fd, super_sector, lsid, memoryview(cached)[:size_bytes])
            read_ring(direct_fd, super_sector, lsid, memoryview(kept)[:size_bytes])
            if cached[:size_bytes] != kept[:size_bytes]:
                write_ring(ldev_fd, super_sector, lsid, cached[:size_bytes])
                is_written = True
        if is_written:
            os.fdatasync(ldev_fd)
    except OSError as error:
        raise StorageFailure(f"cannot sync the log device: {error.strerror}") from error
    finally:
        os.close(direct_fd)


def _open_direct(ldev_fd: int, super_sector: SuperSector) -> int | None:
    """The log device once more, to be read beside the page cache."""
    pbs = super_sector.pbs
    try:
        fd = os.open(f"/proc/self/fd/{ldev_fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        os.preadv(fd, [memoryview(mmap.mmap(-1, 2 * pbs))[pbs:]], super_sector.ring_offset_pb * pbs)
    except OSError:
        os.close(fd)
        return None
    return fd

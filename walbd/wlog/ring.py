"""The ring buffer of a log device (wlog-format.md section 4): where an lsid lies, and access across the ring end."""

from __future__ import annotations

import os

from walbd.model.error import InvalidArgument, StorageFailure
from walbd.model.limits import INVALID_LSID
from walbd.wlog.super_sector import SuperSector


def pb_of_lsid(super_sector: SuperSector, lsid: int) -> int:
    """Block of the log device that holds an lsid. Raises InvalidArgument for the invalid lsid."""
    if not 0 <= lsid < INVALID_LSID:
        raise InvalidArgument(f"no lsid:{lsid}")
    return super_sector.ring_offset_pb + lsid % super_sector.ring_size_pb


def _runs(super_sector: SuperSector, lsid: int, size_bytes: int) -> list[tuple[int, int]]:
    """(position, length) in bytes of what is contiguous on the device: the ring end splits."""
    pbs, runs = super_sector.pbs, []
    if size_bytes % pbs or size_bytes > super_sector.ring_size_pb * pbs:
        raise InvalidArgument(f"{size_bytes} bytes are no whole blocks of the ring")
    while size_bytes > 0:
        start_pb = pb_of_lsid(super_sector, lsid)
        run_pb = min(size_bytes // pbs, super_sector.ring_offset_pb + super_sector.ring_size_pb - start_pb)
        runs.append((start_pb * pbs, run_pb * pbs))
        lsid += run_pb
        size_bytes -= run_pb * pbs
    return runs


def read_ring(fd: int, super_sector: SuperSector, lsid: int, buffer: memoryview) -> None:
    """Fills the buffer, a number of whole blocks, with the log from lsid on. Raises StorageFailure."""
    done = 0
    try:
        for position, size in _runs(super_sector, lsid, len(buffer)):
            end = done + size
            while done < end:
                count = os.preadv(fd, [buffer[done:end]], position + size - (end - done))
                if count == 0:
                    raise StorageFailure(f"cannot read the log at lsid {lsid}: the log device ends in its ring")
                done += count
    except OSError as error:
        raise StorageFailure(f"cannot read the log at lsid {lsid}: {error.strerror}") from error


def write_ring(fd: int, super_sector: SuperSector, lsid: int, data: bytes | bytearray | memoryview) -> None:
    """Writes whole blocks into the ring from lsid on; syncs nothing. Raises StorageFailure."""
    view, done = memoryview(data), 0
    try:
        for position, size in _runs(super_sector, lsid, len(view)):
            end = done + size
            while done < end:
                done += os.pwrite(fd, view[done:end], position + size - (end - done))
    except OSError as error:
        raise StorageFailure(f"cannot write the log at lsid {lsid}: {error.strerror}") from error

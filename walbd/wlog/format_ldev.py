"""Formats a log device (wlog-format.md sections 3 and 16.10)."""

from __future__ import annotations

import secrets

from walbd._core import lib
from walbd.model.error import InvalidArgument, StorageFailure
from walbd.model.limits import check_volume_size_lb
from walbd.model.uuid_text import UUID_BYTES
from walbd.wlog.super_sector import (
    PHYSICAL_BLOCK_SIZES,
    SuperSector,
    check_pbs,
    check_super_name,
    device_size_bytes,
    physical_block_size,
    write_super_sector,
)

SALT_BITS = 32
# What a device can be served with: room for a header, padding and a record several times over.
MIN_RING_PB = 64


def format_ldev(
    fd: int,
    device_size_lb: int,
    name: str = "",
    *,
    pbs: int | None = None,
    discard: bool = True,
    path: str = "log device",
) -> SuperSector:
    """Writes a new, empty log with random uuid and salt into the log device open for writing at fd; syncs it.

    device_size_lb is the size of the data device. pbs is an argument for regular files only (None: 512): block devices
    say theirs. With discard the whole device is freed first where that is possible; where not, the new salt hides what
    lies in the ring. `path` is for messages. Raises InvalidArgument (name longer than 25 bytes, device too small ...),
    StorageFailure.
    """
    check_super_name(name)
    check_volume_size_lb(device_size_lb)
    try:
        use, size_bytes = _block_size(fd, pbs), device_size_bytes(fd)
    except OSError as error:
        raise StorageFailure(f"cannot examine {path}: {error.strerror}") from error
    blank = SuperSector(
        use, secrets.randbits(SALT_BITS), secrets.token_bytes(UUID_BYTES), name, 0, 0, 0, device_size_lb
    )
    ring_size_pb = size_bytes // use - blank.ring_offset_pb
    if ring_size_pb < MIN_RING_PB:
        raise InvalidArgument(
            f"{path} is too small for a log device: {size_bytes} bytes",
            f"it needs at least {(blank.ring_offset_pb + MIN_RING_PB) * use}, and much more to be of use",
        )
    super_sector = SuperSector(use, blank.salt, blank.uuid, name, ring_size_pb, 0, 0, device_size_lb)
    if discard:
        lib.walb_punch_hole(fd, 0, size_bytes)
    write_super_sector(fd, super_sector, name=path)
    return super_sector


def _block_size(fd: int, pbs: int | None) -> int:
    own = physical_block_size(fd)
    if own is None:
        return check_pbs(pbs or min(PHYSICAL_BLOCK_SIZES))
    if pbs not in (None, own):
        raise InvalidArgument(f"block size {pbs} given for a block device of {own}", "leave it out for block devices")
    return check_pbs(own)

"""What must be right of a log device and a data device that are to be served. Nothing is changed."""

from __future__ import annotations

import os
import stat

from walbd.model.error import Corrupted, InvalidArgument, WalbError
from walbd.wlog.format_ldev import MIN_RING_PB
from walbd.wlog.super_sector import SuperSector, physical_block_size, read_super_sector

# Where a super sector lies, and before it.
HEAD_BYTES = 16 << 10


def verified_sector(log_fd: int, data_fd: int, ldev_path: str, ddev_path: str, name: str) -> SuperSector:
    """The super sector of a pair that can be served under a name. Blocks; raises Corrupted and InvalidArgument."""
    log_bytes, data_bytes = physical_block_size(log_fd), physical_block_size(data_fd)
    if log_bytes and data_bytes and log_bytes != data_bytes:
        raise InvalidArgument(f"physical block sizes differ: {ldev_path} {log_bytes}, {ddev_path} {data_bytes}")
    try:
        sector = read_super_sector(log_fd, log_bytes or data_bytes, ldev_path)
    except Corrupted as error:
        if _is_log_device(data_fd, log_bytes or data_bytes, ddev_path):
            # Formatting would be the worst thing to do now.
            raise InvalidArgument(
                f"{ldev_path} is not a log device, but {ddev_path} is one", "are -ldev and -ddev exchanged?"
            ) from error
        raise Corrupted(
            error.message, _remedy(log_fd, f"wdevc format-ldev {ldev_path} {ddev_path} -n {name}")
        ) from error
    if sector.ring_size_pb < MIN_RING_PB:
        raise InvalidArgument(
            f"log device {ldev_path} has room for {sector.ring_size_pb} blocks of log only",
            f"give it at least {MIN_RING_PB} and format it",
        )
    return sector


def refuse_one_for_both(ldev_path: str, ddev_path: str) -> None:
    """Raises InvalidArgument when both are one and the same."""
    try:
        log, data = os.stat(ldev_path), os.stat(ddev_path)
    except OSError:
        return  # opening them tells more
    is_same_node = stat.S_ISBLK(log.st_mode) and stat.S_ISBLK(data.st_mode) and log.st_rdev == data.st_rdev
    if is_same_node or os.path.samestat(log, data):
        raise InvalidArgument(
            f"{ldev_path} is named as the log device and as the data device", "name two devices with -ldev and -ddev"
        )


def _is_log_device(fd: int, pbs: int | None, path: str) -> bool:
    try:
        read_super_sector(fd, pbs, path)
    except WalbError:
        return False
    return True


def _remedy(log_fd: int, command: str) -> str:
    """What to do about a bad super sector. Formatting a log device that was in use throws acknowledged writes away."""
    try:
        is_blank = not any(os.pread(log_fd, HEAD_BYTES, 0))
    except OSError:
        is_blank = False
    if is_blank:
        return f"a new one is made ready with: {command}"
    return (
        "is it the right device? If it was in use, copy both devices away first: the log may hold the only copy of "
        f"acknowledged writes. '{command}' gives that log up; check the file system then, and make a new full backup"
    )

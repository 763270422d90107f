"""What happens between taking the two devices and serving: checks and redo (wdev.md sections 5 and 15.14-17)."""

from __future__ import annotations

import os
from dataclasses import replace

from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.look_ahead import window_pb
from walbd.device.user.messages import info_line, warning_line
from walbd.model.error import Corrupted, InvalidArgument, WalbError
from walbd.wlog.format_ldev import MIN_RING_PB
from walbd.wlog.recovery import recover
from walbd.wlog.super_sector import SuperSector, read_super_sector

# Where a super sector lies, and before it.
HEAD_BYTES = 16 << 10


def open_device(files: DeviceFiles, name: str) -> tuple[SuperSector, bool]:
    """Verifies the pair, redoes what the data device lacks, and returns the super sector as it is on disk now (but for
    the name, which the next super write stores) and the overflow flag. Blocks."""
    try:
        sector = read_super_sector(files.log_fd, files.physical_block_bytes(), files.ldev_path)
    except Corrupted as error:
        raise Corrupted(error.message, _remedy(files, name)) from error
    if sector.ring_size_pb < MIN_RING_PB:
        raise InvalidArgument(
            f"log device {files.ldev_path} has room for {sector.ring_size_pb} blocks of log only",
            f"give it at least {MIN_RING_PB} and format it",
        )
    # A killed server may have left log that is not durable yet; the data device must not get ahead of it (15.5).
    files.sync_log()
    try:
        recovered = recover(files.log_fd, files.data_fd, sector, window_pb(sector))
    except WalbError as error:
        # Recovery knows descriptors only.
        error.message = f"redo of {files.ldev_path} onto {files.ddev_path}: {error.message}"
        raise
    if recovered.redone_pb or recovered.was_cut:
        info_line(
            f"redone: lsid {sector.written_lsid} to {recovered.super_sector.written_lsid}, "
            f"{recovered.normal_lb} blocks written, {recovered.discard_lb} discarded"
        )
    if recovered.was_cut:
        warning_line("the last log pack was incomplete and was cut")
    return replace(recovered.super_sector, name=name), recovered.is_overflow


def _remedy(files: DeviceFiles, name: str) -> str:
    """What to do about a bad super sector. Formatting a log device that was in use throws acknowledged writes away."""
    command = f"wdevc format-ldev {files.ldev_path} {files.ddev_path} -n {name}"
    try:
        is_blank = not any(os.pread(files.log_fd, HEAD_BYTES, 0))
    except OSError:
        is_blank = False
    if is_blank:
        return f"a new one is made ready with: {command}"
    return (
        "is it the right device? If it was in use, copy both devices away first: the log may hold the only copy of "
        f"acknowledged writes. '{command}' gives that log up; check the file system then, and make a new full backup"
    )

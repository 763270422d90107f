"""What happens between taking the two devices and serving: checks and redo (wdev.md sections 5 and 15.14-17)."""

from __future__ import annotations

from dataclasses import replace

from walbd.device.user.device_files import DeviceFiles
from walbd.model.error import BadState, InvalidArgument
from walbd.wlog.super_sector import SuperSector, read_super_sector

MIN_RING_PB = 64


def open_device(files: DeviceFiles, name: str) -> tuple[SuperSector, bool]:
    """Verifies the pair, redoes what the data device lacks, and returns the super sector as it is on disk now and the
    overflow flag. Blocks."""
    sector = read_super_sector(files.log_fd, files.physical_block_bytes())
    if sector.ring_size_pb < MIN_RING_PB:
        raise InvalidArgument(
            f"log device {files.ldev_path} has room for {sector.ring_size_pb} blocks of log only",
            f"give it at least {MIN_RING_PB} and format it",
        )
    data_size_lb = files.data_size_lb()
    if sector.device_size_lb > data_size_lb:
        raise InvalidArgument(
            f"data device {files.ddev_path} has {data_size_lb} blocks, its log is for {sector.device_size_lb}",
            "is it the right pair?",
        )
    if files.has_pack(sector, sector.written_lsid):
        raise BadState("the log must be redone first")
    sector = replace(sector, name=name)
    usage_pb = sector.written_lsid - sector.oldest_lsid
    is_overflow = usage_pb > sector.ring_size_pb or (usage_pb > 0 and not files.has_pack(sector, sector.oldest_lsid))
    return sector, is_overflow

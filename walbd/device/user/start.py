"""What happens between taking the two devices and serving: checks and redo (wdev.md sections 5 and 15.14-17)."""

from __future__ import annotations

from dataclasses import replace

from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.look_ahead import window_pb
from walbd.device.user.messages import info_line, warning_line
from walbd.device.user.pair import verified_sector
from walbd.model.error import WalbError
from walbd.wlog.recovery import recover
from walbd.wlog.super_sector import SuperSector


def open_device(files: DeviceFiles, name: str) -> tuple[SuperSector, bool]:
    """Verifies the pair, redoes what the data device lacks, and returns the super sector as it is on disk now (but for
    the name, which the next super write stores) and the overflow flag. Blocks."""
    sector = verified_sector(files.log_fd, files.data_fd, files.ldev_path, files.ddev_path, name)
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

"""`walb-device --check`: whether a device could be served with these options. Nothing is changed, owned or listened on,
so it can be asked while the device is served."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

from walbd.device.control import CONTROL_SUFFIX
from walbd.device.user.server import ServerOptions
from walbd.device.user.sockets import is_answered, socket_path
from walbd.model.error import Corrupted, InvalidArgument, StorageFailure
from walbd.model.limits import LB_BYTES
from walbd.wlog.format_ldev import MIN_RING_PB
from walbd.wlog.super_sector import SuperSector, device_size_bytes, physical_block_size, read_super_sector
from walbd.world.network import check_listen


def check_device(options: ServerOptions) -> str:
    """One line saying that all is fine. Raises the WalbError that a start would end with."""
    control = socket_path(options.socket_dir, options.name, CONTROL_SUFFIX)
    _check_folder(options.socket_dir)
    is_served = is_answered(control)
    with ExitStack() as opened:
        log_fd, data_fd = (_open(path, opened) for path in (options.ldev_path, options.ddev_path))
        sector = _check_pair(options, log_fd, data_fd)
    if options.tcp is not None:
        check_listen(options.tcp.host, options.tcp.port, may_be_taken=is_served)
    state = "served now" if is_served else "not served now"
    return f"walb-device {options.name} can be served: {sector.device_size_lb} blocks ({state})"


def _check_folder(folder: Path) -> None:
    """The socket folder, or the nearest one above it that is there, can be written."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        raise StorageFailure(f"cannot use socket folder {folder}: {place} cannot be written", "name a folder with -s")


def _open(path: str, opened: ExitStack) -> int:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISBLK(mode) and not stat.S_ISREG(mode):
            raise InvalidArgument(f"{path} is neither a file nor a block device")
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageFailure(f"cannot open {path}: {error.strerror}", "is the path right, is it activated?") from error
    opened.callback(os.close, fd)
    if not os.access(path, os.W_OK, effective_ids=True):
        raise StorageFailure(f"cannot open {path}: it may not be written")
    return fd


def _check_pair(options: ServerOptions, log_fd: int, data_fd: int) -> SuperSector:
    log, data = physical_block_size(log_fd), physical_block_size(data_fd)
    if log and data and log != data:
        raise InvalidArgument(f"physical block sizes differ: {options.ldev_path} {log}, {options.ddev_path} {data}")
    try:
        sector = read_super_sector(log_fd, log or data, options.ldev_path)
    except Corrupted as error:
        raise Corrupted(error.message, "is it the log device? What to do is said when it is started") from error
    if sector.ring_size_pb < MIN_RING_PB:
        raise InvalidArgument(f"log device {options.ldev_path} has room for {sector.ring_size_pb} blocks of log only")
    size_lb = device_size_bytes(data_fd) // LB_BYTES
    if sector.device_size_lb > size_lb:
        raise Corrupted(
            f"data device {options.ddev_path} has {size_lb} blocks, the log device says {sector.device_size_lb}",
            "is this the data device that belongs to the log device?",
        )
    return sector

"""`walb-device --check`: whether a device could be served with these options. Nothing is changed, owned or listened on,
so it can be asked while the device is served."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

from walbd.device.control import CONTROL_SUFFIX
from walbd.device.user.pair import refuse_one_for_both, verified_sector
from walbd.device.user.server import ServerOptions
from walbd.device.user.sockets import is_answered, socket_path
from walbd.model.error import InvalidArgument, StorageFailure, WalbError
from walbd.wlog.recovery import checked_size_lb
from walbd.wlog.super_sector import SuperSector
from walbd.world.network import check_listen


def check_device(options: ServerOptions) -> str:
    """One line saying that all is fine. Raises the WalbError that a start would end with."""
    control = socket_path(options.socket_dir, options.name, CONTROL_SUFFIX)
    _check_folder(options.socket_dir)
    is_served = is_answered(control)
    refuse_one_for_both(options.ldev_path, options.ddev_path)
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
    sector = verified_sector(log_fd, data_fd, options.ldev_path, options.ddev_path, options.name)
    try:
        checked_size_lb(data_fd, sector)
    except WalbError as error:
        error.message = f"{options.ddev_path}: {error.message}"
        raise
    return sector

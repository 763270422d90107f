"""Starting devices from wdevc: a walb-device process of its own, or the kernel driver's START_DEV."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path

from walbd.device.control import CONTROL_SUFFIX
from walbd.device.device_log import DeviceLog
from walbd.device.kernel_ioctl import (
    ANY_MINOR,
    CONTROL_NODE,
    ENTRY_BYTES,
    IOCTL_CONTROL,
    START_BYTES,
    ControlCommand,
    Half,
    StartParameters,
    call,
    pack_ctl,
    parse_entries,
    started_name,
)
from walbd.device.user_device import UserDevice
from walbd.model.error import InvalidArgument, StorageFailure, WalbError
from walbd.model.limits import check_device_name
from walbd.wlog.super_sector import read_super_sector

LIST_STEP = 32
MAX_MINOR = 1 << 20
LOOK_SEC = 0.05
SERVER_COMMAND = (sys.executable, "-m", "walbd.device.main")


async def create_user_device(ldev_path: str, ddev_path: str, name: str, socket_dir: Path) -> list[str]:
    """Starts walb-device detached from this process, its messages in SOCKET_DIR/NAME.log, and returns when it serves.
    Raises StorageFailure with its own reason when it ends instead."""
    server = await asyncio.to_thread(_DetachedServer, ldev_path, ddev_path, name, socket_dir)
    device = UserDevice(server.control_path)
    try:
        while server.process.poll() is None:
            with contextlib.suppress(WalbError):
                if await device.server_pid() != server.process.pid:
                    continue  # another server of that name; ours will say so
                return [f"name {server.name}", "major 0", "minor 0"]
            await asyncio.sleep(LOOK_SEC)
    finally:
        await device.close()
    raise StorageFailure(f"walb-device did not start: {await asyncio.to_thread(server.last_message)}")


class _DetachedServer:
    """A walb-device process in a session of its own."""

    def __init__(self, ldev_path: str, ddev_path: str, name: str, socket_dir: Path) -> None:
        self.name = check_device_name(name or _name_on(ldev_path))
        self.control_path = socket_dir / f"{self.name}{CONTROL_SUFFIX}"
        paths = ("-ldev", str(Path(ldev_path).absolute()), "-ddev", str(Path(ddev_path).absolute()))
        with DeviceLog(socket_dir, self.name) as self._log:
            self.process = subprocess.Popen(
                [*SERVER_COMMAND, "-n", self.name, *paths, "-s", str(socket_dir.absolute())],
                stdin=subprocess.DEVNULL,
                stdout=self._log.file,
                stderr=self._log.file,
                start_new_session=True,
                cwd="/",
            )

    def last_message(self) -> str:
        """The last line it wrote."""
        return self._log.last_message()


def _name_on(ldev_path: str) -> str:
    """The name in the super sector."""
    try:
        fd = os.open(ldev_path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageFailure(f"cannot open {ldev_path}: {error.strerror}") from error
    try:
        return read_super_sector(fd, name=ldev_path).name
    finally:
        os.close(fd)


def _device_number(path: str) -> int:
    try:
        status = os.stat(path)
    except OSError as error:
        raise StorageFailure(f"cannot open {path}: {error.strerror}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidArgument(f"{path} is no block device", "plain files need -user")
    return status.st_rdev


async def create_kernel_device(ldev_path: str, ddev_path: str, parameters: StartParameters) -> list[str]:
    """START_DEV (wdev.md section 10)."""
    log, data = _device_number(ldev_path), _device_number(ddev_path)
    given = ctypes.create_string_buffer(parameters.pack(), START_BYTES)
    used = ctypes.create_string_buffer(START_BYTES)
    numbers = Half(
        wminor=ANY_MINOR,
        lmajor=os.major(log),
        lminor=os.minor(log),
        dmajor=os.major(data),
        dminor=os.minor(data),
        buf_size=START_BYTES,
        buf=ctypes.addressof(given),
    )
    k2u = Half(buf_size=START_BYTES, buf=ctypes.addressof(used))
    ctl = pack_ctl(ControlCommand.START_DEV, u2k=numbers, k2u=k2u)
    answer = await asyncio.to_thread(call, CONTROL_NODE, IOCTL_CONTROL, ctl)
    return [f"name {started_name(used.raw)}", f"major {answer.wmajor}", f"minor {answer.wminor}"]


def list_kernel_devices() -> list[tuple[str, int, int]]:
    """(name, major, minor) of every device of the driver; none when it is not loaded."""
    found: list[tuple[str, int, int]] = []
    begin = 0
    while begin < MAX_MINOR and os.path.exists(CONTROL_NODE):
        minors = ctypes.create_string_buffer(begin.to_bytes(4, sys.byteorder) + MAX_MINOR.to_bytes(4, sys.byteorder), 8)
        entries = ctypes.create_string_buffer(LIST_STEP * ENTRY_BYTES)
        ctl = pack_ctl(
            ControlCommand.LIST_DEV,
            u2k=Half(buf_size=8, buf=ctypes.addressof(minors)),
            k2u=Half(buf_size=len(entries), buf=ctypes.addressof(entries)),
        )
        count = call(CONTROL_NODE, IOCTL_CONTROL, ctl).val_int
        step = parse_entries(entries.raw, count)
        if not step:
            break
        found += step
        begin = step[-1][2] + 2
    return found

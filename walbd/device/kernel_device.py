"""A walb device of the kernel driver: ioctls on its node, texts in sysfs (wdev.md sections 9, 10 and 13)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from pathlib import Path

from walbd.device.device import DeviceInfo, LsidSet
from walbd.device.driver_calls import DriverCalls
from walbd.device.kernel_ioctl import (
    CONTROL_NODE,
    IOCTL_CONTROL,
    IOCTL_WDEV,
    Answer,
    ControlCommand,
    DeviceCommand,
    Half,
    call,
    pack_ctl,
    parse_lsids,
    parse_uuid,
    read_sysfs,
)
from walbd.model.error import StorageFailure
from walbd.wlog.super_sector import read_super_sector

NODE_FOLDER = Path("/dev/walb")
SYSFS_BLOCK = Path("/sys/block")
# The driver's event tells only that an empty log became non-empty; everything else is seen by looking again.
LOOK_AGAIN_SEC = 1.0


class KernelDevice:
    """WalbDevice served by the kernel driver. The folders are parameters for tests."""

    def __init__(self, name: str, nodes: Path = NODE_FOLDER, sysfs: Path = SYSFS_BLOCK) -> None:
        self.name = name
        self._node = nodes / name
        self._log_node = nodes / f"L{name}"
        self._block = sysfs / f"walb!{name}"
        self._sysfs = self._block / "walb"
        self._calls = DriverCalls()

    async def _command(self, command: DeviceCommand, *, val_u64: int = 0, val_u32: int = 0) -> Answer:
        ctl = pack_ctl(command, val_u64=val_u64, val_u32=val_u32)
        return await self._calls.run(call, str(self._node), IOCTL_WDEV, ctl)

    async def info(self) -> DeviceInfo:
        is_overflow = (await self._command(DeviceCommand.IS_LOG_OVERFLOW)).val_int != 0
        return await self._calls.run(self._read_info, is_overflow)

    def _read_info(self, is_overflow: bool) -> DeviceInfo:
        fd = _open(self._log_node, 0)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # the driver writes beside the page cache
            sector = read_super_sector(fd, name=str(self._log_node))
        finally:
            os.close(fd)
        return DeviceInfo(
            name=self.name,
            kind="kernel",
            size_lb=int(read_sysfs(self._block / "size")),
            pbs=sector.pbs,
            uuid=parse_uuid(read_sysfs(self._sysfs / "uuid")),
            salt=sector.salt,
            ring_size_pb=int(read_sysfs(self._sysfs / "log_capacity")),
            is_overflow=is_overflow,
            log_usage_pb=int(read_sysfs(self._sysfs / "log_usage")),
            ldev_path=str(self._log_node),
            ddev_path=str(self._node),
        )

    async def lsids(self) -> LsidSet:
        return parse_lsids(read_sysfs(self._sysfs / "lsids"))

    async def wait(self, seen: LsidSet, timeout_sec: float) -> LsidSet:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_sec
        with _LsidsEvents(self._sysfs / "lsids") as events:
            while True:
                lsids = await self.lsids()
                left = deadline - loop.time()
                if lsids != seen or left <= 0:
                    return lsids
                await events.next(min(left, LOOK_AGAIN_SEC))

    async def set_oldest(self, lsid: int) -> None:
        await self._command(DeviceCommand.SET_OLDEST_LSID, val_u64=lsid)

    async def take_checkpoint(self) -> None:
        await self._command(DeviceCommand.TAKE_CHECKPOINT)

    async def reset_wal(self) -> None:
        await self._command(DeviceCommand.CLEAR_LOG)

    async def resize(self, size_lb: int) -> None:
        await self._command(DeviceCommand.RESIZE, val_u64=size_lb)

    async def freeze(self, timeout_sec: int) -> None:
        await self._command(DeviceCommand.FREEZE, val_u32=timeout_sec)

    async def melt(self) -> None:
        await self._command(DeviceCommand.MELT)

    async def checkpoint_interval_ms(self) -> int:
        return (await self._command(DeviceCommand.GET_CHECKPOINT_INTERVAL)).val_u32

    async def set_checkpoint_interval_ms(self, interval_ms: int) -> None:
        await self._command(DeviceCommand.SET_CHECKPOINT_INTERVAL, val_u32=interval_ms)

    async def is_frozen(self) -> bool:
        return (await self._command(DeviceCommand.IS_FROZEN)).val_int != 0

    async def is_flush_capable(self) -> bool:
        return (await self._command(DeviceCommand.IS_FLUSH_CAPABLE)).val_int != 0

    async def delete(self, is_forced: bool) -> None:
        number = os.stat(self._node).st_rdev
        u2k = Half(wmajor=os.major(number), wminor=os.minor(number))
        ctl = pack_ctl(ControlCommand.STOP_DEV, val_int=int(is_forced), u2k=u2k)
        await self._calls.run(call, CONTROL_NODE, IOCTL_CONTROL, ctl)

    def open_log(self) -> int:
        """With O_DIRECT, as the driver writes beside the page cache: read whole blocks into page-aligned memory."""
        return _open(self._log_node, os.O_DIRECT)

    def open_data(self) -> int:
        """With O_DIRECT: read whole blocks into page-aligned memory."""
        return _open(self._node, os.O_DIRECT)

    async def close(self) -> None:
        return None


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    except OSError as error:
        raise StorageFailure(f"cannot open {path}: {error.strerror}") from error


class _LsidsEvents:
    """The driver's events on `lsids`. An epoll descriptor is readable when there is one: a loop can watch that."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageFailure(f"cannot open {path}: {error.strerror}") from error
        self._epoll = select.epoll()
        with contextlib.suppress(PermissionError):  # a plain file, as in tests, has no events
            self._epoll.register(self._fd, select.EPOLLPRI | select.EPOLLET)

    async def next(self, timeout_sec: float) -> None:
        """Returns at an event or after the time-out."""
        os.pread(self._fd, 4096, 0)  # this is what makes the driver report the next change
        loop = asyncio.get_running_loop()
        happened = asyncio.Event()
        loop.add_reader(self._epoll.fileno(), happened.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_sec):
                    await happened.wait()
        finally:
            loop.remove_reader(self._epoll.fileno())
        self._epoll.poll(0)

    def __enter__(self) -> _LsidsEvents:
        return self

    def __exit__(self, *_: object) -> None:
        self._epoll.close()
        os.close(self._fd)

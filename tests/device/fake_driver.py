"""A stand-in for the kernel driver: answers ioctls by the documented bytes and keeps the documented sysfs texts
(wdev.md sections 8 to 10). It decodes and encodes by itself, from the numbers of the specification."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path

from tests.device.walb_devices import Pair

CONTROL, WDEV = 0xC078FE01, 0xC078FE02
MAJOR = 252
LSID_NAMES = ("latest", "completed", "flush", "permanent", "written", "prev_written", "oldest")


class FakeDevice:
    """One started device and its files: node, log node, sysfs."""

    def __init__(self, driver: FakeDriver, name: str, minor: int) -> None:
        self.name, self.minor = name, minor
        self.lsids = dict(zip(LSID_NAMES, (90, 80, 70, 60, 50, 40, 10), strict=True))
        self.interval_ms = 10_000
        self.is_frozen = self.is_overflow = 0
        self.frozen_sec = -1
        self.size_lb, self.ddev_lb = 2048, 4096
        self.checkpoints = 0
        self.driver = driver
        folder = driver.folder / name
        folder.mkdir()
        self.pair = Pair(folder)
        self.sysfs = driver.sysfs / f"walb!{name}"
        (self.sysfs / "walb").mkdir(parents=True)
        self.node.write_bytes(bytes(512))
        self.log_node.symlink_to(self.pair.ldev)
        self.show()

    @property
    def node(self) -> Path:
        return self.driver.nodes / self.name

    @property
    def log_node(self) -> Path:
        return self.driver.nodes / f"L{self.name}"

    def show(self) -> None:
        """Writes the sysfs texts."""
        sector = self.pair.super_sector()
        usage = self.lsids["latest"] - self.lsids["oldest"]
        (self.sysfs / "size").write_text(f"{self.size_lb}\n")
        texts = {
            "lsids": "".join(f"{name:<12} {value}\n" for name, value in self.lsids.items()),
            "uuid": " ".join(f"{byte:02x}" for byte in sector.uuid) + "\n",
            "log_capacity": f"{sector.ring_size_pb}\n",
            "log_usage": f"{usage}\n",
        }
        for name, text in texts.items():
            unseen = self.sysfs / "walb" / f"{name}~"
            unseen.write_text(text)
            unseen.rename(self.sysfs / "walb" / name)

    def remove(self) -> None:
        self.node.unlink()
        self.log_node.unlink()
        self.driver.devices.remove(self)

    def command(self, ctl: bytearray) -> None:
        """A command on the device's node; raises as the driver fails."""
        command, _, val_u64, val_u32, _ = struct.unpack_from("=iiQIi", ctl)
        answer_int = answer_u64 = answer_u32 = 0
        lsids = self.lsids
        if command == 7 and lsids["oldest"] <= val_u64 <= lsids["prev_written"]:
            lsids["oldest"] = val_u64
        elif command == 16:
            answer_u32 = self.interval_ms
        elif command == 17:
            self.checkpoints += 1
            lsids["prev_written"] = lsids["written"]
        elif command == 18 and val_u32 <= 86_400_000:
            self.interval_ms = val_u32
        elif command == 24:
            answer_int = 1
        elif command == 25 and self.size_lb <= (val_u64 or self.ddev_lb) <= self.ddev_lb:
            self.size_lb = val_u64 or self.ddev_lb
        elif command == 26:
            self.lsids = dict.fromkeys(LSID_NAMES, 0)
            self.is_overflow = 0
        elif command == 27:
            answer_int = self.is_overflow
        elif command == 28:
            self.is_frozen, self.frozen_sec = 1, val_u32
        elif command == 29:
            self.is_frozen = 0
        elif command == 30:
            answer_int = self.is_frozen
        else:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        struct.pack_into("=iQI", ctl, 4, answer_int, answer_u64, answer_u32)
        self.show()


class FakeDriver:
    """The control node and all devices."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes, self.sysfs = folder / "dev", folder / "sys"
        self.nodes.mkdir()
        self.sysfs.mkdir()
        self.control = self.nodes / "control"
        self.control.touch()
        self.devices: list[FakeDevice] = []
        self.parameters: tuple[int, ...] = ()

    def add(self, name: str) -> FakeDevice:
        device = FakeDevice(self, name, 2 * len(self.devices))
        self.devices.append(device)
        return device

    def ioctl(self, fd: int, request: int, ctl: bytearray) -> int:
        """In place of fcntl.ioctl."""
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        assert len(ctl) == 120
        if request == CONTROL and path == self.control:
            self._control(ctl)
        elif request == WDEV:
            next(device for device in self.devices if device.node == path).command(ctl)
        else:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        return 0

    def _control(self, ctl: bytearray) -> None:
        command, val_int = struct.unpack_from("=ii", ctl)
        if command == 1:
            self._start(ctl)
        elif command == 2:
            self._stop(ctl, val_int)
        elif command == 4:
            self._list(ctl)
        else:
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))

    def _fail(self, ctl: bytearray, number: int, detail: int) -> None:
        struct.pack_into("=i", ctl, 20, detail)
        raise OSError(number, os.strerror(number))

    def _start(self, ctl: bytearray) -> None:
        size, address = struct.unpack_from("=QQ", ctl, 24 + 24)
        out_size, out_address = struct.unpack_from("=QQ", ctl, 72 + 24)
        wanted_minor = struct.unpack_from("=I", ctl, 24 + 4)[0]
        assert (size, out_size, wanted_minor) == (64, 64, 0xFFFFFFFF)
        given = ctypes.string_at(address, 64)
        name = given[:32].split(b"\0")[0].decode() or "252_0"
        if any(device.name == name for device in self.devices):
            self._fail(ctl, errno.EFAULT, -7)
        self.parameters = struct.unpack_from("=8I", given, 32)
        device = self.add(name)
        ctypes.memmove(out_address, name.encode().ljust(32, b"\0") + given[32:], 64)
        struct.pack_into("=II", ctl, 72, MAJOR, device.minor)

    def _stop(self, ctl: bytearray, is_forced: int) -> None:
        # Plain files stand for the nodes: their device number is 0.
        assert struct.unpack_from("=II", ctl, 24) == (0, 0)
        device = self.devices[-1]
        if device.is_frozen and not is_forced:
            self._fail(ctl, errno.EBUSY, -2)
        device.remove()

    def _list(self, ctl: bytearray) -> None:
        address = struct.unpack_from("=QQ", ctl, 24 + 24)[1]
        begin, end = struct.unpack("=II", ctypes.string_at(address, 8))
        out_size, out_address = struct.unpack_from("=QQ", ctl, 72 + 24)
        found = [device for device in self.devices if begin <= device.minor < end][: out_size // 40]
        entries = b"".join(
            f"walb/{device.name}".encode().ljust(32, b"\0") + struct.pack("=II", MAJOR, device.minor)
            for device in found
        )
        ctypes.memmove(out_address, entries, len(entries))
        struct.pack_into("=i", ctl, 4, len(found))

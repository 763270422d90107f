"""Byte layouts of the kernel driver's interface: ioctl structures and sysfs texts (wdev.md sections 9 and 10)."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from walbd.device.device import LsidSet
from walbd.model.error import Corrupted, NotFound, StorageFailure
from walbd.model.limits import MAX_DEVICE_NAME

IOCTL_VERSION = 0x8004FE00
IOCTL_CONTROL = 0xC078FE01
IOCTL_WDEV = 0xC078FE02
CONTROL_NODE = "/dev/walb/control"
ANY_MINOR = 0xFFFFFFFF

CTL_BYTES = 120
_CTL = struct.Struct("=iiQIi")
_HALF = struct.Struct("=6IQQQ")
_U2K_OFFSET, _K2U_OFFSET = 24, 72
_START = struct.Struct("=32s8I")
START_BYTES = _START.size
_ENTRY = struct.Struct("=32sII")
ENTRY_BYTES = _ENTRY.size

_LSID_NAMES = ("latest", "completed", "flush", "permanent", "written", "prev_written", "oldest")


class ControlCommand(IntEnum):
    """Commands of the control node."""

    START_DEV = 1
    STOP_DEV = 2
    LIST_DEV = 4


class DeviceCommand(IntEnum):
    """Commands of a device node."""

    SET_OLDEST_LSID = 7
    GET_CHECKPOINT_INTERVAL = 16
    TAKE_CHECKPOINT = 17
    SET_CHECKPOINT_INTERVAL = 18
    IS_FLUSH_CAPABLE = 24
    RESIZE = 25
    CLEAR_LOG = 26
    IS_LOG_OVERFLOW = 27
    FREEZE = 28
    MELT = 29
    IS_FROZEN = 30


@dataclass(slots=True)
class Half:
    """u2k or k2u of walb_ctl: device numbers and a buffer (address and size in bytes)."""

    wmajor: int = 0
    wminor: int = 0
    lmajor: int = 0
    lminor: int = 0
    dmajor: int = 0
    dminor: int = 0
    buf_size: int = 0
    buf: int = 0

    def pack(self) -> bytes:
        """48 bytes; the driver's internal pointer is 0."""
        numbers = (self.wmajor, self.wminor, self.lmajor, self.lminor, self.dmajor, self.dminor)
        return _HALF.pack(*numbers, self.buf_size, self.buf, 0)


@dataclass(slots=True)
class Answer:
    """What the driver filled in."""

    val_int: int
    val_u64: int
    val_u32: int
    error: int
    wmajor: int
    wminor: int


def pack_ctl(
    command: int,
    *,
    val_int: int = 0,
    val_u64: int = 0,
    val_u32: int = 0,
    u2k: Half | None = None,
    k2u: Half | None = None,
) -> bytearray:
    """The 120 bytes of walb_ctl."""
    head = _CTL.pack(command, val_int, val_u64, val_u32, 0)
    return bytearray(head + (u2k or Half()).pack() + (k2u or Half()).pack())


def unpack_ctl(data: bytes | bytearray) -> Answer:
    """The results in walb_ctl."""
    _, val_int, val_u64, val_u32, error = _CTL.unpack_from(data)
    wmajor, wminor = struct.unpack_from("=II", data, _K2U_OFFSET)
    return Answer(val_int, val_u64, val_u32, error, wmajor, wminor)


def call(node: str, request: int, ctl: bytearray) -> Answer:
    """One ioctl on a node, opened read-only: closing a writable block device makes udev probe it again. Raises NotFound
    or StorageFailure (with the driver's own error number)."""
    try:
        fd = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no device {node}", "is the walb kernel module loaded, is the device started?") from error
    except OSError as error:
        raise StorageFailure(f"cannot open {node}: {error.strerror}") from error
    try:
        fcntl.ioctl(fd, request, ctl)
    except OSError as error:
        detail = unpack_ctl(ctl).error
        raise StorageFailure(f"walb driver refused the command on {node}: {error.strerror}, error {detail}") from error
    finally:
        os.close(fd)
    return unpack_ctl(ctl)


@dataclass(frozen=True, slots=True)
class StartParameters:
    """Parameters of START_DEV, 64 bytes (defaults: those of wdevc)."""

    name: str = ""
    max_pending_mb: int = 32
    min_pending_mb: int = 16
    queue_stop_timeout_ms: int = 100
    max_logpack_kb: int = 32
    log_flush_interval_ms: int = 100
    log_flush_interval_mb: int = 16
    n_pack_bulk: int = 128
    n_io_bulk: int = 1024

    def is_valid(self) -> bool:
        """The ranges the driver accepts."""
        return (
            len(self.name) <= MAX_DEVICE_NAME
            and 2 <= self.max_pending_mb <= 16384
            and 1 <= self.min_pending_mb < self.max_pending_mb
            and self.queue_stop_timeout_ms >= 1
            and 2 * self.log_flush_interval_mb <= self.max_pending_mb
            and self.n_pack_bulk >= 1
            and self.n_io_bulk >= 1
        )

    def pack(self) -> bytes:
        """The 64 bytes."""
        return _START.pack(
            self.name.encode(),
            self.max_pending_mb,
            self.min_pending_mb,
            self.queue_stop_timeout_ms,
            self.max_logpack_kb,
            self.log_flush_interval_ms,
            self.log_flush_interval_mb,
            self.n_pack_bulk,
            self.n_io_bulk,
        )


def started_name(data: bytes | bytearray) -> str:
    """The name in the start parameters the driver gives back."""
    return bytes(data[:32]).split(b"\0")[0].decode("ascii", "replace")


def parse_entries(data: bytes | bytearray, count: int) -> list[tuple[str, int, int]]:
    """The (name, major, minor) entries of LIST_DEV; names are `walb/NAME`."""
    if not 0 <= count <= len(data) // ENTRY_BYTES:
        raise Corrupted(f"walb driver lists {count} devices in {len(data)} bytes")
    entries = (_ENTRY.unpack_from(data, ENTRY_BYTES * number) for number in range(count))
    return [(name.split(b"\0")[0].decode("ascii", "replace"), major, minor) for name, major, minor in entries]


def parse_lsids(text: str) -> LsidSet:
    """The sysfs file `lsids`: `NAME VALUE` lines in any order; unknown names are left out of account."""
    values: dict[str, int] = {}
    for line in text.splitlines():
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or not fields[1].isdecimal() or int(fields[1]) >= 2**64:
            raise Corrupted(f"bad line in lsids: {line[:80]!r}")
        values[fields[0]] = int(fields[1])
    missing = [name for name in _LSID_NAMES if name not in values]
    if missing:
        raise Corrupted(f"lsids without {', '.join(missing)}")
    return LsidSet(**{name: values[name] for name in _LSID_NAMES})


def parse_uuid(text: str) -> bytes:
    """The sysfs file `uuid`: 16 pairs of hex digits with spaces."""
    try:
        value = bytes.fromhex(text)
    except ValueError as error:
        raise Corrupted(f"bad uuid: {text[:80]!r}") from error
    if len(value) != 16:
        raise Corrupted(f"bad uuid: {text[:80]!r}")
    return value


def read_sysfs(path: Path) -> str:
    """A small text file of the driver."""
    try:
        return path.read_text()
    except FileNotFoundError as error:
        raise NotFound(f"no file {path}", "is the walb device started?") from error
    except OSError as error:
        raise StorageFailure(f"cannot read {path}: {error.strerror}") from error

"""The device seam: what walb-storage and wdevc need of a walb device, whoever serves it (wdev.md section 15.37)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LsidSet:
    """One consistent set of log positions, all in physical blocks (wdev.md section 3):
    oldest <= prev_written <= written <= permanent <= flush <= completed <= latest."""

    latest: int
    completed: int
    flush: int
    permanent: int
    written: int
    prev_written: int
    oldest: int


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What a device is. `uuid` names the log sequence and changes with reset-wal; paths are those of the two
    underlying devices ('' when they cannot be known)."""

    name: str
    kind: str
    size_lb: int
    pbs: int
    uuid: bytes
    salt: int
    ring_size_pb: int
    is_overflow: bool
    log_usage_pb: int
    ldev_path: str
    ddev_path: str


class WalbDevice(Protocol):
    """A walb device. Failures are BadState (not possible now), InvalidArgument, NotFound (no such device),
    PeerUnreachable (its server does not answer) and StorageFailure (the operating system refused)."""

    name: str

    async def info(self) -> DeviceInfo:
        """Identity, geometry and the overflow flag."""

    async def lsids(self) -> LsidSet:
        """One consistent set of lsids."""

    async def wait(self, seen: LsidSet, timeout_sec: float) -> LsidSet:
        """Returns the current set: at once when it differs from `seen`, else on the next change that matters to a
        reader of the log (new permanent log, checkpoint, overflow, reset), else after timeout_sec."""

    async def set_oldest(self, lsid: int) -> None:
        """Gives the log below lsid free. It must be a pack boundary in oldest..prev_written."""

    async def take_checkpoint(self) -> None:
        """Makes prev_written reach at least the present written, durably."""

    async def reset_wal(self) -> None:
        """Throws the log away: all lsids 0, new uuid and salt, overflow cleared. Completed writes are kept."""

    async def resize(self, size_lb: int) -> None:
        """Grows the device to size_lb blocks; 0 means the size of the data device."""

    async def freeze(self, timeout_sec: int) -> None:
        """Holds new writes back and returns when none is in progress; melts by itself after timeout_sec (0: never)."""

    async def melt(self) -> None:
        """Ends a freeze; a device that is not frozen is left as it is."""

    def open_log(self) -> int:
        """A read-only descriptor of the whole log device, coherent with what has been written. The caller closes it."""

    def open_data(self) -> int:
        """A read-only descriptor for reading the device's content. The caller closes it."""

    async def close(self) -> None:
        """Gives connections and descriptors back; the device goes on."""


class AdministeredDevice(WalbDevice, Protocol):
    """What wdevc can do beyond that."""

    async def checkpoint_interval_ms(self) -> int:
        """Milliseconds between checkpoints, 0 = none."""

    async def set_checkpoint_interval_ms(self, interval_ms: int) -> None:
        """Sets it, 0..86400000; back to 10000 when the device is created again."""

    async def is_frozen(self) -> bool:
        """True while frozen."""

    async def is_flush_capable(self) -> bool:
        """True when flush reaches the medium."""

    async def delete(self, is_forced: bool) -> None:
        """Stops the device cleanly; refused while it is in use unless forced."""

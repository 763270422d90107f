"""Room in the file system of the base directory: a reserve that received logs may not take, and an alarm before.

Nothing is ever cleared to make room. When the reserve is reached logs are refused, so that the storages use their next
proxy or keep them; what waits for the archives is sent meanwhile and makes room.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from walbd.model.error import BadState, StorageFailure
from walbd.model.limits import MIB_BYTES
from walbd.model.size import format_size
from walbd.server.periodic import repeat
from walbd.server.runtime import Runtime
from walbd.world.own_thread import in_own_thread

RESERVE_SHARE, MAX_RESERVE_BYTES = 20, 1 << 30
ALARM_SHARE, MAX_ALARM_BYTES = 10, 20 << 30
LOOK_SEC = 10.0
# How long `status` waits for a file system.
ANSWER_SEC = 3.0


@dataclass(frozen=True)
class Space:
    """One look at a file system."""

    free_bytes: int
    total_bytes: int

    @property
    def reserve_bytes(self) -> int:
        """What is kept for metadata: a twentieth, at most 1 GiB."""
        return min(self.total_bytes // RESERVE_SHARE, MAX_RESERVE_BYTES)

    @property
    def is_alarm(self) -> bool:
        """Less than a tenth is free (20 GiB of a large file system), and never less than twice the reserve."""
        limit = max(2 * self.reserve_bytes, min(self.total_bytes // ALARM_SHARE, MAX_ALARM_BYTES))
        return self.free_bytes < limit

    def status_text(self) -> str:
        """As `status` prints it."""
        free, total, reserve = map(format_size, (self.free_bytes, self.total_bytes, self.reserve_bytes))
        return f"free {free} total {total} reserve {reserve} alarm {int(self.is_alarm)}"

    def line(self) -> str:
        """As `get disk-space` prints it."""
        return (
            f"free_bytes:{self.free_bytes}\ttotal_bytes:{self.total_bytes}\treserve_bytes:{self.reserve_bytes}"
            f"\talarm:{int(self.is_alarm)}"
        )


def space_of(path: Path) -> Space:
    """Blocks. Raises StorageFailure."""
    try:
        stat = os.statvfs(path)
    except OSError as error:
        raise StorageFailure(f"cannot examine {path}: {error.strerror}") from error
    return Space(stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize)


class DiskSpace:
    """Watches one file system."""

    def __init__(self, runtime: Runtime, path: Path) -> None:
        self._runtime = runtime
        self._path = path
        self._is_alarm = False
        self._looking: asyncio.Future[Space] | None = None

    async def look(self) -> Space:
        """How it is now; logs when the alarm begins or ends. Raises StorageFailure."""
        if self._looking is None or self._looking.done():
            self._looking = in_own_thread("disk space", space_of, self._path)
        # One that hangs costs one thread, however often it is asked.
        space = await asyncio.shield(self._looking)
        if space.is_alarm and not self._is_alarm:
            hint = "are all archives reachable? make room, or the storages' logs will be refused"
            self._runtime.log.error("disk space is low", self._path, f"{space.status_text()} (hint: {hint})")
        elif self._is_alarm and not space.is_alarm:
            self._runtime.log.info("disk space is no longer low", self._path, space.status_text())
        self._is_alarm = space.is_alarm
        return space

    async def status_text(self) -> str:
        """As `status` prints it, which tells the rest also when the file system cannot be examined, or hangs."""
        try:
            async with asyncio.timeout(ANSWER_SEC):
                return (await self.look()).status_text()
        except (StorageFailure, TimeoutError) as error:
            return f"unknown ({str(error) or 'no answer'}) alarm 1"

    async def check_room(self, needed_bytes: int) -> None:
        """Raises BadState when so much more would reach into the reserve; the storage then asks its next proxy."""
        space = await self.look()
        available_mib = max(0, space.free_bytes - space.reserve_bytes) // MIB_BYTES
        needed_mib = needed_bytes // MIB_BYTES + 1
        if available_mib < needed_mib:
            raise BadState(
                f"Not enough available disk space:{available_mib}:{needed_mib}", f"make room in {self._path}"
            )

    async def run(self) -> None:
        """Looks for ever."""
        await repeat(self._runtime, "disk space", self.look, LOOK_SEC)

"""Watching a device for new log (servers.md section 3.5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from walbd.device.device import LsidSet
from walbd.model.error import WalbError
from walbd.server.log import defect_text
from walbd.storage.log_usage import LogUsage
from walbd.storage.states import TARGET

if TYPE_CHECKING:
    from walbd.storage.volume import StorageVolume

# The first write after a pause is sent at once; what arrives within this time after it is sent together.
GATHER_SEC = 0.1
# The longest time without looking, whatever events the device gives (W9).
LOOK_SEC = 10.0


class DeviceMonitor:
    """One task per watched volume: queues the volume whenever its log has changed."""

    def __init__(self, volume: StorageVolume) -> None:
        self._volume = volume
        self._task: asyncio.Task[None] | None = None
        self.usage = LogUsage()
        self.has_overflow = False
        """Whether the log was found to have overflowed since watching began."""

    @property
    def is_running(self) -> bool:
        """Whether the device is watched."""
        return self._task is not None

    def start(self) -> None:
        """Begins to watch; does nothing when it does already."""
        if self._task is None:
            self._volume.runtime.log.info("start monitoring", self._volume.name)
            self.usage, self.has_overflow = LogUsage(), False
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Ends watching."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        volume, world = self._volume, self._volume.runtime.world
        seen: LsidSet | None = None
        while True:
            try:
                before, seen = seen, None
                seen = await volume.device().wait(before, LOOK_SEC) if before else await volume.device().lsids()
                self.usage.note(world.monotonic(), seen.latest - seen.oldest)
                if seen != before:
                    await self._look_for_overflow()
                if self._task is None:
                    return
                if self._has_work(seen):
                    volume.context.queue.push(volume.name)
                await world.sleep(GATHER_SEC)
            except WalbError as error:
                await self._wait_after(error)
            except Exception as error:  # a defect must not leave a volume unwatched
                await self._wait_after(defect_text(error))

    async def _look_for_overflow(self) -> None:
        """Ends shipping at once, whatever the queued task waits for."""
        volume = self._volume
        self.has_overflow = (await volume.device().info()).is_overflow
        if self.has_overflow and volume.machine.state == TARGET:
            await volume.stop_for_overflow()

    def _has_work(self, lsids: LsidSet) -> bool:
        """Also true for what only a task lost on its way would leave: log that can be given free, queued snapshots."""
        records = self._volume.records
        return (
            self.has_overflow
            or records.done.lsid < lsids.latest
            or bool(records.queue)
            or lsids.oldest < lsids.prev_written
        )

    async def _wait_after(self, reason: object) -> None:
        self._volume.runtime.log.warning("monitor", self._volume.name, reason)
        await self._volume.runtime.world.sleep(LOOK_SEC)

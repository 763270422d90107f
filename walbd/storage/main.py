"""walb-storage."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property

from walbd.net.server import Handler
from walbd.server.background import BackgroundQueue, Outcome
from walbd.server.check import unresolved
from walbd.server.commands import Command, GetHandler
from walbd.server.daemon import Daemon
from walbd.server.program import run_daemon
from walbd.storage.commands import StorageCommands
from walbd.storage.context import Context
from walbd.storage.figures import StorageFigures
from walbd.storage.options import StorageSettings
from walbd.storage.proxies import ProxyList
from walbd.storage.scan_rate import ScanLimit
from walbd.storage.sending import note_stuck, run_task
from walbd.storage.states import STANDBY, TARGET
from walbd.storage.status import global_status, volume_status
from walbd.storage.ts_delta import TsDeltas
from walbd.storage.upkeep import upkeep_commands
from walbd.storage.volume import StorageVolume, load_volume


class StorageDaemon(Daemon[StorageSettings, StorageVolume]):
    """Watches walb devices and ships their log."""

    kind = "storage"
    _watching: Sequence[asyncio.Task[None]] = ()

    @cached_property
    def context(self) -> Context:
        """What volumes, queue and commands share."""
        settings, runtime = self.settings, self.runtime
        queue = BackgroundQueue(
            runtime,
            self._run_task,
            settings.max_background,
            settings.min_delay_sec,
            settings.max_delay_sec,
            lambda name: note_stuck(self.context, name),
        )
        return Context(
            runtime,
            settings,
            self.identity,
            self.timing,
            self.base_dir,
            self.volumes,
            self.works,
            ProxyList(runtime, self.identity, settings.proxies, queue.kick),
            queue,
            ScanLimit(settings.full_scan_bytes_per_sec),
        )

    @cached_property
    def ts_deltas(self) -> TsDeltas:
        """How far the archive is behind."""
        return TsDeltas(self.context)

    @classmethod
    def check_settings(cls, settings: StorageSettings) -> list[str]:
        return unresolved([settings.archive, *settings.proxies])

    async def _run_task(self, name: str) -> Outcome:
        return await run_task(self.context, name)

    async def recover(self, volume_names: list[str]) -> None:
        for name in volume_names:
            self.volumes.add(await self.runtime.world.run(load_volume, self.context, name))

    async def begin_service(self) -> None:
        for volume in self.volumes:
            if volume.state in (TARGET, STANDBY):
                volume.start_service()
        self.context.queue.start()
        self._watching = [
            asyncio.create_task(self.context.proxies.run()),
            asyncio.create_task(self.ts_deltas.run()),
        ]

    async def end_service(self) -> None:
        try:
            await self.context.queue.close()  # before the monitors: without them, transfers end early
        finally:
            for task in self._watching:
                task.cancel()
            for volume in self.volumes:
                volume.monitor.stop()

    def command_table(self) -> Mapping[str, Command]:
        return {**StorageCommands(self.context).commands(), **upkeep_commands(self.context)}

    def get_table(self) -> Mapping[str, GetHandler]:
        return {**StorageCommands(self.context).get_targets(), **StorageFigures(self.context, self.ts_deltas).targets()}

    async def status(self, params: list[str]) -> Sequence[str]:
        return await (volume_status(self.context, params[0]) if params else global_status(self.context))

    def data_conversations(self) -> Mapping[str, Handler]:
        return {}


def main() -> int:
    """Entry point."""
    return run_daemon(StorageDaemon, StorageSettings)


if __name__ == "__main__":
    sys.exit(main())

"""walb-proxy."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property

from walbd.model.address import Address
from walbd.net.connection import Connection
from walbd.net.server import Handler
from walbd.net.wlog_transfer import COMMAND as WLOG_TRANSFER
from walbd.proxy.archives import LostArchives
from walbd.proxy.commands import ProxyCommands
from walbd.proxy.context import Context, SendKey
from walbd.proxy.disk_space import DiskSpace
from walbd.proxy.options import ProxySettings
from walbd.proxy.receive import serve_wlog_transfer
from walbd.proxy.sending import note_stuck, run_task
from walbd.proxy.states import STARTED
from walbd.proxy.status import global_status, volume_status
from walbd.proxy.volume import ProxyVolume, load_volume
from walbd.server.background import BackgroundQueue, Outcome
from walbd.server.commands import Command, GetHandler
from walbd.server.daemon import Daemon
from walbd.server.program import run_daemon


class ProxyDaemon(Daemon[ProxySettings, ProxyVolume]):
    """Turns logs into wdiffs and forwards them to every archive."""

    kind = "proxy"
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
            lambda key: note_stuck(self.context, key),
        )
        return Context(
            runtime,
            settings,
            self.identity,
            self.timing,
            self.base_dir,
            self.volumes,
            self.works,
            queue,
            LostArchives(runtime, self.identity, self._is_needed, self._on_archive_return),
            DiskSpace(runtime, self.base_dir),
        )

    def _is_needed(self, archive: Address) -> bool:
        return any(queue.info.address == archive for volume in self.volumes for queue in volume.queues.values())

    def _on_archive_return(self, address: Address) -> None:
        def is_meant(key: SendKey) -> bool:
            volume = self.volumes.find(key.volume)
            queue = volume.queues.get(key.archive) if volume else None
            return queue is not None and queue.info.address == address

        self.context.queue.kick(is_meant)

    async def _run_task(self, key: SendKey) -> Outcome:
        return await run_task(self.context, key)

    async def recover(self, volume_names: list[str]) -> None:
        for name in volume_names:
            self.volumes.add(await load_volume(self.context, name))

    async def begin_service(self) -> None:
        for volume in self.volumes:
            if volume.state == STARTED:
                volume.push_tasks()
        self.context.queue.start()
        self._watching = [
            asyncio.create_task(self.context.lost_archives.run()),
            asyncio.create_task(self.context.disk_space.run()),
        ]

    async def end_service(self) -> None:
        for task in self._watching:
            task.cancel()
        await self.context.queue.close()

    def command_table(self) -> Mapping[str, Command]:
        return ProxyCommands(self.context).commands()

    def get_table(self) -> Mapping[str, GetHandler]:
        return ProxyCommands(self.context).get_targets()

    async def status(self, params: list[str]) -> Sequence[str]:
        return volume_status(self.context, params[0]) if params else await global_status(self.context)

    def data_conversations(self) -> Mapping[str, Handler]:
        async def receive(connection: Connection) -> None:
            await serve_wlog_transfer(self.context, connection)

        return {WLOG_TRANSFER: receive}


def main() -> int:
    """Entry point."""
    return run_daemon(ProxyDaemon, ProxySettings)


if __name__ == "__main__":
    sys.exit(main())

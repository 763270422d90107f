"""A walb-storage of this process with devices of files and scripted peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.group_testing import FakeArchive, FakeProxy, Running, running_daemon, until
from tests.storage.fake_device import Devices, FakeDevice
from walbd.model.compression import CompressionType, CompressOpt
from walbd.storage.main import StorageDaemon
from walbd.storage.options import StorageSettings
from walbd.storage.volume import StorageVolume
from walbd.world.world import World

PLAIN = CompressOpt(CompressionType.NONE, 0, 1)
LB = 512


@dataclass
class Group:
    """A storage's surroundings: one device w0, one proxy, one archive."""

    base: Path
    devices: Devices
    proxy: FakeProxy
    archive: FakeArchive

    @property
    def device(self) -> FakeDevice:
        return self.devices.by_name["w0"]

    def settings(self, **values: Any) -> StorageSettings:
        fields: dict[str, Any] = {
            "port": 0,
            "bind": "127.0.0.1",
            "node_id": "s0",
            "base_dir": str(self.base),
            "archive": self.archive.address,
            "proxies": (self.proxy.address,),
            "sync_compress": PLAIN,
        }
        return StorageSettings(**(fields | values))

    @asynccontextmanager
    async def storage(
        self, world: World | None = None, mode: str = "force", **values: Any
    ) -> AsyncIterator[Running[StorageDaemon]]:
        async with running_daemon(StorageDaemon, self.settings(**values), world, mode) as running:
            yield running

    @asynccontextmanager
    async def target(self, world: World | None = None, **values: Any) -> AsyncIterator[Running[StorageDaemon]]:
        """A storage with v0 on w0 in state Target, after a full backup of which everything was sent."""
        async with self.storage(world, **values) as running:
            await running.call("init-vol", "v0", "w0")
            await running.call("full-bkp", "v0")
            await until(lambda: not volume_of(running).records.queue)
            yield running

    async def wait_sent(self, running: Running[StorageDaemon]) -> None:
        """Waits until everything written is with the proxy and given free as far as may be."""
        records = volume_of(running).records
        await until(lambda: records.done.lsid == self.device.latest and not records.queue)
        await until(lambda: volume_of(running).actions.total == 0)


def volume_of(running: Running[StorageDaemon], name: str = "v0") -> StorageVolume:
    return running.daemon.volumes.get(name)


def blocks(number: int, count: int = 8) -> bytes:
    """Recognisable content."""
    return bytes([number]) * (count * LB)


async def gather(*tasks: asyncio.Task[Any]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)

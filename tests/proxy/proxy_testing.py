"""A walb-proxy of this process, a storage that sends logs to it and archives that take its diffs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.group_testing import FakeArchive, Running, running_daemon
from tests.storage.fake_device import FakeDevice
from walbd.model.diff import Diff
from walbd.model.snapshot import Snapshot
from walbd.net.client import connect
from walbd.net.handshake import Identity
from walbd.net.wlog_transfer import COMMAND, WlogEnd, WlogRequest, WlogSender
from walbd.proxy.main import ProxyDaemon
from walbd.proxy.options import ProxySettings
from walbd.proxy.volume import ProxyVolume
from walbd.wlog.ring import read_ring
from walbd.world.world import World

STORAGE = Identity("s0", "storage")
START_SEC = 1_700_000_000


def diff_of(begin: int, end: int, *, is_mergeable: bool = True, later_sec: int = 0) -> Diff:
    """The clean diff |begin|-->|end|."""
    return Diff(Snapshot.clean(begin), Snapshot.clean(end), is_mergeable, timestamp=START_SEC + end + later_sec)


@dataclass
class Surroundings:
    """A proxy's base directory, two archives, and the device of a storage."""

    base: Path
    archives: dict[str, FakeArchive]
    device: FakeDevice
    sent_lsid: int = 0

    @asynccontextmanager
    async def proxy(
        self, world: World | None = None, mode: str = "force", **values: Any
    ) -> AsyncIterator[Running[ProxyDaemon]]:
        fields = {"port": 0, "bind": "127.0.0.1", "node_id": "p0", "base_dir": str(self.base)} | values
        settings = ProxySettings(**fields)
        async with running_daemon(ProxyDaemon, settings, world, mode) as running:
            yield running

    @asynccontextmanager
    async def started(self, world: World | None = None, **values: Any) -> AsyncIterator[Running[ProxyDaemon]]:
        """A proxy with v0 Started and both archives."""
        async with self.proxy(world, **values) as running:
            await self.add_archives(running)
            await running.call("start", "v0")
            yield running

    async def add_archives(self, running: Running[ProxyDaemon], volume: str = "v0") -> None:
        for name, archive in self.archives.items():
            await running.call("archive-info", "add", volume, name, str(archive.address))

    async def send(
        self,
        running: Running[ProxyDaemon],
        diff: Diff,
        volume: str = "v0",
        before_end: Callable[[], object] = lambda: None,
        **fields: Any,
    ) -> None:
        """Sends the log written since the last time, as a storage does; returns when it is acknowledged."""
        sector, end_lsid = self.device.super_sector, self.device.latest
        log = bytearray((end_lsid - self.sent_lsid) * sector.pbs)
        fd = self.device.open_log()
        read_ring(fd, sector, self.sent_lsid, memoryview(log))
        os.close(fd)
        values: dict[str, Any] = {
            "volume": volume, "uuid": sector.uuid, "pbs": sector.pbs, "salt": sector.salt,
            "size_lb": self.device.size_lb, "begin_lsid": self.sent_lsid,
            "max_log_pb": max(1, end_lsid - self.sent_lsid),
        }  # fmt: skip
        request = WlogRequest(**(values | fields))
        position = 0

        def read(memory: memoryview) -> int:
            nonlocal position
            piece = log[position : position + min(len(memory), 64 << 10)]
            memory[: len(piece)] = piece
            position += len(piece)
            if not piece:
                before_end()
            return len(piece)

        async with await connect(running.world, running.address, COMMAND, STORAGE) as connection:
            sender = WlogSender(connection)
            await sender.ask(request)
            await sender.send_log(read, lambda: WlogEnd(end_lsid, diff))
        self.sent_lsid = end_lsid


def volume_of(running: Running[ProxyDaemon], name: str = "v0") -> ProxyVolume:
    return running.daemon.volumes.get(name)


def queued(running: Running[ProxyDaemon], archive: str, volume: str = "v0") -> list[str]:
    """The diffs that wait for an archive."""
    return [str(diff) for diff in volume_of(running, volume).queues[archive].folder.diffs]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())

"""A storage and a proxy together, with failing disks, broken connections and restarts: no byte is lost."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.conftest import IS_LONG
from tests.group_testing import FakeArchive, FaultyFiles, Offer, QuickWorld, Running, running_daemon, until
from tests.proxy.proxy_testing import Surroundings
from tests.storage.fake_device import Devices
from tests.storage.storage_testing import PLAIN
from walbd.model.address import Address
from walbd.model.error import PeerUnreachable, Refused
from walbd.net.connection import Connection
from walbd.net.wdiff_transfer import Answer, WdiffReceiver, WdiffRequest
from walbd.proxy.main import ProxyDaemon
from walbd.storage.main import StorageDaemon
from walbd.storage.options import StorageSettings
from walbd.wdiff.apply import apply_wdiffs
from walbd.wdiff.pack_file import PackReceiver
from walbd.world.network import Network, Stream

SEEDS = range(200) if IS_LONG else range(4)
ROUNDS = 25


class ModelArchive(FakeArchive):
    """Takes diffs by the rules of an archive, one at a time, and keeps an image of what they make."""

    def __init__(self, node_id: str, folder: Path) -> None:
        super().__init__(node_id)
        self.folder = folder
        self.image = bytearray()
        self.latest: tuple[int, int] = (0, 0)
        self.uuid = b""
        self.is_receiving = False

    async def _backup(self, connection: Connection) -> None:
        await super()._backup(connection)
        backup = self.backups[-1]
        assert backup.snapshot is not None
        self.image, self.uuid = bytearray(backup.image), backup.uuid
        self.latest = (backup.snapshot.gid_begin, backup.snapshot.gid_end)

    def judge(self, request: WdiffRequest) -> Answer:
        if not self.uuid:
            return Answer.SYNCING
        if self.is_receiving:
            return Answer.WDIFF_RECV
        if request.uuid != self.uuid:
            return Answer.DIFFERENT_UUID
        if request.diff.end.gid_begin <= self.latest[0]:
            return Answer.TOO_OLD_DIFF
        return Answer.ACCEPT if request.diff.begin.gid_begin <= self.latest[0] else Answer.TOO_NEW_DIFF

    async def _receive(self, connection: Connection) -> None:
        receiver, data = WdiffReceiver(connection), bytearray()
        request = await receiver.receive_request()
        answer = self.judge(request)
        if answer is not Answer.ACCEPT:
            await receiver.answer(answer)
            return
        self.is_receiving = True
        try:
            await receiver.answer(answer)
            await receiver.receive_packs(data.extend)
            await self._step("pack")
            self._apply(request, bytes(data))
        finally:
            self.is_receiving = False
        self.offers.append(Offer(request, answer, bytes(data)))
        await self._step("applied")
        await receiver.confirm()

    def _apply(self, request: WdiffRequest, packs: bytes) -> None:
        wdiff, image = self.folder / f"{self.port}.wdiff", self.folder / f"{self.port}.img"
        image.write_bytes(self.image)
        fd = os.open(wdiff, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        writer = PackReceiver(fd, request.uuid)
        writer.feed(packs)
        writer.finish()
        os.close(fd)
        fd = os.open(image, os.O_RDWR)
        apply_wdiffs(fd, len(self.image) // 512, [wdiff])
        os.close(fd)
        self.image = bytearray(image.read_bytes())
        end = request.diff.end
        self.latest = (end.gid_begin, max(self.latest[1], end.gid_end))


class BadNetwork(Network):
    """Connections that break now and then, while `odds` is not zero."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.odds = dice, 0.0

    async def connect(self, host: str, port: int, timeout_sec: float) -> Stream:
        if self.dice.random() < self.odds:
            raise PeerUnreachable(f"cannot connect to {host}:{port}: Connection refused")
        stream = await super().connect(host, port, timeout_sec)
        if self.dice.random() < self.odds:
            asyncio.get_running_loop().call_later(self.dice.random() * 0.01, stream.close)
        return stream


class Chaos:
    """The faults of one run."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.network = BadNetwork(self.dice)
        self.files = FaultyFiles(fails=lambda *_: self.dice.random() < self.network.odds / 3)

    def world(self) -> QuickWorld:
        return QuickWorld(self.files, self.network)

    async def at_archive_step(self, step: str) -> None:
        """A slow archive: the proxy may be gone long before that is noticed, and be back with more."""
        if step == "pack" and self.dice.random() < self.network.odds:
            await asyncio.sleep(self.dice.random() * 0.3)


async def retried(storage: Running[StorageDaemon], *command: str) -> None:
    """What an operator does: again until it works."""
    async with asyncio.timeout(20):
        while True:
            try:
                await storage.call(*command)
                return
            except (Refused, PeerUnreachable):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_fails_every_archive_gets_every_byte(
    around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chaos, device = Chaos(seed), around.device
    monkeypatch.setattr("walbd.storage.volume.resolve_device", Devices({"w0": device}).resolve)
    archives = [ModelArchive(name, tmp_path) for name in ("a0", "a1")]
    for archive in archives:
        archive.at_step = chaos.at_archive_step
        await archive.start()
    around.archives = {"a0": archives[0], "a1": archives[1]}
    proxy_port = free_port()

    async def storage() -> Running[StorageDaemon]:
        settings = StorageSettings(
            port=0, bind="127.0.0.1", node_id="s0", base_dir=str(tmp_path / "storage"), archive=archives[0].address,
            proxies=(Address("127.0.0.1", proxy_port),), sync_compress=PLAIN, max_wlog_send_mib=1, max_delay_sec=4,
        )  # fmt: skip
        return await stack.enter_async_context(running_daemon(StorageDaemon, settings, chaos.world()))

    async def proxy() -> Running[ProxyDaemon]:
        return await stack.enter_async_context(around.proxy(chaos.world(), port=proxy_port, max_delay_sec=4))

    async with AsyncExitStack() as stack:
        await around.add_archives(p0 := await proxy())
        await p0.call("start", "v0")
        s0 = await storage()
        await s0.call("init-vol", "v0", "w0")
        await s0.call("full-bkp", "v0")
        archives[1].image, archives[1].uuid = bytearray(archives[0].image), archives[0].uuid
        archives[1].latest = archives[0].latest
    chaos.network.odds = 0.15
    for _ in range(3):
        async with AsyncExitStack() as stack:
            await proxy()
            s0 = await storage()
            for number in range(ROUNDS):
                size = chaos.dice.randrange(1, 9)
                content = bytes([chaos.dice.randrange(256)]) * (size * 512)
                device.write(chaos.dice.randrange(device.size_lb - size), content)
                if chaos.dice.random() < 0.3:
                    device.checkpoint()
                if number % 10 == 3:
                    await retried(s0, "snapshot", "v0")
                await asyncio.sleep(0.002)
    chaos.network.odds = 0.0
    async with AsyncExitStack() as stack:
        p0, s0 = await proxy(), await storage()
        records = s0.daemon.volumes.get("v0").records
        await until(lambda: records.done.lsid == device.latest and not records.queue)
        await until(lambda: p0.daemon.volumes.get("v0").is_empty())
    for archive in archives:
        assert archive.latest == (records.done.gid, records.done.gid)
        assert bytes(archive.image) == device.content()
        await archive.stop()


def free_port() -> int:
    """A port that stays the proxy's over its restarts."""
    listener = QuickWorld().network.listen("127.0.0.1", 0)
    listener.close()
    return int(listener.port)

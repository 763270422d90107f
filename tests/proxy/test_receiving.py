"""Log becomes wdiffs that are durable in every queue before the storage hears of it (servers.md 4.4; L1 to L4)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.group_testing import FaultyFiles, Gate, QuickWorld, until
from tests.proxy.proxy_testing import Surroundings, diff_of, names, queued, volume_of
from tests.storage.storage_testing import blocks
from walbd.model.error import PeerUnreachable, Refused
from walbd.proxy.disk_space import Space
from walbd.wdiff.reader import wdiff_header
from walbd.world.files import Files


async def stop_archives(around: Surroundings) -> None:
    for archive in around.archives.values():
        await archive.stop()


async def test_a_received_log_reaches_every_archive(around: Surroundings) -> None:
    async with around.started() as proxy:
        around.device.write(3, blocks(3))
        await around.send(proxy, diff_of(0, 1, is_mergeable=False))
        for archive in around.archives.values():
            await until(lambda: archive.accepted() == ["|0|-->|1|"])  # noqa: B023
            (offer,) = archive.offers
            assert offer.request.uuid == around.device.super_sector.uuid
            assert offer.request.size_lb == around.device.size_lb
            assert len(offer.packs) > 4096
        await until(lambda: not queued(proxy, "a0") and not queued(proxy, "a1"))
        assert await proxy.state() == "Started"
    assert list(around.base.rglob("*.wdiff")) == []


async def test_the_storage_hears_only_when_every_queue_is_durable(around: Surroundings) -> None:
    files = FaultyFiles()
    async with around.started(QuickWorld(files)) as proxy:
        await stop_archives(around)
        files.log.clear()
        await around.send(proxy, diff_of(0, 1))
        steps = [(operation, path.relative_to(around.base / "v0").as_posix()) for operation, path in files.log]
        assert steps[:3] == [("sync", "received"), ("sync", "sendto/a0"), ("sync", "sendto/a1")]
    name = diff_of(0, 1).file_name
    inodes = {os.stat(around.base / "v0" / "sendto" / archive / name).st_ino for archive in ("a0", "a1")}
    assert len(inodes) == 1
    assert names(around.base / "v0" / "received") == []


@pytest.mark.parametrize("place", ["received", "a0", "a1", "size"])
async def test_a_step_that_fails_is_not_acknowledged_and_the_next_try_makes_it_whole(
    around: Surroundings, place: str
) -> None:
    files = FaultyFiles()
    async with around.started(QuickWorld(files)) as proxy:
        await stop_archives(around)
        around.device.write(0, blocks(1))
        files.fails = lambda operation, path: path.name == place
        with pytest.raises(Refused, match="No space left"):
            await around.send(proxy, diff_of(0, 1))
        assert await proxy.state() == "Started"
        files.fails = lambda *_: False
        await around.send(proxy, diff_of(0, 1, later_sec=7))
        for archive in ("a0", "a1"):
            assert queued(proxy, archive) == ["|0|-->|1|"]
            assert names(around.base / "v0" / "sendto" / archive) == [diff_of(0, 1, later_sec=7).file_name]
        assert names(around.base / "v0" / "received") == []


async def test_log_is_taken_again_after_a_disk_that_failed_in_two_places(around: Surroundings) -> None:
    files = FaultyFiles()
    async with around.started(QuickWorld(files)) as proxy:
        await stop_archives(around)
        around.device.write(0, blocks(1))
        for place in ("a1", "received"):
            files.fails = lambda operation, path: path.name == place  # noqa: B023
            with pytest.raises(Refused, match="No space left"):
                await around.send(proxy, diff_of(0, 1))
        files.fails = lambda *_: False
        around.device.write(8, blocks(2))
        await around.send(proxy, diff_of(0, 2))
        assert "|0|-->|2|" in queued(proxy, "a0") and "|0|-->|2|" in queued(proxy, "a1")
        for archive in ("a0", "a1"):
            assert len(names(around.base / "v0" / "sendto" / archive)) == len(queued(proxy, archive))


class Killed(BaseException):
    """The process dies here."""


class DyingFiles(Files):
    """Dies at the n-th sync of a folder."""

    def __init__(self) -> None:
        self.left: int | None = None

    def sync_folder(self, folder: Path) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed
        super().sync_folder(folder)


@pytest.mark.parametrize("step", [0, 1, 2])
async def test_what_a_crash_has_left_in_received_is_in_every_queue_after_the_start(
    around: Surroundings, step: int
) -> None:
    files = DyingFiles()
    async with around.started(QuickWorld(files)) as proxy:
        await stop_archives(around)
        around.device.write(0, blocks(1))
        files.left = step
        volume = volume_of(proxy)
        new = files.new_file(volume.received.path)
        os.write(new.fd, wdiff_of(around))
        with pytest.raises(Killed):
            new.commit(diff_of(0, 1).file_name)
            await volume.take_received(diff_of(0, 1))
    async with around.proxy() as proxy:
        assert queued(proxy, "a0") == queued(proxy, "a1") == ["|0|-->|1|"]
        assert names(around.base / "v0" / "received") == []


def wdiff_of(around: Surroundings) -> bytes:
    """Some content; nobody reads it in these tests."""
    return around.device.super_sector.uuid * 300


async def test_a_repeated_transfer_replaces_its_first_copy(around: Surroundings) -> None:
    async with around.started() as proxy:
        await stop_archives(around)
        await around.send(proxy, diff_of(0, 1))
        around.device.write(0, blocks(1))
        await around.device.reset_wal()
        around.sent_lsid = 0
        around.device.write(0, blocks(2))
        await around.send(proxy, diff_of(0, 1, later_sec=3))
        for archive in ("a0", "a1"):
            folder = around.base / "v0" / "sendto" / archive
            assert names(folder) == [diff_of(0, 1, later_sec=3).file_name]
            assert wdiff_header(folder / names(folder)[0]).uuid == around.device.super_sector.uuid
            assert queued(proxy, archive) == ["|0|-->|1|"]


async def test_what_lies_in_received_at_the_start_does_not_replace_a_newer_copy(around: Surroundings) -> None:
    async with around.started() as proxy:
        await stop_archives(around)
        await around.send(proxy, diff_of(0, 1, later_sec=5))
    kept = diff_of(0, 1, later_sec=5).file_name
    (around.base / "v0" / "received" / diff_of(0, 1).file_name).write_bytes(b"older")
    async with around.proxy() as proxy:
        assert queued(proxy, "a0") == ["|0|-->|1|"]
        assert names(around.base / "v0" / "sendto" / "a0") == [kept]
        assert names(around.base / "v0" / "received") == []


async def test_a_connection_that_breaks_leaves_nothing(around: Surroundings) -> None:
    async with around.started() as proxy:
        around.device.write(0, blocks(1))

        def fail() -> None:
            raise PeerUnreachable("the storage died")

        with pytest.raises(PeerUnreachable):
            await around.send(proxy, diff_of(0, 1), before_end=fail)
        await until(lambda: volume_of(proxy).state == "Started")
        assert names(around.base / "v0" / "received") == []
        await around.send(proxy, diff_of(0, 1))


async def test_a_damaged_log_is_refused_and_leaves_nothing(around: Surroundings) -> None:
    async with around.started() as proxy:
        around.device.write(0, blocks(1))
        around.device.damage_log(3)
        with pytest.raises(Refused, match="lsid"):
            await around.send(proxy, diff_of(0, 1))
        await until(lambda: volume_of(proxy).state == "Started")
        assert names(around.base / "v0" / "received") == []
        assert queued(proxy, "a0") == []


async def test_a_log_is_refused_where_it_cannot_be_taken(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with around.started() as proxy:
        with pytest.raises(Refused, match="bad state:v9:Clear"):
            await around.send(proxy, diff_of(0, 1), volume="v9")
        assert await proxy.get("vol") == ["v0"]
        with monkeypatch.context() as patch:
            patch.setattr("walbd.proxy.disk_space.space_of", lambda _: Space(400 << 10, 400 << 20))
            with pytest.raises(Refused, match="Not enough available disk space:0:1"):
                await around.send(proxy, diff_of(0, 1))
        await proxy.call("stop", "v0")
        with pytest.raises(Refused, match="bad state:v0:Stopped"):
            await around.send(proxy, diff_of(0, 1))


async def test_space_for_the_transfers_at_work_is_reserved(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    async with around.started() as proxy:
        await around.add_archives(proxy, "v1")
        await proxy.call("start", "v1")
        monkeypatch.setattr("walbd.proxy.disk_space.space_of", lambda _: Space(650 << 20, 1000 << 20))
        loop = asyncio.get_running_loop()

        def hold() -> None:
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20)

        first = asyncio.create_task(around.send(proxy, diff_of(0, 1), before_end=hold, max_log_pb=2048 * 400))
        await until(lambda: volume_of(proxy).state == "WlogRecv")
        with pytest.raises(Refused, match="Not enough available disk space:600:801"):
            await around.send(proxy, diff_of(0, 1), volume="v1", max_log_pb=2048 * 400)
        gate.set()
        await first
        await around.send(proxy, diff_of(0, 1), volume="v1", max_log_pb=2048 * 400)


async def test_log_goes_nowhere_without_an_archive_and_is_refused(around: Surroundings) -> None:
    folder = around.base / "v0"
    for name in ("received", "sendto"):
        (folder / name).mkdir(parents=True)
    (folder / "size").write_bytes(b"\0")
    async with around.proxy() as proxy:
        assert await proxy.state() == "Started"
        with pytest.raises(Refused, match="no archive is known:v0"):
            await around.send(proxy, diff_of(0, 1))
        await proxy.call("stop", "v0")
        with pytest.raises(Refused, match="no archive is known:v0"):
            await proxy.call("start", "v0")
        await around.add_archives(proxy)
        await proxy.call("start", "v0")
        await around.send(proxy, diff_of(0, 1))


async def test_a_forced_stop_ends_a_transfer_whose_storage_says_nothing(around: Surroundings) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()
    async with around.started(QuickWorld(speed=10)) as proxy:
        loop = asyncio.get_running_loop()

        def hold() -> None:
            loop.call_soon_threadsafe(reached.set)
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20)

        sending = asyncio.create_task(around.send(proxy, diff_of(0, 1), before_end=hold))
        await reached.wait()
        async with asyncio.timeout(5):
            await proxy.call("stop", "v0", "force")
        assert await proxy.state() == "Stopped"
        assert names(around.base / "v0" / "received") == []
        gate.set()
        with pytest.raises((Refused, PeerUnreachable)):
            await sending


async def test_a_graceful_stop_waits_for_the_transfer(around: Surroundings) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()
    async with around.started(QuickWorld(speed=10)) as proxy:
        await stop_archives(around)
        loop = asyncio.get_running_loop()

        def hold() -> None:
            loop.call_soon_threadsafe(reached.set)
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20)

        sending = asyncio.create_task(around.send(proxy, diff_of(0, 1), before_end=hold))
        await reached.wait()
        stopping = asyncio.create_task(proxy.call("stop", "v0"))
        await until(lambda: volume_of(proxy).stop_state.text == "Stopping")
        gate.set()
        await sending
        await stopping
        assert await proxy.state() == "Stopped"
        assert queued(proxy, "a0") == ["|0|-->|1|"]


async def test_stop_empty_does_not_wait_for_the_delay_of_log_that_was_on_its_way(around: Surroundings) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()
    async with around.proxy() as proxy:
        for name, archive in around.archives.items():
            await proxy.call("archive-info", "add", "v0", name, str(archive.address), "snappy:0:1", "100000")
        await proxy.call("start", "v0")
        loop = asyncio.get_running_loop()

        def hold() -> None:
            loop.call_soon_threadsafe(reached.set)
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20)

        sending = asyncio.create_task(around.send(proxy, diff_of(0, 1), before_end=hold))
        await reached.wait()
        stopping = asyncio.create_task(proxy.call("stop", "v0", "empty"))
        await until(lambda: volume_of(proxy).stop_state.text == "WaitingForEmpty")
        gate.set()
        await sending
        async with asyncio.timeout(5):
            await stopping
        assert around.archives["a0"].accepted() == around.archives["a1"].accepted() == ["|0|-->|1|"]


async def test_a_larger_device_is_remembered(around: Surroundings) -> None:
    async with around.started() as proxy:
        await around.send(proxy, diff_of(0, 1), size_lb=4096)
        await around.send(proxy, diff_of(1, 2), size_lb=2048)
        assert volume_of(proxy).size_lb == 4096
    async with around.proxy() as proxy:
        assert volume_of(proxy).size_lb == 4096


async def test_a_second_transfer_of_a_volume_is_refused_meanwhile(around: Surroundings) -> None:
    gate = Gate()
    async with around.started() as proxy:
        loop = asyncio.get_running_loop()
        first = asyncio.create_task(
            around.send(
                proxy,
                diff_of(0, 1),
                before_end=lambda: asyncio.run_coroutine_threadsafe(gate(), loop).result(20),
            )
        )
        await gate.reached.wait()
        with pytest.raises(Refused, match="bad state:v0:WlogRecv"):
            await around.send(proxy, diff_of(0, 1))
        gate.opened.set()
        await first

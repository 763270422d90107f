"""A ring that overflowed, or is not the volume's: shipping ends at once, and nothing wrong is sent or given free."""

from __future__ import annotations

import asyncio

import pytest

from tests.group_testing import Gate, QuickWorld, until
from tests.storage.storage_testing import Group, blocks, volume_of
from walbd.model.error import Refused


async def test_an_overflow_is_noticed_although_the_next_try_is_far_away(group: Group) -> None:
    async with group.target(min_delay_sec=100_000, max_delay_sec=100_000) as storage:
        await group.proxy.stop()
        group.device.write(0, blocks(1))
        await until(lambda: storage.has_logged("There is no available proxy"))
        group.device.is_overflow = True
        group.device.write(0, blocks(2))
        await until(lambda: volume_of(storage).state == "Stopped")
        assert storage.has_logged("ERROR StorageWorker:overflow:v0")
        assert any("isOverflow 1" in line and "overflow:v0" in line for line in await storage.call("status"))
        assert any("lastFailure overflow:v0" in line for line in await storage.call("status", "v0"))
        assert await storage.get("is-overflow", "v0") == ["1"]


async def test_an_overflow_that_a_try_to_send_has_found_is_told(group: Group) -> None:
    async with group.target() as storage:
        group.device.is_overflow = True
        await storage.call("kick")
        await until(lambda: volume_of(storage).state == "Stopped" and not volume_of(storage).actions.total)
        assert any("lastFailure overflow:v0" in line for line in await storage.call("status", "v0"))


async def test_an_overflow_ends_a_transfer_that_is_not_acknowledged_yet(group: Group) -> None:
    gate = Gate()
    async with group.target() as storage:
        group.proxy.before_ack = gate
        group.device.write(0, blocks(1))
        await gate.reached.wait()
        done = volume_of(storage).records.done
        group.device.is_overflow = True
        group.device.write(0, blocks(2))
        await until(lambda: volume_of(storage).state == "Stopped" and not volume_of(storage).actions.total)
        gate.opened.set()
        assert volume_of(storage).records.done == done
        await storage.call("reset-vol", "v0", "7")
        assert not any("lastFailure" in line for line in await storage.call("status", "v0"))


async def test_an_overflow_ends_a_full_backup_at_once(group: Group) -> None:
    async with group.storage(QuickWorld(speed=10)) as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call("set-full-scan-bps", "1")
        backup = asyncio.create_task(storage.call("full-bkp", "v0"))
        await until(lambda: volume_of(storage).monitor.is_running)
        group.device.is_overflow = True
        group.device.write(0, blocks(1))
        with pytest.raises(Refused, match="overflow:v0"):
            await backup
        assert await storage.state() == "SyncReady"
        assert group.archive.backups == []


async def test_a_standby_volume_whose_log_overflowed_goes_on_with_a_new_one(group: Group) -> None:
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call("start", "v0", "standby")
        group.device.is_overflow = True
        group.device.write(0, blocks(1))
        await until(lambda: storage.has_logged("its log is cleared") and not group.device.is_overflow)
        group.device.write(0, blocks(1))
        group.device.checkpoint()
        await until(lambda: group.device.oldest == group.device.latest > 0)
        assert await storage.state() == "Standby"


async def test_a_standby_volume_whose_log_overflowed_never_gives_a_gid_again(group: Group) -> None:
    async with group.target() as storage:
        await storage.call("stop", "v0")
        gid = int((await storage.call("snapshot", "v0"))[0])
        await storage.call("reset-vol", "v0")
        await storage.call("start", "v0", "standby")
        group.device.is_overflow = True
        group.device.write(0, blocks(1))
        await until(lambda: storage.has_logged("its log is cleared") and not group.device.is_overflow)
        await until(lambda: volume_of(storage).actions.total == 0)
        assert volume_of(storage).records.last_gid == gid


async def test_a_standby_volume_does_not_give_free_the_log_of_another_device(group: Group) -> None:
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call("start", "v0", "standby")
        await until(lambda: volume_of(storage).actions.total == 0)
        await group.device.reset_wal()
        group.device.write(0, blocks(1))
        group.device.checkpoint()
        await until(lambda: storage.has_logged("has uuid"))
        assert group.device.oldest == 0
        await storage.call("stop", "v0")
        await storage.call("start", "v0", "standby")
        await until(lambda: group.device.oldest == group.device.latest)


async def test_log_that_something_else_gave_free_is_not_read(group: Group) -> None:
    async with group.target(min_delay_sec=100_000, max_delay_sec=100_000) as storage:
        await group.proxy.stop()
        group.device.write(0, blocks(1))
        await until(lambda: storage.has_logged("There is no available proxy"))
        group.device.checkpoint()
        await group.device.set_oldest(group.device.latest)
        await group.proxy.start()
        await storage.call("kick")
        await until(lambda: storage.has_logged("is gone, it was sent up to"))
        assert any("lastFailure log before lsid" in line for line in await storage.call("status"))
        assert len(group.proxy.received) == 1  # of the backup
        await storage.call("stop", "v0")
        await storage.call("reset-vol", "v0")
        assert await storage.state() == "SyncReady"

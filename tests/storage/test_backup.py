"""Full backup as client of the archive: its image, its log, and every way in which it can end (F1 to F4)."""

from __future__ import annotations

import asyncio

import pytest

from tests.group_testing import FaultyFiles, Gate, QuickWorld, until
from tests.storage.storage_testing import Group, blocks, volume_of
from walbd.model.error import BadState, Refused
from walbd.model.snapshot import Snapshot

STEPS = ["ask", "uuid", "image", "snapshot"]
KINDS = ["full-bkp", "hash-bkp"]


async def test_a_backup_sends_the_image_and_ships_what_is_written_meanwhile(group: Group) -> None:
    gate = Gate()

    async def at_step(name: str) -> None:
        if name == "uuid":
            await gate()

    group.archive.at_step = at_step
    group.device.write(5, blocks(5))
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        backup = asyncio.create_task(storage.call("full-bkp", "v0"))
        await gate.reached.wait()
        assert await storage.state() == "FullSync"
        gate.opened.set()
        await backup
        assert await storage.state() == "Target"
        group.device.write(9, blocks(9))
        await group.wait_sent(storage)
    (taken,) = group.archive.backups
    assert taken.image[5 * 512 :].startswith(blocks(5))
    assert taken.snapshot is not None
    assert taken.snapshot.gid_begin == 0
    assert {received.request.uuid for received in group.proxy.received} == {taken.uuid}
    assert group.proxy.received[-1].diff.end.gid_begin > taken.snapshot.gid_end


async def test_log_of_the_time_before_the_backup_is_thrown_away(group: Group) -> None:
    group.device.write(0, blocks(1))
    before = group.device.super_sector.uuid
    async with group.target() as storage:
        assert group.device.super_sector.uuid != before
        assert await storage.get("uuid", "v0") == [group.archive.backups[0].uuid.hex()]
        assert all(blocks(1) not in received.data for received in group.proxy.received)


@pytest.mark.parametrize("kind", KINDS)
async def test_writes_of_the_backup_are_shipped_before_it_has_ended(group: Group, kind: str) -> None:
    gate = Gate()

    async def at_step(name: str) -> None:
        if name == "image":
            group.device.write(3, blocks(3))
            await until(lambda: any(blocks(3) in received.data for received in group.proxy.received))
            gate.opened.set()
        if name == "snapshot":
            await gate()

    group.archive.at_step = at_step
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call(kind, "v0")
        assert group.archive.backups[0].snapshot != Snapshot(0, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
async def test_an_archive_that_fails_leaves_the_volume_ready_for_the_next_backup(
    group: Group, kind: str, step: str
) -> None:
    async def at_step(name: str) -> None:
        if name == step:
            raise BadState(f"failed at {step}")

    group.archive.at_step = at_step
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        with pytest.raises(Refused, match=f"failed at {step}"):
            await storage.call(kind, "v0")
        assert await storage.state() == "SyncReady"
        assert not volume_of(storage).monitor.is_running
        assert group.device.given_free == []
        group.archive.at_step = None
        await storage.call(kind, "v0")
        assert await storage.state() == "Target"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
async def test_a_forced_stop_ends_a_backup_in_every_phase(group: Group, kind: str, step: str) -> None:
    gate = Gate()

    async def at_step(name: str) -> None:
        if name == step:
            await gate()

    group.archive.at_step = at_step
    async with group.storage(QuickWorld(speed=10)) as storage:
        await storage.call("init-vol", "v0", "w0")
        backup = asyncio.create_task(storage.call(kind, "v0"))
        await gate.reached.wait()
        async with asyncio.timeout(8):
            await storage.call("stop", "v0", "force")
        assert await storage.state() == "SyncReady"
        assert not volume_of(storage).monitor.is_running
        with pytest.raises(Refused, match="force stopped"):
            await backup


@pytest.mark.parametrize("step", ["ask", "image", "snapshot"])
async def test_a_forced_shutdown_ends_within_ten_seconds_in_every_phase(group: Group, step: str) -> None:
    gate = Gate()

    async def at_step(name: str) -> None:
        if name == step:
            await gate()

    group.archive.at_step = at_step
    async with group.storage(QuickWorld(speed=1)) as storage:
        await storage.call("init-vol", "v0", "w0")
        backup = asyncio.create_task(storage.call("full-bkp", "v0"))
        await gate.reached.wait()
        storage.daemon.runtime.shutdown.request("force")
        async with asyncio.timeout(10):
            await storage.task
        backup.cancel()
    async with group.storage() as storage:
        assert await storage.state() == "SyncReady"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_graceful_shutdown_waits_for_the_backup(group: Group, kind: str) -> None:
    gate = Gate()

    async def at_step(name: str) -> None:
        if name == "image":
            await gate()

    group.archive.at_step = at_step
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call(kind, "v0", wait=False)
        await gate.reached.wait()
        await storage.call("shutdown", "graceful")
        gate.opened.set()
        async with asyncio.timeout(10):
            await storage.task
    async with group.storage() as storage:
        assert await storage.state() == "Target"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_backup_whose_end_cannot_be_saved_is_not_half_in_service(group: Group, kind: str) -> None:
    files = FaultyFiles()
    async with group.storage(QuickWorld(files)) as storage:
        await storage.call("init-vol", "v0", "w0")
        files.fails = lambda operation, path: operation == "save" and path.name == "state"
        with pytest.raises(Refused, match="No space left"):
            await storage.call(kind, "v0")
        assert await storage.state() == "SyncReady"
        assert not volume_of(storage).monitor.is_running


@pytest.mark.parametrize("kind", KINDS)
async def test_a_transfer_that_outlives_a_failed_backup_ends_before_the_next_log_begins(
    group: Group, kind: str
) -> None:
    sending = Gate()

    async def at_step(name: str) -> None:
        if name == "image":
            group.device.write(3, blocks(3))
            await sending.reached.wait()
            raise BadState("failed")

    group.archive.at_step, group.proxy.before_ack = at_step, sending
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        with pytest.raises(Refused, match="failed"):
            await storage.call(kind, "v0")
        group.archive.at_step = None
        uuid = group.proxy.received[0].request.uuid
        await storage.call(kind, "v0")
        sending.opened.set()
        await group.wait_sent(storage)
        later = [received.request.uuid for received in group.proxy.received[1:]]
        assert uuid not in later


@pytest.mark.parametrize("kind", KINDS)
async def test_an_overflow_during_the_backup_fails_it(group: Group, kind: str) -> None:
    async def at_step(name: str) -> None:
        if name == "image":
            group.device.is_overflow = True

    group.archive.at_step = at_step
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        with pytest.raises(Refused, match="overflow:v0"):
            await storage.call(kind, "v0")
        assert await storage.state() == "SyncReady"
        assert group.archive.backups == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_backup_without_archive_says_so_and_changes_nothing(group: Group, kind: str) -> None:
    await group.archive.stop()
    uuid = group.device.super_sector.uuid
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        with pytest.raises(Refused, match="cannot connect to"):
            await storage.call(kind, "v0")
        assert await storage.state() == "SyncReady"
    assert group.device.super_sector.uuid == uuid


async def test_progress_and_result_of_a_backup_are_kept(group: Group) -> None:
    async with group.target() as storage:
        (line,) = await storage.get("tasks", "v0")
        assert "kind:full-bkp" in line
        assert "done:131072\ttotal:131072" in line
        assert "result:succeeded" in line


async def test_a_hash_backup_sends_what_differs_and_goes_on_after_the_gids_of_the_archive(group: Group) -> None:
    group.device.write(5, blocks(5))
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call("hash-bkp", "v0", "4096")
        assert await storage.state() == "Target"
        group.device.write(9, blocks(9))
        await group.wait_sent(storage)
        assert storage.has_logged("dirty-hash-sync2:succeeded:v0")
    (taken,) = group.archive.backups
    assert taken.snapshot is not None and taken.snapshot.gid_begin == group.archive.latest.gid_end + 1
    assert blocks(5, 3) in taken.packs and len(taken.packs) == 4096 + 2 * 4096
    assert {received.request.uuid for received in group.proxy.received} == {taken.uuid}
    first = group.proxy.received[0].diff
    assert first.begin == Snapshot.clean(taken.snapshot.gid_begin) and not first.is_mergeable


async def test_a_hash_backup_brings_a_volume_back_after_its_log_was_reset(group: Group) -> None:
    async with group.target() as storage:
        await storage.call("stop", "v0")
        await storage.call("reset-vol", "v0")
        with pytest.raises(Refused, match="bulk size"):
            await storage.call("hash-bkp", "v0", "8M")
        await storage.call("hash-bkp", "v0")
        assert await storage.state() == "Target"
        taken = group.archive.backups[-1].snapshot
        assert taken is not None and taken.gid_begin == group.archive.latest.gid_end + 1
        (line,) = [line for line in await storage.get("tasks", "v0") if "kind:hash-bkp" in line]
        assert "done:131072\ttotal:131072" in line and "result:succeeded" in line


@pytest.mark.parametrize("loses", ["reset-vol", "a failed backup"])
async def test_a_gid_of_log_that_was_lost_is_never_given_again(group: Group, loses: str) -> None:
    async with group.target() as storage:
        group.proxy.refusal = BadState("no room")
        lost = [int((await storage.call("snapshot", "v0"))[0]) for _ in range(4 + group.archive.latest.gid_end)]
        await storage.call("stop", "v0", "force")
        await storage.call("reset-vol", "v0")
        if loses == "a failed backup":
            group.archive.at_step = refuse
            with pytest.raises(Refused):
                await storage.call("hash-bkp", "v0")
            group.archive.at_step = None
            await until(lambda: storage.daemon.volumes.get("v0").state == "SyncReady")
        await storage.call("hash-bkp", "v0")
        taken = group.archive.backups[-1].snapshot
        assert taken is not None and taken.gid_begin > max(lost)
        assert int((await storage.call("snapshot", "v0"))[0]) > max(lost)


async def refuse(step: str) -> None:
    """An archive that fails when the image comes."""
    if step == "image":
        raise BadState("out of order")

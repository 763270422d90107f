"""init-vol, clear-vol, start, stop, reset-vol: durable step by step (failure matrix R1 to R3)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.group_testing import FaultyFiles, QuickWorld, until
from tests.storage.fake_device import FakeDevice
from tests.storage.storage_testing import Group, blocks, volume_of
from walbd.model.error import PeerUnreachable, Refused


async def test_a_new_volume_has_the_files_of_the_reference(group: Group) -> None:
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
    folder = group.base / "v0"
    assert sorted(path.name for path in folder.iterdir()) == ["done", "path", "queue", "state", "uuid"]
    assert (folder / "path").read_bytes() == b"\x0c/dev/walb/w0"
    assert (folder / "state").read_bytes() == b"\x09SyncReady"
    assert (folder / "uuid").read_bytes() == bytes(16)


@pytest.mark.parametrize("name", ["queue", "path", "state", "done", "uuid", "v0"])
async def test_an_init_that_fails_leaves_nothing(group: Group, name: str) -> None:
    files = FaultyFiles(fails=lambda operation, path: path.name == name)
    async with group.storage(QuickWorld(files)) as storage:
        with pytest.raises(Refused, match="No space left"):
            await storage.call("init-vol", "v0", "w0")
        assert await storage.get("vol") == []
        assert list(group.base.iterdir()) == []
        files.fails = lambda *_: False
        await storage.call("init-vol", "v0", "w0")


async def test_init_of_what_is_there_or_of_no_device_is_refused(group: Group) -> None:
    group.devices.by_name["w1"] = FakeDevice(group.base.parent / "dev", "w1")
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        for params, reason in (
            (("v0", "w1"), "exists already"),
            (("v1", "w0"), "already used"),
            (("v1", "w9"), "no walb device"),
            (("../v1", "w1"), "bad volId format"),
            (("v1", "w\n1"), "bad path"),
        ):
            with pytest.raises(Refused, match=reason):
                await storage.call("init-vol", *params)
        assert await storage.get("vol") == ["v0"]


async def test_a_cleared_volume_is_gone_and_can_be_made_again(group: Group) -> None:
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call("clear-vol", "v0")
        assert not (group.base / "v0").exists()
        assert await storage.state() == "Clear"
        await storage.call("init-vol", "v0", "w0")


async def test_a_volume_is_cleared_although_its_device_fails_to_close(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.get("is-overflow", "v0")

        async def broken() -> None:
            raise PeerUnreachable("gone")

        monkeypatch.setattr(group.device, "close", broken)
        with pytest.raises(Refused, match="gone"):
            await storage.call("clear-vol", "v0")
        monkeypatch.undo()
        assert await storage.get("vol") == []


async def test_stop_start_and_restart_keep_the_place_in_the_log(group: Group) -> None:
    async with group.target() as storage:
        await storage.call("stop", "v0")
        group.device.write(0, blocks(7))
        (gid,) = await storage.call("snapshot", "v0")
    async with group.storage() as storage:
        assert await storage.state() == "Stopped"
        sent = len(group.proxy.received)
        await storage.call("start", "v0", "target")
        await group.wait_sent(storage)
        assert blocks(7) in group.proxy.received[sent].data
        assert str(group.proxy.received[sent].diff.end) == f"|{gid}|"


async def test_a_target_goes_on_by_itself_after_a_restart(group: Group) -> None:
    async with group.target():
        pass
    group.device.write(0, blocks(7))
    async with group.storage() as storage:
        await group.wait_sent(storage)
        assert blocks(7) in group.proxy.received[-1].data


async def test_reset_throws_the_log_away_and_begins_at_the_given_gid(group: Group) -> None:
    async with group.target() as storage:
        await storage.call("stop", "v0")
        await storage.call("snapshot", "v0")
        uuid = group.device.super_sector.uuid
        await storage.call("reset-vol", "v0", "14")
        assert await storage.state() == "SyncReady"
        done = volume_of(storage).records.done
        assert (done.lsid, done.gid, volume_of(storage).records.queue) == (0, 14, [])
        assert await storage.get("uuid", "v0") == [group.device.super_sector.uuid.hex()]
        assert group.device.super_sector.uuid != uuid


@pytest.mark.parametrize("name", ["state", "done", "queue", "uuid"])
async def test_a_reset_that_fails_anywhere_never_lets_new_log_pass_for_sent(group: Group, name: str) -> None:
    files = FaultyFiles()
    async with group.target(QuickWorld(files)) as storage:
        group.device.write(0, blocks(1))
        await group.wait_sent(storage)
        await storage.call("stop", "v0")
        failed = []

        def fails(operation: str, path: Path) -> bool:
            if path.name == name and not failed:
                failed.append(path)
                return True
            return False

        files.fails = fails
        with pytest.raises(Refused, match="No space left"):
            await storage.call("reset-vol", "v0")
        files.fails = lambda *_: False
        assert await storage.state() == "Stopped"
    for number in range(8):
        group.device.write(number, blocks(2))
    group.device.checkpoint()
    is_cleared = name != "state"
    async with group.storage() as storage:
        assert await storage.state() == "Stopped"
        if is_cleared:
            with pytest.raises(Refused, match="has uuid"):
                await storage.call("start", "v0", "target")
            assert group.device.oldest == 0
            await storage.call("reset-vol", "v0")
            assert await storage.state() == "SyncReady"
        else:
            await storage.call("start", "v0", "target")
            await group.wait_sent(storage)


async def test_a_crash_in_a_reset_leaves_a_volume_that_must_be_backed_up(group: Group) -> None:
    async with group.target(mode="force") as storage:
        await storage.call("stop", "v0")
        group.device.hangs = True
        reset = asyncio.create_task(storage.call("reset-vol", "v0"))
        await until(lambda: group.device.is_waited_for)
        reset.cancel()
        storage.daemon.runtime.shutdown.request("force")
        await storage.task
    group.device.hangs = False
    group.device.tell()
    async with group.storage() as storage:
        assert await storage.state() == "SyncReady"


async def test_a_device_that_is_away_fails_the_reset_and_changes_nothing(group: Group) -> None:
    async with group.target() as storage:
        group.device.write(0, blocks(1))
        await storage.call("stop", "v0")
        group.device.is_away = True
        with pytest.raises(Refused, match="cannot reach"):
            await storage.call("reset-vol", "v0")
    group.device.is_away = False
    async with group.storage() as storage:
        await storage.call("start", "v0", "target")
        await group.wait_sent(storage)


@pytest.mark.parametrize("name", ["path", "state", "done", "queue", "uuid"])
@pytest.mark.parametrize("damage", ["missing", "garbage"])
async def test_a_volume_with_a_damaged_file_fails_alone(group: Group, name: str, damage: str) -> None:
    group.devices.by_name["w1"] = FakeDevice(group.base.parent / "dev", "w1")
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        await storage.call("init-vol", "v1", "w1")
    path = group.base / "v0" / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"\xff" * 3)
    async with group.storage() as storage:
        assert await storage.state() == "Failed"
        assert await storage.state("v1") == "SyncReady"
        for command in (("snapshot", "v0"), ("full-bkp", "v0"), ("start", "v0", "target"), ("stop", "v0")):
            with pytest.raises(Refused, match="volume v0 failed"):
                await storage.call(*command)
        assert any(name in line and "failed" in line for line in storage.lines)
        await storage.call("status")
        await storage.call("status", "v0")
        assert len(await storage.get("log-usage")) == 1
        await storage.call("full-bkp", "v1")


async def test_commands_in_a_wrong_state_say_which_state_they_need(group: Group) -> None:
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        for command in (("snapshot", "v0"), ("stop", "v0"), ("start", "v0", "target"), ("reset-vol", "v0")):
            with pytest.raises(Refused, match="bad state:v0:SyncReady") as caught:
                await storage.call(*command)
            assert "needs the state" in caught.value.hint
        with pytest.raises(Refused, match="target or standby"):
            await storage.call("start", "v0", "both")
        with pytest.raises(Refused, match="stop empty is not allowed"):
            await storage.call("stop", "v0", "empty")
        for command in (("snapshot", "none"), ("get", "uuid", "none")):
            with pytest.raises(Refused, match="bad state:none:Clear"):
                await storage.call(*command)


async def test_two_volumes_at_once_do_not_get_one_device(group: Group) -> None:
    async with group.storage() as storage:
        both = [storage.call("init-vol", name, "w0") for name in ("v0", "v1")]
        answers = await asyncio.gather(*both, return_exceptions=True)
        (refusal,) = [answer for answer in answers if isinstance(answer, Refused)]
        assert "already used wdev" in refusal.message
        (made,) = await storage.get("vol")
        assert sorted(path.name for path in group.base.iterdir()) == [made]


async def test_two_commands_at_once_do_not_both_change_the_volume(group: Group) -> None:
    async with group.storage() as storage:
        results = await asyncio.gather(
            *(storage.call("init-vol", "v0", "w0") for _ in range(4)), return_exceptions=True
        )
        assert sum(not isinstance(result, Refused) for result in results) == 1
        results = await asyncio.gather(*(storage.call("full-bkp", "v0") for _ in range(4)), return_exceptions=True)
        assert sum(not isinstance(result, Refused) for result in results) == 1
        assert await storage.state() == "Target"


@pytest.mark.parametrize("spec", ["w0", "/dev/walb/w0", "/dev/walb/./w0"])
async def test_a_device_belongs_to_one_volume_however_it_is_spelled(group: Group, spec: str) -> None:
    async with group.storage() as storage:
        await storage.call("init-vol", "v0", "w0")
        with pytest.raises(Refused, match=r"already used wdev:/dev/walb/w0:v0"):
            await storage.call("init-vol", "v1", spec)
        assert await storage.get("vol") == ["v0"]

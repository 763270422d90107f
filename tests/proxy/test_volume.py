"""archive-info, start, stop, clear-vol, restart: what is on disk is whole at every moment."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.group_testing import FaultyFiles, QuickWorld, until
from tests.proxy.proxy_testing import Surroundings, diff_of, names, queued, volume_of
from walbd.model.error import Refused

ADDRESS = "127.0.0.1:9"


async def test_the_first_archive_makes_the_volume_with_the_files_of_the_reference(around: Surroundings) -> None:
    async with around.proxy() as proxy:
        await proxy.call("archive-info", "add", "v0", "a0", "localhost:31704", "gzip:9:2", "60")
        assert await proxy.state() == "Stopped"
        assert await proxy.call("archive-info", "get", "v0", "a0") == ["localhost:31704 gzip:9:2 60"]
    folder = around.base / "v0"
    assert (folder / "a0.archive").read_bytes() == bytes.fromhex("096c6f63616c686f7374d87b0109023c")
    assert (folder / "size").read_bytes() == b"\0"
    assert (folder / "sendto" / "a0").is_dir()
    assert (folder / "received").is_dir()


@pytest.mark.parametrize("name", ["size", "state", "a0", "sendto", "a0.archive", "v0"])
async def test_a_first_add_that_fails_leaves_nothing(around: Surroundings, name: str) -> None:
    files = FaultyFiles(fails=lambda operation, path: path.name == name)
    async with around.proxy(QuickWorld(files)) as proxy:
        if name in ("a0",):
            files.fails = lambda operation, path: path.name == "a0.archive"
        with pytest.raises(Refused, match="No space left"):
            await proxy.call("archive-info", "add", "v0", "a0", ADDRESS)
        assert await proxy.get("vol") == []
        assert names(around.base) == []
        files.fails = lambda *_: False
        await proxy.call("archive-info", "add", "v0", "a0", ADDRESS)


@pytest.mark.parametrize("name", ["sendto", "a1.archive"])
async def test_a_later_add_that_fails_can_be_repeated(around: Surroundings, name: str) -> None:
    files = FaultyFiles()
    async with around.proxy(QuickWorld(files)) as proxy:
        await proxy.call("archive-info", "add", "v0", "a0", ADDRESS)
        files.fails = lambda operation, path: path.name == name
        with pytest.raises(Refused, match="No space left"):
            await proxy.call("archive-info", "add", "v0", "a1", ADDRESS)
        assert await proxy.call("archive-info", "list", "v0") == ["a0"]
        assert not (around.base / "v0" / "a1.archive").exists()
        files.fails = lambda *_: False
        await proxy.call("archive-info", "add", "v0", "a1", ADDRESS)
    async with around.proxy() as proxy:
        assert await proxy.call("archive-info", "list", "v0") == ["a0", "a1"]


@pytest.mark.parametrize("command", ["add", "update"])
async def test_what_fails_after_its_file_was_renamed_changes_nothing(around: Surroundings, command: str) -> None:
    """The last step, which makes the new name durable, fails: the name is there already."""
    files = FaultyFiles()
    name = "a1" if command == "add" else "a0"
    async with around.proxy(QuickWorld(files)) as proxy:
        await proxy.call("archive-info", "add", "v0", "a0", ADDRESS)
        path = around.base / "v0" / f"{name}.archive"
        before = path.read_bytes() if path.exists() else b""
        files.fails = lambda operation, folder: (
            (operation, folder.name) == ("sync", "v0") and path.exists() and path.read_bytes() != before
        )
        with pytest.raises(Refused, match="No space left"):
            await proxy.call("archive-info", command, "v0", name, "127.0.0.1:10")
    async with around.proxy() as proxy:
        assert await proxy.call("archive-info", "list", "v0") == ["a0"]
        assert await proxy.call("archive-info", "get", "v0", "a0") == [f"{ADDRESS} snappy:0:1 0"]


async def test_a_queue_that_cannot_be_removed_is_told_and_its_archive_is_gone_all_the_same(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for archive in around.archives.values():
        await archive.stop()
    async with around.started() as proxy:
        await around.send(proxy, diff_of(0, 1))
        await proxy.call("stop", "v0")
        with monkeypatch.context() as patch:

            def fail(path: Path, **_: object) -> None:
                raise OSError(5, "Input/output error", str(path))

            patch.setattr("walbd.proxy.volume_files.shutil.rmtree", fail)
            with pytest.raises(Refused, match="Input/output error") as caught:
                await proxy.call("archive-info", "delete", "v0", "a0")
        assert "sendto/a0" in caught.value.message and "by hand" in caught.value.hint
        assert await proxy.call("archive-info", "list", "v0") == ["a1"]
        await proxy.call("archive-info", "delete", "v0", "a0")
        await proxy.call("start", "v0")
    async with around.proxy() as proxy:
        assert await proxy.call("archive-info", "list", "v0") == ["a1"]


async def test_an_archive_is_not_added_again_while_its_old_queue_is_being_removed(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, released, remove = threading.Event(), threading.Event(), shutil.rmtree

    def remove_slowly(path: Path, **values: Any) -> None:
        begun.set()
        released.wait(20)
        remove(path, **values)

    async with around.started() as proxy:
        await proxy.call("stop", "v0")
        monkeypatch.setattr("walbd.proxy.volume_files.shutil.rmtree", remove_slowly)
        deleting = asyncio.create_task(proxy.call("archive-info", "delete", "v0", "a0"))
        await until(begun.is_set)
        try:
            with pytest.raises(Refused, match="bad state"):
                await proxy.call("archive-info", "add", "v0", "a0", ADDRESS)
        finally:
            released.set()
            await deleting
        await proxy.call("archive-info", "add", "v0", "a0", ADDRESS)
        assert (around.base / "v0" / "sendto" / "a0").is_dir()


@pytest.mark.parametrize("way", ["clear-vol", "delete", "update"])
async def test_an_archive_that_no_volume_needs_any_more_is_not_asked_for(around: Surroundings, way: str) -> None:
    """Nor is one forgotten that another volume still needs."""
    for archive in around.archives.values():
        await archive.stop()
    async with around.started() as proxy:
        await proxy.call("archive-info", "add", "v1", "a0", str(around.archives["a0"].address))
        await proxy.call("start", "v1")
        await around.send(proxy, diff_of(0, 1))
        lost = proxy.daemon.context.lost_archives
        await until(lambda: len(lost.addresses) == 2)
        await proxy.call("stop", "v0")
        if way == "clear-vol":
            await proxy.call("clear-vol", "v0")
        for name in [] if way == "clear-vol" else ["a0", "a1"]:
            await proxy.call("archive-info", way, "v0", name, *([ADDRESS] if way == "update" else []))
        await until(lambda: lost.addresses == {around.archives["a0"].address})


async def test_adding_an_archive_twice_changes_nothing_and_update_does(around: Surroundings) -> None:
    async with around.proxy() as proxy:
        await proxy.call("archive-info", "add", "v0", "a0", ADDRESS, "gzip:6:1", "30")
        with pytest.raises(Refused, match="already exists:a0"):
            await proxy.call("archive-info", "add", "v0", "a0", "127.0.0.1:10")
        assert await proxy.call("archive-info", "get", "v0", "a0") == [f"{ADDRESS} gzip:6:1 30"]
        await proxy.call("archive-info", "update", "v0", "a0", "127.0.0.1:10")
        await proxy.call("archive-info", "update", "v0", "a1", "127.0.0.1:11")
    async with around.proxy() as proxy:
        assert await proxy.call("archive-info", "get", "v0", "a0") == ["127.0.0.1:10 snappy:0:1 0"]
        assert await proxy.call("archive-info", "list", "v0") == ["a0", "a1"]


async def test_archives_of_a_started_volume_are_not_changed(around: Surroundings) -> None:
    async with around.started() as proxy:
        for action in (("add", "v0", "a2", ADDRESS), ("update", "v0", "a0", ADDRESS), ("delete", "v0", "a0")):
            with pytest.raises(Refused, match="bad state:v0:Started"):
                await proxy.call("archive-info", *action)
        assert await proxy.call("archive-info", "list", "v0") == ["a0", "a1"]
        assert len(await proxy.call("archive-info", "get", "v0", "a0")) == 1


@pytest.mark.parametrize("name", ["../../v1", "..", ".hidden", "a/b", "a b", "", "x" * 300])
async def test_a_name_that_leaves_the_volume_is_refused(around: Surroundings, name: str) -> None:
    async with around.proxy() as proxy:
        await around.add_archives(proxy)
        await around.add_archives(proxy, "v1")
        before = sorted(around.base.rglob("*"))
        for action in ("add", "update", "delete", "get"):
            params = ("v0", name, ADDRESS) if action in ("add", "update") else ("v0", name)
            with pytest.raises(Refused):
                await proxy.call("archive-info", action, *params)
        assert sorted(around.base.rglob("*")) == before


async def test_a_deleted_archive_goes_with_its_queue_and_the_last_with_the_volume(around: Surroundings) -> None:
    for archive in around.archives.values():
        await archive.stop()
    async with around.started() as proxy:
        await around.send(proxy, diff_of(0, 1))
        await proxy.call("stop", "v0")
        await proxy.call("archive-info", "delete", "v0", "a9")
        await proxy.call("archive-info", "delete", "v0", "a0")
        assert names(around.base / "v0" / "sendto") == ["a1"]
        assert queued(proxy, "a1") == ["|0|-->|1|"]
        await proxy.call("archive-info", "delete", "v0", "a1")
        assert await proxy.state() == "Clear"
        assert names(around.base) == []


async def test_the_queue_of_a_lost_information_file_is_adopted_by_the_next_add(around: Surroundings) -> None:
    await around.archives["a0"].stop()
    async with around.started() as proxy:
        await around.send(proxy, diff_of(0, 1))
    (around.base / "v0" / "a0.archive").unlink()
    async with around.proxy() as proxy:
        assert await proxy.call("archive-info", "list", "v0") == ["a1"]
        assert proxy.has_logged("ignored the queue of an archive without information:v0:a0")
        await proxy.call("stop", "v0")
        await around.archives["a0"].start()
        await proxy.call("archive-info", "add", "v0", "a0", str(around.archives["a0"].address))
        await proxy.call("start", "v0")
        await until(lambda: around.archives["a0"].accepted() == ["|0|-->|1|"])


async def test_a_stopped_volume_is_stopped_after_a_restart_and_a_started_one_started(around: Surroundings) -> None:
    async with around.started() as proxy:
        await around.add_archives(proxy, "v1")
        await proxy.call("start", "v1")
        await proxy.call("stop", "v0")
    async with around.proxy() as proxy:
        assert (await proxy.state("v0"), await proxy.state("v1")) == ("Stopped", "Started")
    async with around.proxy(is_stopped=True) as proxy:
        assert (await proxy.state("v0"), await proxy.state("v1")) == ("Stopped", "Stopped")
    async with around.proxy() as proxy:
        assert (await proxy.state("v0"), await proxy.state("v1")) == ("Stopped", "Started")


async def test_clear_vol_removes_everything_and_only_of_that_volume(around: Surroundings) -> None:
    await around.archives["a0"].stop()
    async with around.started() as proxy:
        await around.add_archives(proxy, "v1")
        await around.send(proxy, diff_of(0, 1))
        with pytest.raises(Refused, match="bad state:v0:Started"):
            await proxy.call("clear-vol", "v0")
        await proxy.call("stop", "v0")
        await proxy.call("clear-vol", "v0")
        assert names(around.base) == ["v1"]
        assert await proxy.get("vol") == ["v1"]


async def test_start_distributes_what_an_earlier_failure_has_left_in_received(around: Surroundings) -> None:
    files = FaultyFiles()
    for archive in around.archives.values():
        await archive.stop()
    async with around.started(QuickWorld(files)) as proxy:
        files.fails = lambda operation, path: path.name == "a1"
        with pytest.raises(Refused, match="No space left"):
            await around.send(proxy, diff_of(0, 1))
        files.fails = lambda *_: False
        await proxy.call("stop", "v0")
        await proxy.call("start", "v0")
        assert queued(proxy, "a0") == queued(proxy, "a1") == ["|0|-->|1|"]
        assert names(around.base / "v0" / "received") == []


async def damaged(path: Path, how: str) -> None:
    if how == "garbage":
        path.write_bytes(b"\xff\xff\xff")
    elif path.is_dir():
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["missing", "garbage"])
@pytest.mark.parametrize("name", ["size", "state"])
async def test_a_lost_size_or_state_does_not_stop_the_backup(around: Surroundings, name: str, how: str) -> None:
    async with around.started():
        pass
    await damaged(around.base / "v0" / name, how)
    async with around.proxy() as proxy:
        assert await proxy.state() == "Started"
        await proxy.call("status", "v0")
        await around.send(proxy, diff_of(0, 1))
        assert volume_of(proxy).size_lb == around.device.size_lb


@pytest.mark.parametrize("name", ["received", "sendto/a0"])
async def test_a_missing_folder_is_made_again(around: Surroundings, name: str) -> None:
    async with around.started():
        pass
    await damaged(around.base / "v0" / name, "missing")
    async with around.proxy() as proxy:
        assert await proxy.state() == "Started"
        await around.send(proxy, diff_of(0, 1))
        await until(lambda: not queued(proxy, "a0"))
        assert proxy.has_logged("made a missing directory")


async def test_a_volume_with_a_damaged_archive_file_fails_alone(around: Surroundings) -> None:
    async with around.started() as proxy:
        await around.add_archives(proxy, "v1")
        await proxy.call("start", "v1")
    (around.base / "v0" / "a0.archive").write_bytes(b"\xff" * 40)
    async with around.proxy() as proxy:
        assert (await proxy.state("v0"), await proxy.state("v1")) == ("Failed", "Started")
        for command in (("start", "v0"), ("stop", "v0"), ("kick", "v0"), ("clear-vol", "v0")):
            with pytest.raises(Refused, match="volume v0 failed") as caught:
                await proxy.call(*command)
            assert "repair" in caught.value.hint
        for command in (("status",), ("status", "v0"), ("kick",), ("get", "latest-snap"), ("get", "proxy-diff", "v0")):
            await proxy.call(*command)
        with pytest.raises(Refused, match="volume v0 failed"):
            await around.send(proxy, diff_of(0, 1))
        await around.send(proxy, diff_of(0, 1), volume="v1")


async def test_a_folder_that_cannot_be_read_fails_its_volume_only(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with around.started():
        pass

    def broken(folder: Path) -> int:
        raise PermissionError(13, "Permission denied", str(folder))

    files = FaultyFiles()
    monkeypatch.setattr(files, "sweep_temporary", broken)
    async with around.proxy(QuickWorld(files)) as proxy:
        assert await proxy.state() == "Failed"


async def test_foreign_files_are_left_alone_and_reported(around: Surroundings) -> None:
    async with around.started():
        pass
    folder = around.base / "v0"
    foreign = [folder / "note.txt", folder / "received" / "x.wdiff", folder / "sendto" / "a0" / "y.wdiff"]
    for path in (*foreign, folder / "tmpABCDEF", folder / "received" / "tmpABCDEF", folder / "tmpABCDEFG"):
        path.write_bytes(b"1")
    async with around.proxy() as proxy:
        assert await proxy.state() == "Started"
        assert proxy.has_logged("x.wdiff")
    assert all(path.exists() for path in (*foreign, folder / "tmpABCDEFG"))
    assert not (folder / "tmpABCDEF").exists()


async def test_two_first_adds_at_once_make_one_volume(around: Surroundings) -> None:
    async with around.proxy() as proxy:
        results = await asyncio.gather(
            *(proxy.call("archive-info", "add", "v0", f"a{n}", ADDRESS) for n in range(4)), return_exceptions=True
        )
        added = [n for n, result in enumerate(results) if not isinstance(result, Refused)]
        listed = await proxy.call("archive-info", "list", "v0")
        assert listed == [f"a{n}" for n in added]
    async with around.proxy() as proxy:
        assert await proxy.call("archive-info", "list", "v0") == listed

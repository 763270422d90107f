from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, content, names, running_archive
from tests.archive.packs import Io, Write, Zero, apply_ios
from walbd.image import plain_files
from walbd.model.error import Refused
from walbd.model.snapshot import Snapshot
from walbd.net.wdiff_transfer import Answer

IMAGE = os.urandom(64 << 10)
ROUNDS: list[list[Io]] = [
    [Write(0, b"a" * 1024)],
    [Write(1, b"b" * 512), Zero(60, 8)],
    [Zero(1, 1, is_discard=True), Write(127, b"c" * 512)],
    [],
]


def image_at(gid: int) -> bytes:
    """The oracle."""
    image = bytearray(IMAGE)
    for ios in ROUNDS[:gid]:
        apply_ios(image, ios)
    return bytes(image)


@pytest.fixture
async def history(archive: RunningArchive) -> AsyncIterator[RunningArchive]:
    """Gids 1 to 4; 2 is implicit."""
    await archive.full_backup(IMAGE, Snapshot(0, 1))
    for gid, ios in enumerate(ROUNDS):
        assert await archive.offer(clean_diff(gid, gid + 1, is_mergeable=gid == 2), ios) is Answer.ACCEPT
    yield archive


class Gate:
    """Holds the copy of the base image until opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._copy = plain_files.copy_image
        monkeypatch.setattr(plain_files, "copy_image", self._held)

    def _held(self, source: int, target: int, size: int, is_cancelled: Any, on_progress: Any) -> None:
        self.reached.set()
        while not self.opened.wait(0.01) and not is_cancelled():
            pass
        self._copy(source, target, size, is_cancelled, on_progress)


async def test_every_clean_snapshot_is_restored_with_its_content(history: RunningArchive) -> None:
    assert [line.split()[0] for line in await history.get("restorable", "v0")] == ["1", "3", "4"]
    assert [line.split()[0] for line in await history.get("restorable", "v0", "all")] == ["1", "2", "3", "4"]
    for gid in (4, 1, 3, 2):
        assert await history.restored_content(gid) == image_at(gid)
    assert await history.get("restored", "v0") == ["1", "2", "3", "4"]


async def test_a_restore_changes_neither_the_base_nor_the_diffs(history: RunningArchive) -> None:
    before = names(history.base / "v0"), await history.get("diff", "v0"), await history.get("base", "v0")
    await history.call("restore", "v0", "4")
    await history.call("del-restored", "v0", "4")
    assert (names(history.base / "v0"), await history.get("diff", "v0"), await history.get("base", "v0")) == before
    assert content(history.base / "v0/wb_v0") == IMAGE


@pytest.mark.parametrize("gid", ["0", "5", "18446744073709551615"])
async def test_a_gid_that_is_no_clean_snapshot_is_refused_at_once(history: RunningArchive, gid: str) -> None:
    with pytest.raises(Refused, match=f"bad gid to restore:v0:{gid}"):
        await history.call("restore", "v0", gid, wait=False)
    assert await history.get("restored", "v0") == []


async def test_a_gid_is_restored_once(history: RunningArchive) -> None:
    await history.call("restore", "v0", "3")
    with pytest.raises(Refused, match="already restored:v0:3"):
        await history.call("restore", "v0", "3", wait=False)
    await history.call("del-restored", "v0", "3")
    await history.call("restore", "v0", "3")


async def test_deleting_what_is_not_restored_is_refused(history: RunningArchive) -> None:
    with pytest.raises(Refused, match="volume not found:v0:3:restored"):
        await history.call("del-restored", "v0", "3")
    with pytest.raises(Refused, match="volume not found:v0:3:restored"):
        await history.get("restored-path", "v0", "3")


async def test_restored_volumes_outlive_a_restart_and_unfinished_ones_do_not(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        await archive.offer(clean_diff(0, 1), ROUNDS[0])
        await archive.call("restore", "v0", "1")
    (base / "v0/wr_v0_7_tmp").write_bytes(b"half")
    async with running_archive(base) as archive:
        assert await archive.get("restored", "v0") == ["1"]
        assert names(base / "v0", "wr_*") == ["wr_v0_1"]
        assert any("remove temporary snapshots:1" in line for line in archive.lines)


async def test_diffs_arrive_while_a_restore_runs(history: RunningArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    restore = asyncio.create_task(history.restored_content(3))
    await asyncio.to_thread(gate.reached.wait, 20)
    assert await history.get("num-action", "v0", "Restore") == ["1"]
    assert await history.offer(clean_diff(4, 5), [Write(0, b"z" * 512)]) is Answer.ACCEPT
    gate.opened.set()
    assert await restore == image_at(3)
    assert await history.get("num-action", "v0", "Restore") == ["0"]


@pytest.mark.parametrize(
    "command", [("restore", "v0", "1"), ("del-restored", "v0", "1"), ("clear-vol", "v0"), ("reset-vol", "v0")]
)
async def test_what_would_disturb_a_running_restore_is_refused(
    history: RunningArchive, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    await history.call("restore", "v0", "1")
    gate = Gate(monkeypatch)
    restore = asyncio.create_task(history.restored_content(3))
    await asyncio.to_thread(gate.reached.wait, 20)
    with pytest.raises(Refused, match=r"there are running action:Restore:1|bad state:v0:Archived"):
        await history.call(*command)
    gate.opened.set()
    await restore


async def test_a_forced_stop_ends_a_restore_and_leaves_nothing(
    history: RunningArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    restore = asyncio.create_task(history.restored_content(3))
    await asyncio.to_thread(gate.reached.wait, 20)
    await history.call("stop", "v0", "force")
    assert await history.get("state", "v0") == ["Stopped"]
    with pytest.raises(Refused, match="cancelled"):
        await restore
    assert await history.get("restored", "v0") == []
    assert names(history.base / "v0", "wr_*") == []


async def test_a_graceful_stop_waits_for_a_restore(history: RunningArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    restore = asyncio.create_task(history.restored_content(3))
    await asyncio.to_thread(gate.reached.wait, 20)
    stop = asyncio.create_task(history.call("stop", "v0"))
    await history.until(lambda: history.daemon.volumes.get("v0").stop_state.value != 1)
    with pytest.raises(Refused, match="verifyStopState:v0:4:1"):
        await history.call("restore", "v0", "1")
    gate.opened.set()
    await stop
    assert await history.get("state", "v0") == ["Stopped"]
    assert await history.get("restored", "v0") == ["3"] or not restore.done()
    restore.cancel()


async def test_a_failing_disk_fails_the_restore_alone(history: RunningArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(plain_files, "copy_image", fail)
        with pytest.raises(Refused, match="No space left on device"):
            await history.call("restore", "v0", "3")
    assert names(history.base / "v0", "wr_*") == []
    assert await history.restored_content(3) == image_at(3)


async def test_a_damaged_diff_fails_the_restore_alone(history: RunningArchive) -> None:
    path = history.base / "v0" / clean_diff(1, 2, is_mergeable=False).file_name
    damaged = bytearray(content(path))
    damaged[100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(Refused):
        await history.call("restore", "v0", "2")
    assert names(history.base / "v0", "wr_*") == []
    assert await history.restored_content(1) == image_at(1)


async def test_few_files_are_open_at_once_when_asked(base: Path) -> None:
    async with running_archive(base, max_open=1) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        for gid, ios in enumerate(ROUNDS):
            await archive.offer(clean_diff(gid, gid + 1), ios)
        assert await archive.restored_content(4) == image_at(4)


async def test_discards_are_ignored_when_asked(base: Path) -> None:
    async with running_archive(base, discard="ignore") as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        await archive.offer(clean_diff(0, 1), [Zero(3, 2, is_discard=True), Zero(10, 1)])
        expected = bytearray(IMAGE)
        apply_ios(expected, [Zero(10, 1)])
        assert await archive.restored_content(1) == bytes(expected)


async def test_restores_are_limited_by_the_foreground_limit(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_archive(base, max_foreground=1) as archive:
        for volume in ("v0", "v1"):
            await archive.call("init-vol", volume)
            await archive.full_backup(IMAGE, volume=volume)
            await archive.offer(clean_diff(0, 1), ROUNDS[0], volume=volume)
        gate = Gate(monkeypatch)
        restore = asyncio.create_task(archive.restored_content(1))
        await asyncio.to_thread(gate.reached.wait, 20)
        with pytest.raises(Refused, match="exceeds max foreground tasks:1"):
            await archive.call("restore", "v1", "1")
        assert await archive.offer(clean_diff(1, 2), ROUNDS[1], volume="v1") is Answer.ACCEPT
        gate.opened.set()
        await restore


async def test_restore_is_logged(history: RunningArchive) -> None:
    await history.call("restore", "v0", "3")
    await history.call("del-restored", "v0", "3")
    text = "\n".join(history.lines)
    assert "INFO restore started:v0:3" in text
    assert "INFO restore-status:v0:<|0,1|>:<|3|>" in text
    assert "INFO restore succeeded:v0:3:" in text
    assert "del-restored succeeded:v0:3" in text

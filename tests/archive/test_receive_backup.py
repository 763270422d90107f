from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.archive.archive_testing import START_SEC, UUID, RunningArchive, content, names, running_archive
from walbd.archive.base_image_sink import BaseImageSink
from walbd.model.error import Refused, WalbError
from walbd.model.snapshot import Snapshot
from walbd.model.timetext import digits
from walbd.net.full_backup import FullBackupSender

KIB = 1024
IMAGE = os.urandom(200 * KIB) + bytes(300 * KIB) + os.urandom(12 * KIB)


class Interrupted(Exception):
    """The storage dies."""


async def test_a_full_backup_makes_the_volume_archived(archive: RunningArchive) -> None:
    await archive.full_backup(IMAGE, Snapshot(0, 3))
    assert await archive.get("state", "v0") == ["Archived"]
    assert await archive.get("base", "v0") == [f"<|0,3|>-{digits(START_SEC)}"]
    assert await archive.get("uuid", "v0") == [UUID.hex()]
    assert await archive.get("vol-size", "v0") == ["1024"]
    assert await archive.get("progress", "v0") == ["0"]
    assert content(archive.base / "v0/wb_v0") == IMAGE
    assert any("dirty-full-sync3:succeeded:v0:elapsed_time" in line for line in archive.lines)


async def test_the_archive_uuid_is_new_with_each_full_backup(archive: RunningArchive) -> None:
    found = set()
    for _ in range(3):
        await archive.full_backup(IMAGE)
        found.update(await archive.get("archive-uuid", "v0"))
        await archive.call("stop", "v0")
        await archive.call("reset-vol", "v0")
    assert len(found) == 3
    assert "00" * 16 not in found


async def test_an_archived_volume_survives_a_restart(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        before = await archive.call("status", "v0")
    async with running_archive(base) as archive:
        after = await archive.call("status", "v0")
    assert [line for line in after if "Time" not in line] == [line for line in before if "Time" not in line]


async def test_zeros_of_a_second_attempt_replace_the_data_of_the_first(archive: RunningArchive) -> None:
    def die(step: str) -> None:
        if step == "snapshot":
            raise Interrupted

    with pytest.raises(Interrupted):
        await archive.full_backup(os.urandom(512 * KIB), before=die)
    await archive.until(lambda: archive.daemon.volumes.state("v0") == "SyncReady")
    assert await archive.get("exists-base-image", "v0") == ["1"]
    await archive.full_backup(IMAGE)
    assert content(archive.base / "v0/wb_v0") == IMAGE


@pytest.mark.parametrize("image", [IMAGE[: 100 * KIB], IMAGE + bytes(512)])
async def test_a_second_attempt_may_have_another_size(archive: RunningArchive, image: bytes) -> None:
    def die(step: str) -> None:
        if step == "snapshot":
            raise Interrupted

    with pytest.raises(Interrupted):
        await archive.full_backup(IMAGE, before=die)
    await archive.until(lambda: archive.daemon.volumes.state("v0") == "SyncReady")
    await archive.full_backup(image)
    assert content(archive.base / "v0/wb_v0") == image


@pytest.mark.parametrize("last_step", ["uuid", "image", "snapshot"])
async def test_a_storage_that_dies_leaves_the_volume_sync_ready(archive: RunningArchive, last_step: str) -> None:
    def die(step: str) -> None:
        if step == last_step:
            raise Interrupted

    with pytest.raises(Interrupted):
        await archive.full_backup(IMAGE, before=die)
    await archive.until(lambda: archive.daemon.volumes.state("v0") == "SyncReady")
    assert not archive.daemon.works.running()


@pytest.mark.parametrize("step", ["uuid", "image", "snapshot"])
async def test_a_forced_stop_ends_a_backup_whose_storage_says_nothing(
    archive: RunningArchive, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    reached = asyncio.Event()

    async def say_nothing(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    sends = {"uuid": "send_log_uuid", "image": "send_image", "snapshot": "send_snapshot"}
    monkeypatch.setattr(FullBackupSender, sends[step], say_nothing)
    backup = asyncio.create_task(archive.full_backup(IMAGE))
    await reached.wait()
    await archive.call("stop", "v0", "force")
    assert await archive.get("state", "v0") == ["SyncReady"]
    backup.cancel()


async def test_only_a_sync_ready_volume_takes_a_full_backup(archive: RunningArchive) -> None:
    await archive.full_backup(IMAGE)
    with pytest.raises(Refused, match="bad state:v0:Archived"):
        await archive.full_backup(IMAGE)
    with pytest.raises(Refused, match="bad state:v1:Clear"):
        await archive.full_backup(IMAGE, volume="v1")
    assert await archive.get("vol") == ["v0"]


@pytest.mark.parametrize("volume", ["../v0", "", "v0/x", "a" * 65])
async def test_a_name_that_is_not_allowed_is_refused(archive: RunningArchive, volume: str) -> None:
    with pytest.raises(WalbError, match="bad volId format"):
        await archive.full_backup(IMAGE, volume=volume)
    assert names(archive.base) == ["v0"]


async def test_a_backup_forgets_what_an_interrupted_clear_left(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
    (base / "v0/20231114221600-M--0-1.wdiff").write_bytes(b"left over")
    (base / "v0/wr_v0_1").write_bytes(bytes(512))
    async with running_archive(base) as archive:
        await archive.full_backup(IMAGE)
        assert await archive.get("num-diff", "v0") == ["0"]
        assert await archive.get("restored", "v0") == []
    assert names(base / "v0", "*.wdiff") == []


def test_an_image_that_does_not_read_as_zeros_gets_them_written(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"x" * (3 << 20))
    fd = os.open(path, os.O_RDWR)
    sink = BaseImageSink(fd, 1 << 30, reads_zero=False)
    sink.zeros(512, (2 << 20) + 512)
    sink.write(0, b"y" * 512)
    sink.sync()
    os.close(fd)
    end = 512 + (2 << 20) + 512
    assert path.read_bytes() == b"y" * 512 + bytes(end - 512) + b"x" * ((3 << 20) - end)


def test_an_image_is_synced_each_time_so_much_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = os.open(tmp_path / "image", os.O_RDWR | os.O_CREAT)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sink = BaseImageSink(fd, 1000, reads_zero=True)
    for i in range(10):
        sink.write(i * 512, bytes(512))
        sink.zeros(i * 512, 512)
    assert len(synced) == 5
    os.close(fd)

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.archive.archive_testing import UUID, RunningArchive, clean_diff, names, running_archive
from tests.archive.packs import Io, Write, Zero
from walbd.model.diff import Diff
from walbd.model.error import PeerUnreachable, Refused
from walbd.model.snapshot import Snapshot
from walbd.net.wdiff_transfer import Answer
from walbd.world.files import Files
from walbd.world.world import World

IMAGE = os.urandom(64 << 10)
IOS: list[Io] = [Write(3, b"a" * 1024), Zero(10, 2), Zero(20, 4, is_discard=True)]


@pytest.fixture
async def archived(archive: RunningArchive) -> AsyncIterator[RunningArchive]:
    await archive.full_backup(IMAGE, Snapshot(0, 1))
    yield archive


async def test_a_diff_is_stored_under_its_name_and_advances_the_latest_snapshot(archived: RunningArchive) -> None:
    diff = clean_diff(0, 2, is_mergeable=False)
    assert await archived.offer(diff, IOS) is Answer.ACCEPT
    assert names(archived.base / "v0", "*.wdiff") == [diff.file_name]
    assert "gid:2" in (await archived.get("latest-snap", "v0"))[0]
    size = (archived.base / "v0" / diff.file_name).stat().st_size
    assert (await archived.get("diff", "v0"))[0].endswith(f" {size}")
    assert await archived.get("total-diff-size", "v0") == [str(size)]
    assert await archived.get("state", "v0") == ["Archived"]


async def test_a_diff_is_there_after_a_restart(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        await archive.offer(clean_diff(0, 2), IOS)
        before = await archive.get("diff", "v0")
    async with running_archive(base) as archive:
        assert await archive.get("diff", "v0") == before
        assert await archive.offer(clean_diff(0, 2), IOS) is Answer.TOO_OLD_DIFF
        assert await archive.offer(clean_diff(2, 3), IOS) is Answer.ACCEPT


@pytest.mark.parametrize(
    ("diff", "answer"),
    [
        (clean_diff(0, 5), Answer.TOO_OLD_DIFF),
        (clean_diff(3, 4), Answer.TOO_OLD_DIFF),
        (clean_diff(6, 7), Answer.TOO_NEW_DIFF),
        (clean_diff(5, 7), Answer.ACCEPT),
        (clean_diff(2, 7), Answer.ACCEPT),
        (Diff(Snapshot.clean(5), Snapshot(8, 9)), Answer.ACCEPT),
        (Diff(Snapshot.clean(4), Snapshot.clean(8), is_compared=True), Answer.TOO_NEW_DIFF),
        (Diff(Snapshot.clean(3), Snapshot.clean(5), is_compared=True), Answer.TOO_OLD_DIFF),
        (Diff(Snapshot.clean(5), Snapshot.clean(8), is_compared=True), Answer.ACCEPT),
    ],
)
async def test_the_answer_tells_how_a_diff_lies_to_the_latest_snapshot(
    archived: RunningArchive, diff: Diff, answer: Answer
) -> None:
    assert await archived.offer(clean_diff(0, 5), IOS) is Answer.ACCEPT
    assert await archived.offer(diff, IOS) is answer
    assert len(names(archived.base / "v0", "*.wdiff")) == 1 + (answer is Answer.ACCEPT)


async def test_a_diff_that_fills_a_gap_reaches_those_behind_it(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        for gid in range(4):
            assert await archive.offer(clean_diff(gid, gid + 1), IOS) is Answer.ACCEPT
    (base / "v0" / clean_diff(1, 2).file_name).unlink()
    async with running_archive(base) as archive:
        assert "gid:1" in (await archive.get("latest-snap", "v0"))[0]
        assert await archive.get("num-diff", "v0") == ["3"]
        assert await archive.offer(clean_diff(1, 2), IOS) is Answer.ACCEPT
        assert "gid:4" in (await archive.get("latest-snap", "v0"))[0]


async def test_a_diff_of_another_log_is_refused_only_from_a_proxy(archived: RunningArchive) -> None:
    other = bytes(16)
    assert await archived.offer(clean_diff(0, 2), IOS, uuid=other) is Answer.DIFFERENT_UUID
    assert await archived.offer(clean_diff(0, 2), IOS, uuid=other, host_kind="archive") is Answer.ACCEPT


async def test_a_volume_that_has_grown_is_refused_without_autoresize(archived: RunningArchive) -> None:
    assert await archived.offer(clean_diff(0, 2), IOS, size_lb=129) is Answer.SMALLER_LV_SIZE
    assert any("ERROR" in line and "smaller-lv-size:v0:129:128" in line for line in archived.lines)


async def test_a_volume_that_has_grown_grows_the_base_with_autoresize(base: Path) -> None:
    async with running_archive(base, auto_resize=True) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        assert await archive.offer(clean_diff(0, 2), [Write(150, b"n" * 512)], size_lb=200) is Answer.ACCEPT
        assert await archive.get("vol-size", "v0") == ["200"]
        assert await archive.restored_content(2) == IMAGE + bytes(22 * 512) + b"n" * 512 + bytes(49 * 512)


async def test_a_smaller_reported_size_is_taken_with_a_warning(archived: RunningArchive) -> None:
    assert await archived.offer(clean_diff(0, 2), IOS, size_lb=100) is Answer.ACCEPT
    assert any("WARNING" in line and "larger lv size:v0:100:128" in line for line in archived.lines)


async def test_volumes_in_other_states_say_so(archive: RunningArchive) -> None:
    with pytest.raises(Refused, match="bad state:v0:SyncReady"):
        await archive.offer(clean_diff(0, 2), IOS)
    with pytest.raises(Refused, match="bad state:v9:Clear"):
        await archive.offer(clean_diff(0, 2), IOS, volume="v9")
    await archive.full_backup(IMAGE)
    await archive.call("stop", "v0")
    assert await archive.offer(clean_diff(0, 2), IOS) is Answer.STOPPED


async def test_a_storage_cannot_send_diffs(archived: RunningArchive) -> None:
    with pytest.raises(Refused, match="bad host type:storage"):
        await archived.offer(clean_diff(0, 2), IOS, host_kind="storage")


async def test_damaged_packs_leave_nothing(archived: RunningArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(ios: list[Io]) -> bytes:
        return b"\x01" * 5000

    monkeypatch.setattr("tests.archive.archive_testing.pack_stream", damaged)
    with pytest.raises(Refused):
        await archived.offer(clean_diff(0, 2), IOS)
    await archived.until(lambda: archived.daemon.volumes.state("v0") == "Archived")
    assert names(archived.base / "v0", "*.wdiff") == []
    assert names(archived.base / "v0", "tmp*") == []
    assert "gid:0" in (await archived.get("latest-snap", "v0"))[0]


async def test_a_full_disk_refuses_the_diff_and_leaves_the_volume_archived(base: Path) -> None:
    class FullDisk(Files):
        is_full = False

        def sync_folder(self, folder: Path) -> None:
            if self.is_full:
                from walbd.model.error import StorageFailure

                raise StorageFailure("No space left on device")
            super().sync_folder(folder)

    files = FullDisk()
    async with running_archive(base, World(files)) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        files.is_full = True
        with pytest.raises(Refused, match="No space left"):
            await archive.offer(clean_diff(0, 2), IOS)
        files.is_full = False
        await archive.until(lambda: archive.daemon.volumes.state("v0") == "Archived")
        assert await archive.offer(clean_diff(0, 2), IOS) is Answer.ACCEPT


async def test_a_second_sender_is_told_that_a_diff_is_being_received(archived: RunningArchive) -> None:
    volume = archived.daemon.volumes.get("v0")
    with volume.machine.begin("WdiffRecv"):
        assert await archived.offer(clean_diff(0, 2), IOS) is Answer.WDIFF_RECV
    assert await archived.offer(clean_diff(0, 2), IOS) is Answer.ACCEPT


async def test_a_sender_that_dies_leaves_nothing(archived: RunningArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    from walbd.net.wdiff_transfer import WdiffSender

    async def die(*_: object) -> None:
        raise PeerUnreachable("cut")

    monkeypatch.setattr(WdiffSender, "send_packs", die)
    with pytest.raises(PeerUnreachable):
        await archived.offer(clean_diff(0, 2), IOS)
    await archived.until(lambda: archived.daemon.volumes.state("v0") == "Archived")
    assert names(archived.base / "v0", "*.wdiff") == []
    assert names(archived.base / "v0", "tmp*") == []


async def test_many_diffs_arrive_one_after_the_other(archived: RunningArchive) -> None:
    for gid in range(20):
        assert await archived.offer(clean_diff(gid, gid + 1), []) is Answer.ACCEPT
    await asyncio.sleep(0)
    assert await archived.get("num-diff", "v0") == ["20"]
    assert await archived.get("uuid", "v0") == [UUID.hex()]

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, names, running_archive
from tests.archive.history import LAST, check_restorable, make_history
from walbd.model.error import Refused

ALL = list(range(1, LAST + 1))


@pytest.fixture
async def history(archive: RunningArchive) -> RunningArchive:
    await make_history(archive)
    return archive


async def explicit_gids(archive: RunningArchive) -> list[int]:
    return [int(line.split()[0]) for line in await archive.get("restorable", "v0")]


async def test_an_enabled_snapshot_is_kept_by_merges(history: RunningArchive) -> None:
    await history.call("enable-snapshot", "v0", "3", "4")
    await history.call("merge", "v0", "0", "gid", "5")
    assert await check_restorable(history) == [2, 3, 4, 5]


async def test_a_disabled_snapshot_is_merged_away(history: RunningArchive) -> None:
    await history.call("disable-snapshot", "v0", "2")
    await history.call("merge", "v0", "0", "gid", "5")
    assert await check_restorable(history) == [5]


async def test_the_change_is_listed_and_survives_a_restart(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        assert 3 not in await explicit_gids(archive)
        await archive.call("enable-snapshot", "v0", "3")
        await archive.call("disable-snapshot", "v0", "2")
        listed = await explicit_gids(archive)
        assert 3 in listed
        assert 2 not in listed
    async with running_archive(base) as archive:
        assert await explicit_gids(archive) == listed
        assert await check_restorable(archive) == ALL


async def test_nothing_is_changed_when_one_of_the_gids_cannot_be(history: RunningArchive) -> None:
    before = await history.get("diff", "v0")
    with pytest.raises(Refused, match="change snapshot failed:v0:1:77"):
        await history.call("enable-snapshot", "v0", "3", "77")
    assert await history.get("diff", "v0") == before


async def test_a_snapshot_that_is_so_already_is_told(history: RunningArchive) -> None:
    with pytest.raises(Refused, match="it is explicit already"):
        await history.call("enable-snapshot", "v0", "2")
    with pytest.raises(Refused, match="it is implicit already"):
        await history.call("disable-snapshot", "v0", "3")


async def test_wdiffs_being_read_keep_their_names(history: RunningArchive) -> None:
    volume = history.daemon.volumes.get("v0")
    async with volume.reading("bhash", 4, list(volume.content.diffs)[:4]):
        with pytest.raises(Refused, match="wdiffs are being read:v0:bhash of gid 4"):
            await history.call("enable-snapshot", "v0", "3")
    await history.call("enable-snapshot", "v0", "3")
    assert await check_restorable(history) == ALL


async def test_gc_diff_removes_what_a_wider_diff_contains_and_nothing_else(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive, explicit=())
    (folder,) = base.glob("v0")
    kept = {path.name: path.read_bytes() for path in folder.glob("*.wdiff")}
    async with running_archive(base) as archive:
        await archive.call("merge", "v0", "1", "gid", "4")
    # As after a crash of the reference between storing the merged file and removing its inputs.
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    async with running_archive(base) as archive:
        await archive.call("gc-diff", "v0")
        assert [line.split()[0] for line in await archive.get("diff", "v0")] == ["|0|-->|1|", "|1|-->|4|", "|4|-->|5|"]
        assert len(names(folder, "*.wdiff")) == 3
        assert await check_restorable(archive) == [1, 4, 5]


async def test_gc_diff_keeps_and_reports_what_lies_behind_a_gap(history: RunningArchive) -> None:
    volume = history.daemon.volumes.get("v0")
    (third,) = (diff for diff in volume.content.diffs if diff.begin.gid_begin == 2)
    volume.content.diffs.remove(third)
    await history.call("gc-diff", "v0")
    assert await history.get("num-diff", "v0") == [str(LAST - 1)]
    assert any("2 wdiffs behind a gap are kept:|3|-->|4|" in line for line in history.lines)

from __future__ import annotations

from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, names, running_archive
from tests.archive.history import LAST, check_restorable, image_at, make_history
from tests.archive.packs import Write
from walbd.model.error import Refused
from walbd.net.wdiff_transfer import Answer

ALL = list(range(1, LAST + 1))


@pytest.fixture
async def history(archive: RunningArchive) -> RunningArchive:
    await make_history(archive)
    return archive


async def diffs(archive: RunningArchive) -> list[str]:
    return [line.split()[0] for line in await archive.get("diff", "v0")]


async def test_diffs_become_one_and_the_snapshots_at_its_ends_stay(history: RunningArchive) -> None:
    await history.call("merge", "v0", "2", "gid", "5")
    assert await diffs(history) == ["|0|-->|1|", "|1|-->|2|", "|2|-->|5|"]
    assert len(names(history.base / "v0", "*.wdiff")) == 3
    assert await check_restorable(history) == [1, 2, 5]


async def test_a_merge_stops_before_an_explicit_snapshot(history: RunningArchive) -> None:
    await history.call("merge", "v0", "0", "gid", "5")
    assert await diffs(history) == ["|0|-->|2|", "|2|-->|3|", "|3|-->|4|", "|4|-->|5|"]
    assert await check_restorable(history) == [2, 3, 4, 5]


async def test_a_size_takes_as_many_diffs_as_have_it_together(history: RunningArchive) -> None:
    await history.call("merge", "v0", "2", "size", "1")
    assert await diffs(history) == ["|0|-->|1|", "|1|-->|2|", "|2|-->|5|"]
    assert await check_restorable(history) == [1, 2, 5]


async def test_a_merged_diff_is_merged_again_and_survives_a_restart(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive, explicit=())
        await archive.call("merge", "v0", "1", "gid", "3")
        await archive.call("merge", "v0", "0", "gid", "5")
        assert await archive.offer(clean_diff(5, 6), [Write(3, b"w" * 512)]) is Answer.ACCEPT
    async with running_archive(base) as archive:
        assert await diffs(archive) == ["|0|-->|5|", "|5|-->|6|"]
        assert await archive.restored_content(5) == image_at(5)


@pytest.mark.parametrize("gid_begin, gid_end", [("4", "5"), ("9", "12"), ("1", "2")])
async def test_fewer_than_two_diffs_are_refused_at_once(history: RunningArchive, gid_begin: str, gid_end: str) -> None:
    with pytest.raises(Refused, match=f"There is no mergeable diff.:v0:{gid_begin}"):
        await history.call("merge", "v0", gid_begin, "gid", gid_end, wait=False)
    assert await check_restorable(history) == ALL


@pytest.mark.parametrize(
    "parameters", [("0",), ("0", "until", "3"), ("0", "gid", "x"), ("3", "gid", "3"), ("0", "size", "0")]
)
async def test_parameters_that_mean_nothing_are_refused(history: RunningArchive, parameters: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        await history.call("merge", "v0", *parameters)
    assert await check_restorable(history) == ALL


async def test_a_damaged_wdiff_ends_the_merge_and_nothing_is_lost(history: RunningArchive) -> None:
    (damaged,) = (path for path in (history.base / "v0").glob("*.wdiff") if "-3-4" in path.name)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Refused, match=damaged.name):
        await history.call("merge", "v0", "2", "gid", "5")
    (line,) = [line for line in await history.get("last-result", "v0") if "kind:merge" in line]
    assert damaged.name in line
    assert len(names(history.base / "v0", "*.wdiff")) == LAST
    assert names(history.base / "v0", "tmp*") == []
    damaged.write_bytes(whole)
    await history.call("merge", "v0", "2", "gid", "5")
    assert await check_restorable(history) == [1, 2, 5]

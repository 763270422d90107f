"""Damaged base directories: the volume concerned fails with a remedy, the others are served, nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, names, running_archive
from tests.archive.packs import Write
from walbd.model.error import Refused
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState

IMAGE = os.urandom(8 << 10)


@pytest.fixture
async def two_volumes(base: Path) -> Path:
    """v0 and v1, Archived, three diffs each."""
    async with running_archive(base) as archive:
        for volume in ("v0", "v1"):
            await archive.call("init-vol", volume)
            await archive.full_backup(IMAGE, volume=volume)
            for gid in range(3):
                ios = [Write(gid, b"w" * 512)]
                await archive.offer(clean_diff(gid, gid + 1), ios, volume=volume, size_lb=16)
    return base


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


HALF_APPLIED = MetaState(Snapshot(0, 1), Snapshot.clean(9), 0).encode()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove("wb_v0"), "base image is missing"),
        (write("wb_v0", b""), "base image is missing"),
        (remove("state"), "state"),
        (remove("uuid"), "uuid"),
        (remove("base"), "base"),
        (write("state", b""), "state"),
        (write("state", b"\x08FullSync"), "unknown state"),
        (write("base", b"\x13\x03\x00"), "ends early"),
        (write("uuid", bytes(15)), "uuid"),
        (write("base", HALF_APPLIED), "half applied"),
    ],
)
async def test_a_broken_volume_fails_with_a_remedy_and_the_others_are_served(
    two_volumes: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(two_volumes / "v0")
    wdiffs = names(two_volumes / "v0", "*.wdiff")
    async with running_archive(two_volumes) as archive:
        assert await archive.get("state", "v0") == ["Failed"]
        assert await archive.get("state", "v1") == ["Archived"]
        assert reason in (await archive.call("status", "v0"))[-1]
        assert any("volume v0 state Failed" in line for line in await archive.call("status"))
        with pytest.raises(Refused, match="volume v0 failed") as refused:
            await archive.call("restore", "v0", "1")
        assert refused.value.hint
        with pytest.raises(Refused, match="volume v0 failed"):
            await archive.offer(clean_diff(3, 4), [], size_lb=16)
        assert await archive.restored_content(3, "v1") == b"w" * 1536 + IMAGE[1536:]
        assert any("ERROR initArchiveData:start failed:v0:" in line for line in archive.lines)
    assert names(two_volumes / "v0", "*.wdiff") == wdiffs


@pytest.mark.parametrize("command", ["clear-vol", "reset-vol"])
async def test_a_failed_volume_can_be_made_new(two_volumes: Path, command: str) -> None:
    (two_volumes / "v0/wb_v0").unlink()
    async with running_archive(two_volumes) as archive:
        await archive.call(command, "v0")
        if command == "clear-vol":
            await archive.call("init-vol", "v0")
        await archive.full_backup(IMAGE)
        assert await archive.get("state", "v0") == ["Archived"]


async def test_an_image_that_comes_back_heals_the_volume(two_volumes: Path) -> None:
    os.rename(two_volumes / "v0/wb_v0", two_volumes / "aside")
    async with running_archive(two_volumes) as archive:
        assert await archive.get("state", "v0") == ["Failed"]
    os.rename(two_volumes / "aside", two_volumes / "v0/wb_v0")
    async with running_archive(two_volumes) as archive:
        assert await archive.restored_content(3) == b"w" * 1536 + IMAGE[1536:]


async def serve(base: Path, warning: str) -> RunningArchive:
    """Starts, checks that v0 serves gid 3 and that the log warns."""
    async with running_archive(base) as archive:
        assert "gid:3" in (await archive.get("latest-snap", "v0"))[0]
        assert any("WARNING" in line and warning in line for line in archive.lines), archive.lines
    return archive


async def test_files_with_bad_names_are_ignored_and_kept(two_volumes: Path) -> None:
    for name in ("x.wdiff", "20231114221600-M--5-5.wdiff", "20231114221600-M--05-7.wdiff"):
        (two_volumes / "v0" / name).write_bytes(b"?")
    await serve(two_volumes, "v0:ignored a file")
    assert len(names(two_volumes / "v0", "*.wdiff")) == 6


async def test_of_two_files_of_one_diff_the_later_is_used(two_volumes: Path) -> None:
    diff = clean_diff(1, 2)
    os.rename(two_volumes / "v0" / diff.file_name, two_volumes / "v0" / "20990101000000-M--1-2.wdiff")
    (two_volumes / "v0" / diff.file_name).write_bytes(b"?")
    await serve(two_volumes, "two files of one diff")


async def test_stray_directories_are_ignored(two_volumes: Path) -> None:
    for name in ("lost+found", "v2", ".snapshots"):
        os.mkdir(two_volumes / name)
    async with running_archive(two_volumes) as archive:
        assert await archive.get("vol") == ["v0", "v1"]
    assert set(names(two_volumes)) == {"lost+found", "v2", ".snapshots", "v0", "v1"}


async def test_temporary_files_are_swept_and_others_are_not(two_volumes: Path) -> None:
    for name in ("tmpABCDEF", "tmpABCDEFG", "mine"):
        (two_volumes / "v0" / name).write_bytes(b"?")
    async with running_archive(two_volumes) as archive:
        assert any("v0:garbage collected tmp files:1" in line for line in archive.lines)
    assert {"tmpABCDEFG", "mine"} <= set(names(two_volumes / "v0"))
    assert "tmpABCDEF" not in names(two_volumes / "v0")


async def test_superseded_diffs_are_removed_only_from_an_archived_volume(two_volumes: Path) -> None:
    long = clean_diff(0, 2)
    for volume in ("v0", "v1"):
        data = (two_volumes / volume / clean_diff(0, 1).file_name).read_bytes()
        (two_volumes / volume / long.file_name).write_bytes(data)
    async with running_archive(two_volumes) as archive:
        assert any("v0:garbage collected wdiff files:2" in line for line in archive.lines)
        assert await archive.get("num-diff", "v0") == ["2"]
        await archive.call("stop", "v0")
    (two_volumes / "v0" / clean_diff(0, 1).file_name).write_bytes(b"?")
    async with running_archive(two_volumes) as archive:
        assert await archive.get("num-diff", "v0") == ["3"]
    assert names(two_volumes / "v0", "*.wdiff") == sorted(
        diff.file_name for diff in (long, clean_diff(2, 3), clean_diff(0, 1))
    )

"""Base directories written by walb-tools 1.0.19 ($WALB_VECTORS/basedirs): our answers equal the recorded ones."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.archive.archive_testing import running_archive, sha256
from walbd.model.error import Refused

VECTORS = os.environ.get("WALB_VECTORS")
FOLDER = Path(VECTORS or ".") / "basedirs"
CASES: list[dict[str, Any]] = []
if (FOLDER / "expected.json").exists():
    CASES = [
        case for case in json.loads((FOLDER / "expected.json").read_text())["cases"] if case["daemon"] == "walb-archive"
    ]
# Cold images belong to thin pools; an image file system has none.
SERVED = [case for case in CASES if not case["thin_pool"] and case["reference_at_start"]["starts"]]
# Where the reference deletes what it should keep, or prints what depends on its store.
DEVIATING = {"archive-gap"}
DIFFERENT_HERE = ("get volume-group", "get thinpool", "get handler-stat", "get ts-delta", "get pid")

pytestmark = pytest.mark.skipif(not SERVED, reason="WALB_VECTORS names no golden base directories")


def unpack(case: dict[str, Any], folder: Path) -> Path:
    """The base directory of a case, with its logical volumes as plain files."""
    unpacker = zstandard.ZstdDecompressor()
    with tarfile.open(fileobj=io.BytesIO(unpacker.stream_reader((FOLDER / case["file"]).read_bytes()).read())) as tar:
        tar.extractall(folder, filter="fully_trusted")
    for image in case["logical_volumes"]:
        volume = image["name"].split("_")[1]
        data = unpacker.stream_reader((FOLDER / image["file"]).read_bytes()).read()
        (folder / "base" / volume / image["name"]).write_bytes(data)
    return folder / "base"


def relative_names(base: Path) -> set[str]:
    return {str(path.relative_to(base)) for path in base.rglob("*")}


def comparable(command: str, lines: list[str]) -> list[str]:
    """Without what depends on the moment."""
    if command.startswith("status"):
        return [line for line in lines if not line.startswith(("action", "lastSyncTime", "lastWdiffReceivedTime"))]
    return sorted(lines) if command.startswith("get diff") else lines


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case["name"])
async def test_a_directory_of_the_reference_is_answered_as_it_answers(case: dict[str, Any], tmp_path: Path) -> None:
    base = unpack(case, tmp_path)
    before = relative_names(base)
    checked = 0
    async with running_archive(base) as archive:
        for command, expected in case["answers"].items():
            if command.startswith(DIFFERENT_HERE) or (case["name"] in DEVIATING and "diff" in command + str(expected)):
                continue
            if isinstance(expected, dict):
                with pytest.raises(Refused) as refused:
                    await archive.call(*command.split())
                assert refused.value.message.split(":")[0] in expected["error"]
            else:
                lines = await archive.call(*command.split())
                assert comparable(command, lines) == comparable(command, expected), command
            checked += 1
    assert checked > 5
    # A start removes what the reference removes, besides that temporary files are swept in every state and that diffs
    # behind a gap are kept.
    after = relative_names(base)
    expected = set() if case["name"] in DEVIATING else set(case["reference_at_start"]["removed_at_start"])
    assert {name for name in (before - after) ^ expected if not Path(name).name.startswith("tmp")} == set()
    assert after <= before


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case["name"])
async def test_every_snapshot_of_the_reference_is_restored_with_its_content(
    case: dict[str, Any], tmp_path: Path
) -> None:
    base = unpack(case, tmp_path)
    async with running_archive(base) as archive:
        sums = case["restored_sha256"]
        if case.get("restored_sha256_after_start_command"):
            sums = case["restored_sha256_after_start_command"]
            for volume in sums:
                await archive.call("start", volume)
        for volume, by_gid in sums.items():
            assert by_gid.keys() == {line.split()[0] for line in await archive.get("restorable", volume, "all")}
            for gid, expected in by_gid.items():
                await archive.call("restore", volume, gid)
                (path,) = await archive.get("restored-path", volume, gid)
                assert sha256(Path(path)) == expected, (volume, gid)


async def test_diffs_behind_a_gap_are_kept_and_reported(tmp_path: Path) -> None:
    (case,) = [case for case in SERVED if case["name"] == "archive-gap"]
    base = unpack(case, tmp_path)
    n_diffs = len(list(base.glob("vol0/*.wdiff")))
    async with running_archive(base) as archive:
        assert await archive.get("num-diff", "vol0") == [str(n_diffs)]
        assert any("gap after |2|:6 wdiffs behind it are kept" in line for line in archive.lines)
        assert "gid:2" in (await archive.get("latest-snap", "vol0"))[0]


async def test_an_unfinished_init_vol_is_reported_and_can_be_cleared(tmp_path: Path) -> None:
    (case,) = [case for case in CASES if case["name"] == "archive-init-killed"]
    base = unpack(case, tmp_path)
    async with running_archive(base) as archive:
        assert await archive.get("state", "vol0") == ["Failed"]
        await archive.call("clear-vol", "vol0")
        assert await archive.get("state", "vol0") == ["Clear"]
        await archive.call("init-vol", "vol0")
        assert await archive.get("state", "vol0") == ["SyncReady"]

"""Every command of an archive through walbc: what it prints, and what becomes of the volume."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.archive.archive_testing import START_SEC, RunningArchive, running_archive
from tests.archive.history import LAST, check_restorable, image_at, make_history
from tests.walbc.daemon_testing import Ran, walbc
from walbd.model.timetext import pretty


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[RunningArchive]:
    """v0 with gids 1 to LAST, 2 of them explicit."""
    (tmp_path / "base").mkdir()
    async with running_archive(tmp_path / "base", allow_debug=True) as running:
        await running.call("init-vol", "v0")
        await make_history(running)
        yield running


async def run(archive: RunningArchive, *words: str) -> Ran:
    return await walbc(archive.port, *words)


async def gids(archive: RunningArchive) -> list[int]:
    lines = (await run(archive, "get", "restorable", "v0", "all")).lines
    return [int(line.split()[0]) for line in lines]


async def test_apply_moves_the_base_forward(archive: RunningArchive) -> None:
    assert (await run(archive, "apply", "v0", "3", "--wait")).status == 0
    assert (await run(archive, "get", "base", "v0")).lines == [f"<|3|>-{20231114221323}"]
    assert await check_restorable(archive) == [3, 4, 5]


async def test_merge_joins_diffs_up_to_a_gid_or_a_size(archive: RunningArchive) -> None:
    assert (await run(archive, "merge", "v0", "2", "gid", "4", "--wait")).status == 0
    assert (await run(archive, "get", "num-diff", "v0")).lines == [str(LAST - 1)]
    assert (await run(archive, "merge", "v0", "2", "size", "100", "--wait")).status == 0
    assert (await run(archive, "get", "num-diff", "v0")).lines == ["3"]
    assert await check_restorable(archive) == [1, 2, 5]


async def test_snapshots_are_enabled_and_disabled(archive: RunningArchive) -> None:
    assert (await run(archive, "enable-snapshot", "v0", "3", "4")).lines == []
    assert (await run(archive, "disable-snapshot", "v0", "2")).lines == []
    explicit = (await run(archive, "get", "restorable", "v0")).lines
    assert [line.split()[0] for line in explicit] == ["3", "4", "5"]
    assert (await run(archive, "enable-snapshot", "v0", "3")).error.startswith("change snapshot failed:v0:1:3")


async def test_gc_diff_deletes_what_nothing_needs(archive: RunningArchive) -> None:
    assert (await run(archive, "gc-diff", "v0")).lines == []
    assert await gids(archive) == [1, 2, 3, 4, 5]


async def test_resize_enlarges_the_image(archive: RunningArchive) -> None:
    assert (await run(archive, "resize", "v0", "128k")).lines == []
    assert (await run(archive, "resize", "v0", "256k", "zeroclear")).lines == []
    assert (await run(archive, "get", "vol-size", "v0")).lines == ["512"]
    assert "shrink" in (await run(archive, "resize", "v0", "64k")).error


async def test_bhash_prints_the_hash_of_a_gid_and_depends_on_the_bulk(archive: RunningArchive) -> None:
    (first,) = (await run(archive, "bhash", "v0", "3")).lines
    assert len(bytes.fromhex(first)) == 16
    shown = await run(archive, "bhash", "v0", "3", "256k", "64k", "0", "--wait")
    assert (shown.status, shown.out) == (0, f"{first}\n")
    assert "bhash v0: done" in shown.err
    assert (await run(archive, "bhash", "v0", "3", "64k")).lines == (
        await run(archive, "bhash", "v0", "3", "64k")
    ).lines
    assert (await run(archive, "bhash", "v0", "4")).lines != [first]
    assert "99" in (await run(archive, "bhash", "v0", "99")).error


async def test_virt_full_scan_writes_the_image_of_a_gid_to_a_file(archive: RunningArchive, tmp_path: Path) -> None:
    place = tmp_path / "image"
    place.write_bytes(b"old" * 100_000)
    assert (await run(archive, "virt-full-scan", str(place), "v0", "3")).lines == []
    assert place.read_bytes() == image_at(3)
    assert place.stat().st_mode & 0o777 == 0o644
    shown = await run(archive, "virt-full-scan", str(place), "v0", "5", "64k", "32k", "0", "--wait")
    assert (shown.status, shown.err.splitlines()[-1].startswith("virt-full-scan ")) == (0, True)
    assert place.read_bytes() == image_at(5)[: 32 << 10]


async def test_a_scan_that_is_refused_leaves_the_file_alone(archive: RunningArchive, tmp_path: Path) -> None:
    place = tmp_path / "image"
    place.write_bytes(b"precious")
    assert "99" in (await run(archive, "virt-full-scan", str(place), "v0", "99")).error
    assert place.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["base", "image"]


async def test_virt_full_scan_to_a_place_that_is_not_there_is_one_line(archive: RunningArchive) -> None:
    assert "/nowhere" in (await run(archive, "virt-full-scan", "/nowhere/image", "v0", "3")).error


async def test_virt_full_scan_to_stdout_can_be_piped(archive: RunningArchive, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "walbc", "-a", "127.0.0.1", "-p", str(archive.port)]
    command += ["virt-full-scan", "stdout", "v0", "4"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == image_at(4)


async def test_restore_takes_a_time(archive: RunningArchive) -> None:
    assert (await run(archive, "restore", "v0", f"@{pretty(START_SEC + 3)}", "--wait")).status == 0
    assert (await run(archive, "get", "restored", "v0")).lines == ["3"]


async def test_the_results_of_work_are_told(archive: RunningArchive) -> None:
    await run(archive, "restore", "v0", "3", "--wait")
    (last,) = [line for line in (await run(archive, "get", "last-result", "v0")).lines if "kind:restore" in line]
    assert last in (await run(archive, "get", "tasks")).lines
    assert last.endswith("result:succeeded")


async def test_the_debug_commands_overwrite_metadata(archive: RunningArchive) -> None:
    assert (await run(archive, "dbg-reload-metadata", "v0")).lines == []
    assert (await run(archive, "dbg-set-uuid", "v0", "f" * 32)).lines == []
    assert (await run(archive, "get", "uuid", "v0")).lines == ["f" * 32]
    assert (await run(archive, "dbg-set-base", "v0", "<|1|>-20261123010500")).lines == []
    assert (await run(archive, "get", "base", "v0")).lines == ["<|1|>-20261123010500"]
    assert (await run(archive, "dbg-set-state", "v0", "Stopped")).lines == []
    assert (await run(archive, "get", "state", "v0")).lines == ["Stopped"]


async def test_a_command_for_another_kind_of_server_says_for_which(archive: RunningArchive) -> None:
    assert "snapshot is for a storage" in (await run(archive, "snapshot", "v0")).error
    assert "get proxy-diff is for a proxy" in (await run(archive, "get", "proxy-diff", "v0")).error
    assert "set-full-scan-bps is for a storage" in (await run(archive, "set-full-scan-bps", "0")).error

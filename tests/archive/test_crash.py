"""kill -9 at every kind of file operation, or its failure: the next start finds the volume as before or as after, never
in between."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.archive.archive_testing import OTHER_UUID, RunningArchive, clean_diff, content, names, running_archive
from tests.archive.crash_history import HASHED_IMAGE, IMAGE, NEW_IMAGE, ROUNDS, image_at, prepare
from tests.archive.crash_scenarios import FAULTS, NAMES, replica_of
from walbd.model.error import Refused
from walbd.net.wdiff_transfer import Answer

ROOT = Path(__file__).parent.parent.parent
GROWN_BYTES = 128 << 10
STATES = {
    "init": {"v1": {"Clear", "SyncReady"}},
    "full_backup": {"ready": {"SyncReady", "Archived"}},
    "stop": {"v0": {"Archived", "Stopped"}},
    "start": {"stopped": {"Stopped", "Archived"}},
    "clear": {"stopped": {"Stopped", "SyncReady", "Clear"}},
    "reset": {"stopped": {"Stopped", "SyncReady"}},
}
UNTOUCHED = {"v0": {"Archived"}, "stopped": {"Stopped"}, "ready": {"SyncReady"}}


async def check(archive: RunningArchive, scenario: str) -> None:
    """Each volume is in a state the scenario allows and holds what it should."""
    for volume, states in (UNTOUCHED | STATES.get(scenario, {})).items():
        (state,) = await archive.get("state", volume)
        assert state in states
    assert {path for path in names(archive.base) if path.startswith(".")} == set()
    assert names(archive.base, "*/tmp??????") == []
    assert names(archive.base, "*/*_tmp") == []
    await check_history(archive, "v0")
    await check_history(archive, "stopped")
    if await archive.get("state", "ready") == ["Archived"]:
        assert content(archive.base / "ready/wb_ready") == NEW_IMAGE


async def check_history(archive: RunningArchive, volume: str) -> None:
    (state,) = await archive.get("state", volume)
    if state not in ("Archived", "Stopped"):
        return
    image = content(archive.base / volume / f"wb_{volume}")
    assert len(image) in (len(IMAGE), GROWN_BYTES)
    for gid in await archive.get("restored", volume):
        assert content(archive.base / volume / f"wr_{volume}_{gid}") == image_at(int(gid))
    if state == "Archived":
        await check_restorable(archive, volume, len(image))


async def check_restorable(archive: RunningArchive, volume: str, size_bytes: int) -> None:
    """Every gid that is said to be restorable is, whether the base is half applied or not; the latest is never lost."""
    gids = [int(line.split()[0]) for line in await archive.get("restorable", volume, "all")]
    assert max(gids) >= 3
    restored = await archive.get("restored", volume)
    for gid in gids:
        expected = image_at(gid).ljust(size_bytes, b"\0")
        assert await archive.scan(gid, volume) == expected
        if str(gid) not in restored:
            assert await archive.restored_content(gid, volume) == expected
            await archive.call("del-restored", volume, str(gid))


async def complete(archive: RunningArchive, scenario: str) -> None:
    """What was interrupted can be asked for again."""
    match scenario:
        case "init":
            if await archive.get("state", "v1") == ["Clear"]:
                await archive.call("init-vol", "v1")
        case "full_backup":
            if await archive.get("state", "ready") == ["SyncReady"]:
                await archive.full_backup(NEW_IMAGE, volume="ready")
            assert content(archive.base / "ready/wb_ready") == NEW_IMAGE
        case "hash_backup":
            gid = await archive.hash_backup(HASHED_IMAGE, 0)
            assert await archive.offer(clean_diff(gid, gid + 1), [], uuid=OTHER_UUID) is Answer.ACCEPT
            assert await archive.restored_content(gid + 1) == HASHED_IMAGE
        case "replicate" | "resync":
            await complete_replica(archive)
        case "receive":
            answer = await archive.offer(clean_diff(3, 4), ROUNDS[3])
            assert answer in (Answer.ACCEPT, Answer.TOO_OLD_DIFF)
            assert await archive.restored_content(4) == image_at(4)
        case "restore":
            if "2" not in await archive.get("restored", "v0"):
                assert await archive.restored_content(2) == image_at(2)
        case "clear":
            if await archive.get("state", "stopped") != ["Clear"]:
                await archive.call("clear-vol", "stopped")
            assert not (archive.base / "stopped").exists()
        case "apply":
            with contextlib.suppress(Refused):
                await archive.call("apply", "v0", "2")
            assert content(archive.base / "v0/wb_v0") == image_at(2)
            assert await archive.get("num-diff", "v0") == ["1"]
        case "merge":
            with contextlib.suppress(Refused):
                await archive.call("merge", "v0", "0", "gid", "3")
            assert await archive.get("num-diff", "v0") == ["1"]
        case "enable":
            for gid in ("1", "2"):
                with contextlib.suppress(Refused):
                    await archive.call("enable-snapshot", "v0", gid)
            assert [line.split()[0] for line in await archive.get("restorable", "v0")] == ["1", "2", "3"]
        case "resize":
            await archive.call("resize", "v0", "128K")
            assert len(content(archive.base / "v0/wb_v0")) == GROWN_BYTES
        case "reset":
            await archive.call("reset-vol", "stopped")
            assert names(archive.base / "stopped") == ["archive_uuid", "base", "state", "uuid"]


async def complete_replica(archive: RunningArchive) -> None:
    """The second archive, which died as well, is brought up to the first; before and after, what it has is right."""
    folder = replica_of(archive.base)
    async with running_archive(folder, node_id="a1") as second:
        assert names(folder, "*/tmp??????") == []
        is_ours = False
        if await second.get("state", "v0") == ["Archived"]:
            is_ours = await second.get("archive-uuid", "v0") == await archive.get("archive-uuid", "v0")
        for line in await second.get("restorable", "v0", "all") if is_ours else []:
            gid = int(line.split()[0])
            assert await second.scan(gid) == image_at(gid)
        await archive.call("replicate", "v0", "size", "0", str(second.address), "0" if is_ours else "1")
        await check_restorable(second, "v0", len(IMAGE))


async def crash(base: Path, scenario: str, fault: str, seed: int, count: int) -> None:
    folder = base.parent
    await prepare(base)
    run = subprocess.run(  # noqa: ASYNC221 - nothing else runs here
        [sys.executable, "-m", "tests.archive.crash_scenarios", str(folder), scenario, fault, str(seed), str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    numbers = run.stdout.split()
    assert numbers
    for number in numbers:
        async with running_archive(folder / number) as archive:
            await check(archive, scenario)
            if scenario == "receive" and await archive.get("num-diff", "v0") == ["4"]:
                continue
            await complete(archive, scenario)


@pytest.mark.parametrize("scenario", NAMES)
@pytest.mark.parametrize("fault, sample", [("kill", 2), ("fail", 1)])
async def test_a_command_cut_short_is_done_or_rolled_back(
    base: Path, scenario: str, fault: str, sample: int, seed: int
) -> None:
    await crash(base, scenario, fault, seed, sample)


@pytest.mark.long
@pytest.mark.parametrize("scenario", NAMES)
@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_a_command_cut_short_at_each_operation_is_done_or_rolled_back(
    base: Path, scenario: str, fault: str
) -> None:
    await crash(base, scenario, fault, 0, 0)

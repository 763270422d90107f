"""kill -9 at every kind of file operation: the next start finds the volume as before or as after, never in between."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, content, names, running_archive
from tests.archive.crash_history import IMAGE, NEW_IMAGE, ROUNDS, image_at, prepare
from tests.archive.crash_scenarios import SCENARIOS
from walbd.net.wdiff_transfer import Answer

ROOT = Path(__file__).parent.parent.parent
SAMPLE = 4
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
    assert content(archive.base / volume / f"wb_{volume}") == IMAGE
    for gid in await archive.get("restored", volume):
        assert content(archive.base / volume / f"wr_{volume}_{gid}") == image_at(int(gid))
    if state == "Archived":
        latest = (await archive.get("restorable", volume, "all"))[-1].split()[0]
        assert int(latest) >= 3
        await archive.call("restore", volume, latest)
        (path,) = await archive.get("restored-path", volume, latest)
        assert content(Path(path)) == image_at(int(latest))


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
        case "reset":
            await archive.call("reset-vol", "stopped")
            assert names(archive.base / "stopped") == ["archive_uuid", "base", "state", "uuid"]


async def crash(base: Path, scenario: str, seed: int, count: int) -> None:
    folder = base.parent
    await prepare(base)
    run = subprocess.run(  # noqa: ASYNC221 - nothing else runs here
        [sys.executable, "-m", "tests.archive.crash_scenarios", str(folder), scenario, str(seed), str(count)],
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


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
async def test_a_killed_command_is_done_or_rolled_back(base: Path, scenario: str, pytestconfig: pytest.Config) -> None:
    seed = int(getattr(pytestconfig.option, "randomly_seed", 1) or 1)
    await crash(base, scenario, seed, SAMPLE)


@pytest.mark.long
@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
async def test_a_command_killed_at_each_operation_is_done_or_rolled_back(base: Path, scenario: str) -> None:
    await crash(base, scenario, 0, 0)

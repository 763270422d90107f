from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, content, names, running_archive
from walbd.model.error import Refused

IMAGE = os.urandom(8 << 10)
NEW_FILES = {
    "state": b"\x09SyncReady",
    "uuid": bytes(16),
    "archive_uuid": bytes(16),
    "base": bytes.fromhex("13030000 1103ffff 1103ffff"),
}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_init_vol_writes_the_files_of_the_reference(archive: RunningArchive) -> None:
    assert files(archive.base / "v0") == NEW_FILES
    assert await archive.get("state", "v0") == ["SyncReady"]
    assert await archive.get("vol") == ["v0"]
    assert any("initVol succeeded:v0" in line for line in archive.lines)


async def test_a_volume_is_made_once(archive: RunningArchive) -> None:
    with pytest.raises(Refused, match="bad state:v0:SyncReady"):
        await archive.call("init-vol", "v0")
    assert files(archive.base / "v0") == NEW_FILES


async def test_a_folder_that_lies_there_is_not_taken_over(base: Path) -> None:
    os.mkdir(base / "v1")
    (base / "v1/precious").write_bytes(b"x")
    async with running_archive(base) as archive:
        assert await archive.get("vol") == []
        assert any("WARNING ignored a directory that is no volume" in line for line in archive.lines)
        with pytest.raises(Refused, match="already exists"):
            await archive.call("init-vol", "v1")
        assert await archive.get("state", "v1") == ["Clear"]
        await archive.call("init-vol", "v0")
    assert content(base / "v1/precious") == b"x"


@pytest.mark.parametrize("name", ["../x", "a b", "", "x" * 65, "ä"])
async def test_a_name_that_is_not_allowed_is_refused(archive: RunningArchive, name: str) -> None:
    with pytest.raises(Refused, match=r"bad volId format|required parameter is empty"):
        await archive.call("init-vol", name)
    assert names(archive.base.parent) == ["base"]


async def test_clear_vol_removes_everything(archive: RunningArchive) -> None:
    await archive.full_backup(IMAGE)
    await archive.offer(clean_diff(0, 1), [], size_lb=16)
    await archive.call("restore", "v0", "1")
    with pytest.raises(Refused, match="bad state:v0:Archived"):
        await archive.call("clear-vol", "v0")
    await archive.call("stop", "v0")
    await archive.call("clear-vol", "v0")
    assert await archive.get("state", "v0") == ["Clear"]
    assert names(archive.base) == []
    await archive.call("init-vol", "v0")
    await archive.full_backup(IMAGE)


async def test_reset_vol_makes_a_volume_as_new(archive: RunningArchive) -> None:
    await archive.full_backup(IMAGE)
    await archive.offer(clean_diff(0, 1), [], size_lb=16)
    await archive.call("restore", "v0", "1")
    await archive.call("stop", "v0")
    await archive.call("reset-vol", "v0")
    assert files(archive.base / "v0") == NEW_FILES
    assert await archive.get("state", "v0") == ["SyncReady"]
    assert await archive.get("diff", "v0") == []
    await archive.full_backup(IMAGE)
    assert content(archive.base / "v0/wb_v0") == IMAGE


async def test_stop_and_start_are_durable(base: Path) -> None:
    async with running_archive(base) as archive:
        await archive.call("init-vol", "v0")
        with pytest.raises(Refused, match="bad state:v0:SyncReady"):
            await archive.call("stop", "v0")
        await archive.full_backup(IMAGE)
        await archive.call("stop", "v0")
        with pytest.raises(Refused, match="stop empty is not allowed"):
            await archive.call("stop", "v0", "empty")
    async with running_archive(base) as archive:
        assert await archive.get("state", "v0") == ["Stopped"]
        assert await archive.get("restorable", "v0", "all") == []
        await archive.call("start", "v0")
        with pytest.raises(Refused, match="bad state:v0:Archived"):
            await archive.call("start", "v0")
    async with running_archive(base) as archive:
        assert await archive.get("state", "v0") == ["Archived"]


async def test_commands_on_a_volume_that_is_not_there_are_refused(archive: RunningArchive) -> None:
    for command in (["clear-vol"], ["reset-vol"], ["start"], ["stop"], ["restore", "1"], ["del-restored", "1"]):
        with pytest.raises(Refused, match="bad state:nope:Clear"):
            await archive.call(command[0], "nope", *command[1:])
    assert await archive.get("vol") == ["v0"]


@pytest.mark.parametrize(
    ("target", "answer"),
    [("diff", []), ("num-diff", ["0"]), ("total-diff-size", ["0"]), ("applicable-diff", []), ("restorable", []),
     ("exists-base-image", ["0"]), ("progress", ["0"])],
)  # fmt: skip
async def test_what_may_be_asked_in_any_state_is_empty_for_a_volume_that_is_not_there(
    archive: RunningArchive, target: str, answer: list[str]
) -> None:
    assert await archive.get(target, "nope") == answer


async def test_status_tells_about_the_server_and_its_volumes(archive: RunningArchive) -> None:
    await archive.full_backup(IMAGE)
    lines = await archive.call("status")
    assert lines[:4] == ["-----ArchiveGlobal-----", "nodeId a0", f"baseDir {archive.base}", "volumeGroup "]
    assert lines[-2] == "-----Volume-----"
    assert lines[-1].startswith("volume v0 state Archived totalNumAction 0 stopState NotStopping lastSyncTime 2")
    assert lines[-1].endswith("lastWdiffReceivedTime --- numDiff 0 latestSnapshot |0,1| size 8k")
    assert await archive.call("status", "nope") == ["hostType archive", "volume nope", "state Clear"]


async def test_common_get_targets_answer(archive: RunningArchive) -> None:
    assert await archive.get("host-type") == ["archive"]
    assert await archive.get("pid") == [str(os.getpid())]
    assert await archive.get("volume-group") == [""]
    assert await archive.get("num-action", "v0", "Apply") == ["0"]
    with pytest.raises(Refused, match="no such action:Nap"):
        await archive.get("num-action", "v0", "Nap")
    with pytest.raises(Refused, match="no such target:nothing"):
        await archive.get("nothing")

"""Cold images: what a restore leaves, where the next begins, what an apply makes of them, and what interrupts that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, names, running_archive
from tests.archive.history import IMAGE, LAST, image_at, make_history
from tests.archive.lvm_archives import on_thick, on_thin, restored_image
from tests.archive.packs import Write
from tests.image.simulated_lvm import SimulatedLvm
from walbd.model.error import Refused, StorageFailure
from walbd.net.wdiff_transfer import Answer

SIZE = len(IMAGE)


@pytest.fixture
def lvm(tmp_path: Path) -> SimulatedLvm:
    return SimulatedLvm(tmp_path / "lvm")


@pytest.fixture
async def thin(base: Path, lvm: SimulatedLvm) -> AsyncIterator[RunningArchive]:
    """Gids 1 to LAST of v0, images in a thin pool."""
    async with running_archive(base, daemon_class=on_thin(lvm)) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        yield archive


async def check_all(archive: RunningArchive) -> list[int]:
    """Each restorable gid has its content, restored and scanned; returns them."""
    gids = [int(line.split()[0]) for line in await archive.get("restorable", "v0", "all")]
    for gid in gids:
        assert await archive.scan(gid, size_lb=SIZE // 512) == image_at(gid)
        if str(gid) not in await archive.get("restored", "v0"):
            await archive.call("restore", "v0", str(gid))
        assert await restored_image(archive, gid, SIZE) == image_at(gid)
        await archive.call("del-restored", "v0", str(gid))
    return gids


def starts(archive: RunningArchive) -> list[str]:
    """What each restore began with."""
    return [line.split(":")[2] for line in archive.lines if "restore-status" in line]


async def test_a_restore_leaves_a_cold_image_and_the_next_begins_with_it(
    thin: RunningArchive, lvm: SimulatedLvm
) -> None:
    await thin.call("restore", "v0", "3")
    await thin.call("restore", "v0", "4")
    assert await thin.get("cold", "v0") == ["3", "4"]
    assert "numCold 2" in await thin.call("status", "v0")
    assert starts(thin) == ["<|0,1|>", "<|3|>"]
    assert await restored_image(thin, 4, SIZE) == image_at(4)
    assert names(thin.base / "v0", "*.cold") == ["3.cold", "4.cold"]
    assert {"wc_v0_3", "wc_v0_4", "wr_v0_3", "wr_v0_4", "wb_v0"} == set(lvm.names())


async def test_cold_images_make_no_other_gid_restorable(thin: RunningArchive) -> None:
    before = await thin.get("restorable", "v0", "all")
    await thin.call("restore", "v0", "3")
    assert await thin.get("restorable", "v0", "all") == before


async def test_a_deleted_cold_image_is_gone_and_the_base_serves_again(thin: RunningArchive, lvm: SimulatedLvm) -> None:
    await thin.call("restore", "v0", "3")
    await thin.call("del-restored", "v0", "3")
    await thin.call("del-cold", "v0", "3")
    assert await thin.get("cold", "v0") == []
    assert lvm.names() == ["wb_v0"]
    assert names(thin.base / "v0", "*.cold") == []
    with pytest.raises(Refused, match="volume not found:v0:3:cold"):
        await thin.call("del-cold", "v0", "3")
    assert await check_all(thin) == [1, 2, 3, 4, 5]


async def test_a_store_without_cold_images_says_so(base: Path, tmp_path: Path) -> None:
    async with running_archive(base, daemon_class=on_thick(SimulatedLvm(tmp_path / "lvm"))) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        await archive.call("restore", "v0", "3")
        assert await archive.get("cold", "v0") == []
        with pytest.raises(Refused, match="volume not found:v0:3:cold") as caught:
            await archive.call("del-cold", "v0", "3")
        assert "there are none on thick logical volumes" in caught.value.hint
        assert await check_all(archive) == [1, 2, 3, 4, 5]
        await archive.call("apply", "v0", "4")
        assert await check_all(archive) == [4, 5]


async def test_only_the_newest_is_kept_when_asked(base: Path, lvm: SimulatedLvm) -> None:
    async with running_archive(base, daemon_class=on_thin(lvm), keep_one_cold_snapshot=True) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        for gid in ("2", "4", "3"):
            await archive.call("restore", "v0", gid)
        assert await archive.get("cold", "v0") == ["4"]
        assert [name for name in lvm.names() if name.startswith("wc")] == ["wc_v0_4"]


async def test_an_apply_makes_the_newest_cold_image_the_base_and_goes_on_from_there(
    thin: RunningArchive, lvm: SimulatedLvm
) -> None:
    for gid in ("2", "3"):
        await thin.call("restore", "v0", gid)
        await thin.call("del-restored", "v0", gid)
    await thin.call("apply", "v0", "4")
    assert await thin.get("base", "v0") == ["<|4|>-20231114221324"]
    assert await thin.get("cold", "v0") == []
    assert lvm.names() == ["wb_v0"]
    assert any("make cold image to base: end:v0:3" in line for line in thin.lines)
    assert len(await thin.get("diff", "v0")) == LAST - 4
    assert await check_all(thin) == [4, 5]


async def test_an_apply_up_to_a_cold_image_writes_nothing(thin: RunningArchive) -> None:
    await thin.call("restore", "v0", "3")
    await thin.call("apply", "v0", "3")
    assert await thin.get("base", "v0") == ["<|3|>-20231114221323"]
    (line,) = [line for line in await thin.get("last-result", "v0") if "kind:apply" in line]
    assert "done:0" in line
    assert "result:succeeded" in line
    assert await thin.offer(clean_diff(LAST, LAST + 1), [Write(9, b"z" * 512)]) is Answer.ACCEPT
    await thin.call("del-restored", "v0", "3")
    assert [int(line.split()[0]) for line in await thin.get("restorable", "v0", "all")] == [3, 4, 5, 6]


async def test_cold_images_outlive_a_restart_and_incomplete_or_passed_ones_do_not(
    base: Path, lvm: SimulatedLvm
) -> None:
    async with running_archive(base, daemon_class=on_thin(lvm)) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        for gid in ("3", "4", "5"):
            await archive.call("restore", "v0", gid)
        await archive.call("apply", "v0", "3")
    (base / "v0/4.cold").unlink()
    (base / "v0/3.cold").write_bytes(b"\x01")
    async with running_archive(base, daemon_class=on_thin(lvm)) as archive:
        assert await archive.get("cold", "v0") == ["5"]
        assert names(base / "v0", "*.cold") == ["5.cold"]
        assert [name for name in lvm.names() if name.startswith("wc")] == ["wc_v0_5"]
        assert any("removing an incomplete cold snapshot:v0:4" in line for line in archive.lines)
        assert await check_all(archive) == [3, 4, 5]


async def test_a_cold_image_that_cannot_be_made_fails_no_restore(thin: RunningArchive, lvm: SimulatedLvm) -> None:
    created = []

    def fail_second(command: str) -> None:
        if command == "snapshot_thin":
            created.append(command)
            if len(created) == 2:
                raise StorageFailure("no room")

    lvm.before = fail_second
    await thin.call("restore", "v0", "3")
    assert await thin.get("cold", "v0") == []
    assert any("no cold snapshot is kept:v0:3:no room" in line for line in thin.lines)
    assert await restored_image(thin, 3, SIZE) == image_at(3)


async def test_resetting_a_volume_removes_its_cold_images(thin: RunningArchive, lvm: SimulatedLvm) -> None:
    await thin.call("restore", "v0", "3")
    await thin.call("stop", "v0")
    await thin.call("reset-vol", "v0")
    assert lvm.names() == []
    assert names(thin.base / "v0", "*.cold") == []
    await make_history(thin)
    assert await check_all(thin) == [1, 2, 3, 4, 5]


async def test_a_scan_that_runs_keeps_its_base_and_the_apply_takes_the_long_way(
    thin: RunningArchive, lvm: SimulatedLvm
) -> None:
    await thin.call("restore", "v0", "3")
    async with thin.daemon.volumes.get("v0").reading("test", 5, []):
        await thin.call("apply", "v0", "3")
    assert not any("make cold image to base" in line for line in thin.lines)
    assert await check_all(thin) == [3, 4, 5]


class Dead:
    """Lets commands of LVM fail from the n-th on, before or after it took effect, as if the archive was killed."""

    def __init__(self, lvm: SimulatedLvm, at: int, *, is_done: bool) -> None:
        self.count, self.at, self.is_done = 0, at, is_done
        lvm.before, lvm.after = self._before, self._after

    def _before(self, _: str) -> None:
        self.count += 1
        if self.count > self.at or (self.count == self.at and not self.is_done):
            raise StorageFailure("LVM is gone")

    def _after(self, _: str) -> None:
        if self.count == self.at and self.is_done:
            raise StorageFailure("LVM is gone")


@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("at", range(1, 8))
@pytest.mark.parametrize("command", ["apply", "restore"])
async def test_what_is_interrupted_at_any_command_of_lvm_is_completed_or_undone_by_the_next_start(
    base: Path, lvm: SimulatedLvm, command: str, at: int, is_done: bool
) -> None:
    async with running_archive(base, daemon_class=on_thin(lvm)) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        await archive.call("restore", "v0", "3")
        await archive.call("del-restored", "v0", "3")
        dead = Dead(lvm, at, is_done=is_done)
        try:
            await archive.call(command, "v0", "4")
        except Refused as error:
            assert "LVM is gone" in str(error)
    assert dead.count
    lvm.before = lvm.after = lambda _: None
    async with running_archive(base, daemon_class=on_thin(lvm)) as archive:
        assert await archive.get("state", "v0") == ["Archived"]
        assert not [name for name in lvm.names() if name.endswith("_tmp")]
        cold = await archive.get("cold", "v0")
        assert [f"{gid}.cold" for gid in cold] == names(base / "v0", "*.cold")
        assert [f"wc_v0_{gid}" for gid in cold] == [name for name in lvm.names() if name.startswith("wc_")]
        gids = await check_all(archive)
        assert gids[-2:] == [4, 5]
        if command == "restore":
            assert gids == [1, 2, 3, 4, 5]
        await archive.call("apply", "v0", "5")
        assert await check_all(archive) == [5]


async def test_a_switch_that_fails_once_is_undone_at_once_and_the_next_apply_succeeds(
    thin: RunningArchive, lvm: SimulatedLvm
) -> None:
    await thin.call("restore", "v0", "3")
    lvm.in_use.add("wb_v0")
    with pytest.raises(Refused, match="contains a filesystem in use"):
        await thin.call("apply", "v0", "4")
    assert await thin.get("cold", "v0") == ["3"]
    assert await thin.get("base", "v0") == ["<|0,1|>-20231114221320"]
    await thin.call("del-restored", "v0", "3")
    assert await check_all(thin) == [1, 2, 3, 4, 5]
    lvm.in_use.clear()
    await thin.call("apply", "v0", "4")
    assert await check_all(thin) == [4, 5]


async def test_a_mounted_restored_volume_is_not_deleted(thin: RunningArchive, lvm: SimulatedLvm) -> None:
    await thin.call("restore", "v0", "3")
    lvm.in_use.add("wr_v0_3")
    with pytest.raises(Refused, match="wr_v0_3 contains a filesystem in use") as caught:
        await thin.call("del-restored", "v0", "3")
    assert "unmount" in caught.value.hint
    assert await thin.get("restored", "v0") == ["3"]
    lvm.in_use.clear()
    await thin.call("del-restored", "v0", "3")


async def test_a_base_that_vanished_fails_what_needs_it_and_is_told_at_the_next_start(
    base: Path, lvm: SimulatedLvm
) -> None:
    async with running_archive(base, daemon_class=on_thin(lvm)) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        lvm.vanish("wb_v0")
        for command in (("restore", "v0", "3"), ("apply", "v0", "3"), ("resize", "v0", "1M")):
            with pytest.raises(Refused, match="base image does not exist:v0"):
                await archive.call(*command)
        assert "baseLv NOT FOUND" in await archive.call("status", "v0")
    async with running_archive(base, daemon_class=on_thin(lvm)) as archive:
        assert await archive.get("state", "v0") == ["Failed"]
        await archive.call("reset-vol", "v0")
        await make_history(archive)
        assert await check_all(archive) == [1, 2, 3, 4, 5]


async def test_a_restored_volume_that_somebody_else_removed_is_gone(thin: RunningArchive, lvm: SimulatedLvm) -> None:
    await thin.call("restore", "v0", "3")
    lvm.vanish("wr_v0_3")
    assert await thin.get("restored", "v0") == []
    await thin.call("restore", "v0", "3")
    assert await restored_image(thin, 3, SIZE) == image_at(3)


async def test_a_full_pool_is_named_with_the_remedy(
    thin: RunningArchive, lvm: SimulatedLvm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: str) -> None:
        raise StorageFailure("free space in thin pool reached threshold")

    lvm.before, lvm.data_percent = full, 100.0
    with pytest.raises(Refused, match=r"restore:v0:3:.*reached threshold") as caught:
        await thin.call("restore", "v0", "3")
    assert caught.value.hint.startswith("thin pool vg0/pool is full (100 %): 'lvextend")
    lvm.before, lvm.data_percent = lambda _: None, 50.0
    assert await check_all(thin) == [1, 2, 3, 4, 5]


async def test_a_volume_group_without_room_fails_the_backup_alone(base: Path, tmp_path: Path) -> None:
    lvm = SimulatedLvm(tmp_path / "lvm", free_bytes=1000)
    async with running_archive(base, daemon_class=on_thick(lvm)) as archive:
        await archive.call("init-vol", "v0")
        with pytest.raises(Refused, match="insufficient free space"):
            await archive.full_backup(IMAGE)
        assert await archive.get("state", "v0") == ["SyncReady"]
        lvm.free_bytes = 1 << 30
        await make_history(archive)
        assert await check_all(archive) == [1, 2, 3, 4, 5]


async def test_auto_resize_of_a_thick_base_with_restored_volumes_is_refused_and_repeated(
    base: Path, tmp_path: Path
) -> None:
    lvm = SimulatedLvm(tmp_path / "lvm")
    async with running_archive(base, daemon_class=on_thick(lvm), auto_resize=True) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        await archive.call("restore", "v0", "3")
        diff = clean_diff(LAST, LAST + 1)
        with pytest.raises(Refused, match="base image cannot grow while it has restored volumes:v0:3"):
            await archive.offer(diff, [Write(1000, b"n" * 512)], size_lb=2000)
        await archive.call("del-restored", "v0", "3")
        assert await archive.offer(diff, [Write(1000, b"n" * 512)], size_lb=2000) is Answer.ACCEPT
        assert await archive.get("vol-size", "v0") == ["2000"]

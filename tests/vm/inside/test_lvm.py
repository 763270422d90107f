"""Images on real LVM: the suite of every store on thick volumes and in a thin pool, and a whole archive on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.archive_testing import RunningArchive, clean_diff, running_archive
from tests.archive.history import IMAGE, LAST, image_at, make_history
from tests.archive.lvm_archives import restored_image
from tests.archive.packs import Io, Write
from tests.image.store_contract import MakeStore, WithColdImages, WithoutColdImages
from tests.vm.inside.attached import mounted
from tests.vm.inside.disks import LoopDevices, run
from walbd.archive.daemon import ArchiveDaemon
from walbd.image.lvm.commands import LvmCommands, Runner
from walbd.image.lvm.runners import HelperRunner, make_runner
from walbd.image.lvm.thick import ThickStore
from walbd.image.lvm.thin import ThinStore
from walbd.image.store import ImageStore
from walbd.model.error import Refused
from walbd.model.snapshot import Snapshot
from walbd.net.wdiff_transfer import Answer

GROUP = "vg0"
POOL = "pool"
SMALL_POOL = "small"
SIZE = len(IMAGE)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A volume group with a thin pool."""
    loops = LoopDevices(tmp_path_factory.mktemp("disks"))
    device = loops.add(512 << 20)
    run("pvcreate", "-ff", "-y", device)
    run("vgcreate", "-s", "1m", GROUP, device)
    for pool, size in ((POOL, "128m"), (SMALL_POOL, "4m")):
        run("lvcreate", "-y", "--type", "thin-pool", "-n", pool, "-L", size, GROUP)
        # Else writes wait a minute for room.
        run("lvchange", "-y", "--errorwhenfull", "y", f"{GROUP}/{pool}")
    yield GROUP
    run("vgremove", "-f", "-y", GROUP)
    loops.close()


@pytest.fixture(scope="module")
def runner(group: str) -> Iterator[Runner]:
    """One helper for all tests: to start Python takes seconds in here."""
    helper = make_runner()
    assert isinstance(helper, HelperRunner)
    yield helper
    helper.close()


@pytest.fixture
def lvm(runner: Runner) -> Iterator[LvmCommands]:
    """The group; without images after the test."""
    yield LvmCommands(GROUP, lambda: runner)
    runner.run(["lvremove", "-f", "-y", "-S", "lv_name=~^w[brc]_", GROUP])


def opened(store: ImageStore) -> ImageStore:
    store.open()
    return store


class TestThick(WithoutColdImages):
    @pytest.fixture
    def make_store(self, lvm: LvmCommands) -> MakeStore:
        return lambda: opened(ThickStore(lvm))


class TestThin(WithColdImages):
    @pytest.fixture
    def make_store(self, lvm: LvmCommands) -> MakeStore:
        return lambda: opened(ThinStore(lvm, POOL))


def archive_on(lvm: LvmCommands, pool: str) -> type[ArchiveDaemon]:
    """The daemon with images in the group, through the helper of all tests."""

    class LvmArchive(ArchiveDaemon):
        def make_store(self) -> ImageStore:
            return ThinStore(lvm, pool) if pool else ThickStore(lvm)

    return LvmArchive


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


async def check(archive: RunningArchive, *gids: int) -> None:
    """These gids have their content, restored and scanned."""
    for gid in gids:
        assert await archive.scan(gid, size_lb=SIZE // 512) == image_at(gid)
        if str(gid) not in await archive.get("restored", "v0"):
            await archive.call("restore", "v0", str(gid))
        assert await restored_image(archive, gid, SIZE) == image_at(gid)
        await archive.call("del-restored", "v0", str(gid))


@pytest.mark.parametrize("pool", ["", POOL])
async def test_an_archive_backs_up_restores_applies_grows_and_clears(lvm: LvmCommands, base: Path, pool: str) -> None:
    async with running_archive(base, daemon_class=archive_on(lvm, pool)) as archive:
        await archive.call("init-vol", "v0")
        await make_history(archive)
        await check(archive, 2, 3)
        assert await archive.get("cold", "v0") == (["2", "3"] if pool else [])
        await archive.call("apply", "v0", "4")
        await archive.call("restore", "v0", "4")
    async with running_archive(base, daemon_class=archive_on(lvm, pool)) as archive:
        assert await archive.get("restored", "v0") == ["4"]
        await check(archive, 4, 5)
        await archive.call("resize", "v0", "3M")
        assert await archive.get("vol-size", "v0") == ["6144"]
        diff = clean_diff(LAST, LAST + 1)
        assert await archive.offer(diff, [Write(6143, b"n" * 512)], size_lb=6144) is Answer.ACCEPT
        await archive.call("restore", "v0", "6")
        grown = image_at(LAST) + bytes((3 << 20) - SIZE - 512) + b"n" * 512
        assert await restored_image(archive, 6, 3 << 20) == grown
        await archive.call("stop", "v0")
        await archive.call("clear-vol", "v0")
    assert {volume.name for volume in lvm.volumes()} == {POOL, SMALL_POOL}


async def test_a_mounted_restored_volume_stays_until_it_is_unmounted(
    lvm: LvmCommands, base: Path, tmp_path: Path
) -> None:
    async with running_archive(base, daemon_class=archive_on(lvm, POOL)) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(bytes(4 << 20), Snapshot(0, 1))
        await archive.offer(clean_diff(0, 1), [Write(0, b"a" * 512)], size_lb=8192)
        await archive.call("restore", "v0", "1")
        (path,) = await archive.get("restored-path", "v0", "1")
        run("mkfs.ext4", "-q", path)
        with mounted(path, tmp_path / "mnt"):
            with pytest.raises(Refused, match="in use") as caught:
                await archive.call("del-restored", "v0", "1")
            assert f"unmount {path}" in caught.value.hint
            assert await archive.get("restored", "v0") == ["1"]
        await archive.call("del-restored", "v0", "1")
        assert await archive.get("restored", "v0") == []


async def test_a_pool_that_becomes_full_ends_restore_and_apply_and_loses_nothing(lvm: LvmCommands, base: Path) -> None:
    chunk = b"x" * (1 << 20)
    ios: list[Io] = [Write(i * 2048, chunk) for i in range(2)]
    image = bytes(range(256)) * (3 << 12)
    size_bytes = len(image)
    async with running_archive(base, daemon_class=archive_on(lvm, SMALL_POOL)) as archive:
        await archive.call("init-vol", "v0")
        await archive.full_backup(image, Snapshot(0, 1))
        await archive.offer(clean_diff(0, 1), ios, 1 << 20, size_lb=size_bytes // 512)
        with pytest.raises(Refused, match="restore:v0:1:") as caught:
            await archive.call("restore", "v0", "1")
        assert f"thin pool {GROUP}/{SMALL_POOL} is full" in caught.value.hint
        assert await archive.get("restored", "v0") == []
        assert await archive.scan(1, size_lb=2048) == chunk
        # Somebody's snapshot makes the apply need room too.
        run("lvcreate", "-y", "-s", "-n", "wr_keep", f"{GROUP}/wb_v0")
        with pytest.raises(Refused, match="apply:v0:1:") as caught:
            await archive.call("apply", "v0", "1")
        assert f"thin pool {GROUP}/{SMALL_POOL} is full" in caught.value.hint
        run("lvremove", "-f", "-y", f"{GROUP}/wr_keep")
        await archive.call("apply", "v0", "1")
        assert (await archive.get("base", "v0"))[0].startswith("<|1|>")
        await archive.call("restore", "v0", "1")
        assert await restored_image(archive, 1, size_bytes) == chunk * 2 + image[2 << 20 :]


async def test_a_restore_in_a_pool_moves_as_much_as_changed_whatever_the_size(lvm: LvmCommands, base: Path) -> None:
    moved = {}
    for name, size_bytes in (("small", 4 << 20), ("large", 16 << 20)):
        folder = base / name
        folder.mkdir()
        async with running_archive(folder, daemon_class=archive_on(lvm, POOL)) as archive:
            await archive.call("init-vol", name)
            await archive.full_backup(b"d" * (1 << 20) + bytes(size_bytes - (1 << 20)), Snapshot(0, 1), volume=name)
            for gid in range(2):
                ios: list[Io] = [Write(gid * 1024, b"n" * (64 << 10))]
                await archive.offer(clean_diff(gid, gid + 1), ios, 1 << 20, volume=name, size_lb=size_bytes // 512)
            run("sync")
            before = moved_bytes()
            await archive.call("restore", name, "2")
            run("sync")
            moved[name] = moved_bytes() - before
    assert moved["large"] <= 1.2 * moved["small"] + (1 << 20)
    assert moved["large"] < 8 << 20


def moved_bytes() -> int:
    """Bytes read from and written to the disk of the group so far."""
    name = run("pvs", "--noheadings", "-o", "pv_name").strip().removeprefix("/dev/")
    fields = Path("/sys/block", name, "stat").read_text().split()
    return (int(fields[2]) + int(fields[6])) * 512

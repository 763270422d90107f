"""Two storages under one RAID1 of the kernel: the volume's target changes sides under a file system at work."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.group import Server
from tests.system.backup_group import MIB, check_same, running_group
from tests.system.conftest import FAST
from tests.system.duplicated_group import DuplicatedGroup, MirroredVolume
from tests.vm.inside.attached import TIMEOUT_SEC, check_ext4, free_blocks, mounted, wdevc
from tests.vm.inside.disks import run
from tests.vm.inside.file_workload import FileWorkload, check_files
from walbd.device.nbd_client import NbdClient

ARRAY = Path("/dev/md0")
OPTIONS = {"storage": FAST, "proxy": FAST, "archive": []}
Taken = tuple[int, dict[str, bytes]]
"""The gid of a snapshot, and the files that are in it."""

pytestmark = pytest.mark.skipif(shutil.which("mdadm") is None, reason="mdadm is not installed")


class OneOfEach(DuplicatedGroup):
    """Of a duplicated group what matters here: every process takes long to start in User Mode Linux."""

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.storage, self.storage1, self.proxy, self.archive

    @property
    def proxies(self) -> tuple[Server, ...]:
        return (self.proxy,)

    def wdevc(self, *args: object) -> str:
        return wdevc(self.socket_dir, *map(str, args))


class RaidVolume(MirroredVolume):
    """A volume whose two devices are the sides of /dev/md0."""

    def content_of(self, device: str) -> bytes:
        """What the file system has of a side: all but the superblock of the RAID at its end."""
        size = int(run("blockdev", "--getsize64", ARRAY))
        client = NbdClient(self.group.nbd_socket(device))
        try:
            return b"".join(client.read(offset, min(MIB, size - offset)) for offset in range(0, size, MIB))
        finally:
            client.close()


@pytest.fixture
def volume() -> Iterator[RaidVolume]:
    """A volume of 12 MiB, Standby at both storages, its devices not attached yet."""
    with running_group(OneOfEach, OPTIONS, prefix="w") as group:
        made = RaidVolume(group, "vol1", "dev1", random.Random(7), size_bytes=12 * MIB, log_bytes=32 * MIB)
        made.create()
        yield made


def without(content: bytes, free: list[tuple[int, int]]) -> bytes:
    """The content with zeros in the blocks that no file has. What a program changes while it is on its way to the sides
    may differ there, until it is written again; when the file goes before that, it is not written again."""
    used = bytearray(content)
    for begin, end in free:
        used[begin:end] = bytes(end - begin)
    return bytes(used)


@contextmanager
def raid1(volume: RaidVolume) -> Iterator[Path]:
    """Attaches both devices and makes a RAID1 with an ext4 of them; at the end both sides must have the same in it."""
    group = volume.group
    nodes = [group.wdevc("attach", name, "-timeout", TIMEOUT_SEC) for name in volume.devices]
    try:
        # With the superblock at the end a restored image begins with the file system.
        what = ["--metadata=1.0", "--level=1", "--raid-devices=2", "--assume-clean", "--bitmap=none"]
        run("mdadm", "--create", ARRAY, "--run", *what, *nodes)
        run("mkfs.ext4", "-q", ARRAY)
        yield ARRAY
        check_ext4(ARRAY)
        free = free_blocks(ARRAY)
        first, second = (without(volume.content_of(name), free) for name in volume.devices)
        check_same(first, second, "the two sides of the RAID")
        run("mdadm", "--stop", ARRAY)
    finally:
        for name in volume.devices:
            group.wdevc("detach", name, "-f")


def snapshot(volume: RaidVolume, workload: FileWorkload, mount: Path) -> Taken:
    """A snapshot of the quiet file system."""
    with workload.paused():
        run("fsfreeze", "-f", mount)
        try:
            volume.content = bytearray(volume.content_of(volume.devices[volume.active is volume.group.storage1]))
            return volume.snapshot(), dict(workload.files)
        finally:
            run("fsfreeze", "-u", mount)


def check_restored(volume: RaidVolume, taken: Taken, mount: Path) -> None:
    """The archive's image of the snapshot is the device as it was, and a file system with these files."""
    group, (gid, files) = volume.group, taken
    volume.wait_arrival(gid)
    group.walbc(group.archive, "restore", volume.name, gid, "--wait")
    image = Path(group.walbc(group.archive, "get", "restored-path", volume.name, gid).strip())
    content = volume.snapshots[gid]
    check_same(image.read_bytes()[: len(content)], content, f"gid {gid}")
    mount.mkdir(exist_ok=True)
    run("mount", "-t", "ext4", "-o", "loop,ro", image, mount)
    try:
        check_files(mount, files)
    finally:
        run("umount", mount)
    group.walbc(group.archive, "del-restored", volume.name, gid)


@pytest.mark.parametrize("n_switches", [1, pytest.param(10, marks=pytest.mark.long)])
def test_target_and_standby_change_sides_under_a_file_system_at_work(
    n_switches: int, volume: RaidVolume, tmp_path: Path
) -> None:
    group = volume.group
    with raid1(volume) as array, mounted(array, tmp_path / "mnt") as mount:
        (mount / "lost+found").rmdir()
        with FileWorkload(mount, seed=n_switches, max_files=20) as workload:
            volume.back_up()
            first = snapshot(volume, workload, mount)
            volume.wait_arrival(first[0])
            for _ in range(n_switches):
                volume.switch()
                workload.wait_for_steps(5)
                check_restored(volume, snapshot(volume, workload, mount), tmp_path / "restored")
                assert group.state(volume.active, volume.name) == "Target"
                assert group.state(volume.passive, volume.name) == "Standby"
        assert workload.error is None
        workload.check()
        check_restored(volume, first, tmp_path / "restored")

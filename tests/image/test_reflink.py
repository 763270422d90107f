"""Plain files on a file system that shares blocks: a restored volume costs no room and no time."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.store_contract import MakeStore, WithoutColdImages, ignore, never, restored, write_base
from walbd.image.plain_files import PlainFileStore
from walbd.world.files import Files

DISK_BYTES = 320 << 20
"""xfs has no smaller ones."""
DATA_BYTES = 8 << 20


@pytest.fixture(scope="module")
def xfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An xfs with reflink on a loop device."""
    if os.geteuid() or shutil.which("mkfs.xfs") is None:
        pytest.skip("root and mkfs.xfs are needed (Debian: xfsprogs)")
    folder = tmp_path_factory.mktemp("xfs")
    disk, mount = folder / "disk", folder / "mnt"
    mount.mkdir()
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", disk], check=True)
    done = subprocess.run(["mount", "-o", "loop", disk, mount], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"an xfs on a loop device cannot be mounted here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", mount], check=True)


@pytest.fixture
def folder(xfs: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    folder = xfs / "base"
    for volume in ("v0", "v0-1"):
        (folder / volume).mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


class TestReflink(WithoutColdImages):
    @pytest.fixture
    def make_store(self, folder: Path) -> MakeStore:
        return lambda: PlainFileStore(folder, Files())


def free_bytes(path: Path) -> int:
    os.sync()
    found = os.statvfs(path)
    return found.f_bfree * found.f_bsize


def test_a_restored_volume_shares_the_blocks_of_the_base(folder: Path) -> None:
    store = PlainFileStore(folder, Files())
    store.create_base("v0", 100 << 11)
    write_base(store, 0, os.urandom(DATA_BYTES))
    before = free_bytes(folder)
    for gid in range(4):
        store.begin_restore("v0", gid, never, ignore)
        store.commit_restore("v0", gid)
    assert before - free_bytes(folder) < DATA_BYTES // 4
    expected = restored(store, 3, DATA_BYTES)
    write_base(store, 0, bytes(DATA_BYTES))
    assert restored(store, 3, DATA_BYTES) == expected

"""Power cuts under a mounted file system: dm-log-writes under ring and data device records all they wrote; any state
the disks may have been left in can be redone, is clean, and holds every file that was synced before."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import IS_LONG
from tests.device.walb_devices import Pair, Server
from tests.vm.inside.attached import attach, check_ext4, mounted, restarted, wdevc
from tests.vm.inside.disks import LoopDevices, run
from tests.vm.inside.log_writes import FLUSH, FUA, MARK, Entry, LoggedDisk, apply
from walbd.device.formatting import format_pair
from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.start import open_device

NODE = Path("/dev/walb/vol")
RING_BYTES, DATA_BYTES = 4 << 20, 24 << 20
N_FILES = 24 if IS_LONG else 10
MADE = "made"


class Cuts:
    """The disk's log, and from it the states a power cut may leave: what a flush of its half of the disk covers is
    there, anything after that may be or not."""

    def __init__(self, disk: LoggedDisk, folder: Path) -> None:
        self._entries = list(disk.entries())
        self._image = folder / "image"
        with open(self._image, "wb") as file:
            file.truncate(RING_BYTES + DATA_BYTES)

    @staticmethod
    def _is_ring(entry: Entry) -> bool:
        return entry.offset_bytes < RING_BYTES

    def candidates(self) -> list[int]:
        """The numbers of entries after which power may fail, once the file system is made."""
        made = next(number for number, entry in enumerate(self._entries) if entry.data == MADE.encode())
        return list(range(made, len(self._entries)))

    def states(self, cuts: list[int], choose: random.Random) -> Iterator[tuple[int, list[str], list[Entry]]]:
        """(number of the cut, the marks before it, what is volatile and happens to survive); what is durable then is in
        `image`."""
        volatile: list[Entry] = []
        marks: list[str] = []
        wanted = set(cuts)
        with open(self._image, "r+b") as image:
            for number, entry in enumerate(self._entries):
                if entry.flags & MARK:
                    marks.append(entry.data.decode())
                else:
                    if entry.flags & FLUSH:
                        for durable in [old for old in volatile if self._is_ring(old) == self._is_ring(entry)]:
                            apply(durable, image.fileno())
                            volatile.remove(durable)
                    if entry.flags & FUA:
                        apply(entry, image.fileno())
                    elif entry.size_bytes:
                        volatile.append(entry)
                if number in wanted:
                    share = choose.choice((0.0, 0.5, 1.0))
                    yield number, marks, [old for old in volatile if choose.random() < share]

    def split(self, survivors: list[Entry], folder: Path) -> tuple[Path, Path]:
        """Log device and data device of a state, in files."""
        whole, ring, data = folder / "whole", folder / "ring", folder / "data"
        shutil.copyfile(self._image, whole)
        with open(whole, "r+b") as file:
            for entry in survivors:
                apply(entry, file.fileno())
            file.seek(0)
            ring.write_bytes(file.read(RING_BYTES))
            data.write_bytes(file.read(DATA_BYTES))
        return ring, data


class DiskPair(Pair):
    """A pair on block devices, formatted by wdevc."""

    def __init__(self, folder: Path, ldev: str, ddev: str) -> None:
        self.folder, self.ldev, self.ddev = folder, Path(ldev), Path(ddev)
        self.size_bytes = DATA_BYTES
        format_pair(ldev, ddev, "vol", None, is_discarded=False)


def content_of(name: str) -> bytes:
    """What a synced file holds."""
    return random.Random(name).randbytes(random.Random(name + "size").randrange(1, 150_000))


def work(pair: Pair, disk: LoggedDisk, mount_point: Path) -> None:
    """Makes a file system and files; marks each in the log once it is synced. Half-way the server is killed."""
    server = Server(pair).wait_ready()
    wdevc(pair.folder, "set-checkpoint-interval", "vol", "200")
    attach(pair)
    run("mkfs.ext4", "-q", NODE)
    run("blockdev", "--flushbufs", NODE)
    disk.mark(MADE)
    with mounted(NODE, mount_point) as mount:
        for number in range(N_FILES):
            if number == N_FILES // 2:
                server = restarted(server)
                wdevc(pair.folder, "set-checkpoint-interval", "vol", "200")
            (mount / "noise").write_bytes(os.urandom(100_000))
            name = f"file{number}"
            with open(mount / name, "wb") as file:
                file.write(content_of(name))
                file.flush()
                os.fsync(file.fileno())
            disk.mark(name)
    wdevc(pair.folder, "detach", "vol")
    assert server.stop() == 0


@pytest.fixture
def cuts(loops: LoopDevices, tmp_path: Path) -> Cuts:
    """The log of a file system at work on a walb device."""
    disk = LoggedDisk("logged", loops.add(RING_BYTES + DATA_BYTES), loops.add(256 << 20))
    borders = {"ring": (0, RING_BYTES), "data": (RING_BYTES, DATA_BYTES)}
    for name, (begin, size) in borders.items():
        table = f"0 {size // 512} linear {disk.path} {begin // 512}"
        run("dmsetup", "create", name, "--noudevsync", "--table", table)
    work(DiskPair(tmp_path, "/dev/mapper/ring", "/dev/mapper/data"), disk, tmp_path / "mnt")
    for name in borders:
        run("dmsetup", "remove", "--noudevsync", name)
    disk.close()
    return Cuts(disk, tmp_path)


def check_state(ring: Path, data: Path, marks: list[str], mount_point: Path) -> None:
    """Redoes the log as a server does at its start, then has the file system repaired by its journal alone."""
    with closing(DeviceFiles(str(ring), str(data))) as files:
        open_device(files, "vol")
    run("e2fsck", "-E", "journal_only", "-p", data)
    check_ext4(data)
    run("mount", "-o", "loop,ro,noload", data, mount_point)
    try:
        for name in marks:
            if name.startswith("file"):
                assert (mount_point / name).read_bytes() == content_of(name), name
    finally:
        run("umount", mount_point)


@pytest.mark.parametrize("n_cuts", [6, pytest.param(None, marks=pytest.mark.long)])
def test_after_a_power_cut_the_file_system_is_clean_and_synced_files_are_there(
    n_cuts: int | None, cuts: Cuts, tmp_path: Path
) -> None:
    choose = random.Random(n_cuts)
    candidates = cuts.candidates()
    chosen = candidates if n_cuts is None else choose.sample(candidates, n_cuts)
    n_checked = 0
    for number, marks, survivors in cuts.states(chosen, choose):
        ring, data = cuts.split(survivors, tmp_path)
        try:
            check_state(ring, data, marks, tmp_path / "mnt")
        except BaseException as error:
            error.add_note(f"power cut after entry {number}")
            raise
        n_checked += 1
    assert n_checked == len(chosen)

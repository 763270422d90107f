"""The story the demo tells: back up while writing, change files and take snapshots, restore all of them, compare."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from demo.filesystem import BLOCK_BYTES, Image, are_identical, changed_blocks, is_clean
from demo.group import BIN, HOST, CommandFailed, Group, wait_until
from walbd.device.nbd_client import NbdClient

VOLUME = "vol0"
DEVICE = "w0"
IMAGE_BYTES = 64 << 20
LOG_BYTES = 64 << 20
ROUNDS = 4
# The full backup is slowed down to about two seconds, so that there is something to watch.
SCAN_BYTES_PER_SEC = IMAGE_BYTES // 2
ARRIVAL_TIMEOUT_SEC = 60.0


@dataclass
class Row:
    """One restored snapshot."""

    gid: int
    time: str
    log_bytes: int
    wdiff_bytes: int
    restore_sec: float
    is_identical: bool
    is_clean: bool

    @property
    def verdict(self) -> str:
        """What the table says."""
        if not self.is_identical:
            return "DIFFERENT"
        return "identical, clean" if self.is_clean else "identical, e2fsck COMPLAINS"


@dataclass
class Taken:
    """A snapshot and the oracle of its moment."""

    gid: int
    lsid: int
    oracle: Path


class Session:
    """One run of the demo in a folder, against a group."""

    def __init__(self, folder: Path, group: Group) -> None:
        self.folder = folder
        self.group = group
        self.image = Image(folder / "oracle.img")
        self.random = random.Random(2026)
        self.taken: list[Taken] = []
        self._nbd: NbdClient | None = None
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """One line of the story, with the seconds since the start."""
        print(f"[{time.monotonic() - self._started:5.1f} s] {text}", flush=True)

    @property
    def nbd(self) -> NbdClient:
        """The connection to the walb device."""
        if self._nbd is None:
            self._nbd = NbdClient(self.group.nbd_socket(DEVICE))
        return self._nbd

    def run(self) -> list[Row]:
        """The whole story; returns one row per snapshot."""
        self.prepare()
        self.back_up_while_writing()
        self.take_snapshot("after the full backup")
        for number in range(1, ROUNDS + 1):
            self.change_files(number)
            self.take_snapshot(f"round {number}")
        self.wait_for_arrival()
        rows = [self.restore(taken) for taken in self.taken]
        if self._nbd is not None:
            self._nbd.close()
        return rows

    def prepare(self) -> None:
        """File system, device, group, volume."""
        count = self.image.make(IMAGE_BYTES, self.folder)
        self.say(f"made an ext4 image of {IMAGE_BYTES >> 20} MiB with {count} files of the Python library")
        group = self.group
        group.create_device(DEVICE, IMAGE_BYTES, LOG_BYTES)
        self.say(f"walb-device {DEVICE} serves it over NBD; every write goes to its log first")
        group.start()
        self.say("walb-storage s0, walb-proxy p0 and walb-archive a0 run on free loopback ports")
        empty = self.folder / "empty.img"
        with open(empty, "wb") as file:
            file.truncate(IMAGE_BYTES)
        written = self.write_changes(empty)
        self.say(f"wrote the image to the device: {written >> 10} KiB")
        group.walbc(group.storage, "init-vol", VOLUME, DEVICE)
        group.walbc(group.archive, "init-vol", VOLUME)
        group.walbc(group.proxy, "archive-info", "add", VOLUME, "a0", f"{HOST}:{group.archive_port}")
        group.walbc(group.proxy, "start", VOLUME)

    def write_changes(self, before: Path) -> int:
        """Writes to the device whatever differs between an earlier copy of the image and now; returns the bytes."""
        total = 0
        for offset, data in changed_blocks(before, self.image.path):
            self.nbd.write(offset, data)
            total += len(data)
        self.nbd.flush()
        return total

    def change(self, action: str, name: str) -> int:
        """Changes one file in the image and writes the changed blocks to the device; returns the bytes written."""
        before = self.folder / "before.img"
        shutil.copy(self.image.path, before)
        freed: list[int] = []
        if action == "remove":
            freed = self.image.remove_file(name)
        else:
            self.image.write_file(name, self.random.randbytes(self.random.randrange(10_000, 600_000)), self.folder)
        written = self.write_changes(before)
        for block in freed:
            self.image.clear_block(block)
            self.nbd.trim(block * BLOCK_BYTES, BLOCK_BYTES)
        return written

    def back_up_while_writing(self) -> None:
        """Full backup with files changing all the while."""
        group = self.group
        group.walbc(group.storage, "set-full-scan-bps", SCAN_BYTES_PER_SEC)
        command = [str(BIN / "walbc"), "-a", HOST, "-p", str(group.storage_port), "full-bkp", VOLUME, "--wait"]
        started = time.monotonic()
        backup = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        written = changes = 0
        while backup.poll() is None or changes < 2:
            written += self.change("write", f"during-backup-{changes % 3}")
            changes += 1
        if backup.returncode != 0:
            raise CommandFailed(f"full-bkp: {backup.communicate()[1].strip().splitlines()[-1]}")
        elapsed = time.monotonic() - started
        group.walbc(group.storage, "set-full-scan-bps", 0)
        self.say(f"full backup in {elapsed:.1f} s, while {changes} files changed ({written >> 10} KiB written)")

    def change_files(self, number: int) -> None:
        """A few files are created, replaced and removed (freed blocks are discarded)."""
        written = self.change("write", f"round-{number}-new")
        written += self.change("write", "during-backup-0")
        if number > 1:
            written += self.change("remove", f"round-{number - 1}-new")
        self.say(f"round {number}: files created, replaced, removed; {written >> 10} KiB of changed blocks written")

    def take_snapshot(self, why: str) -> None:
        """Takes a snapshot and keeps a copy of the oracle."""
        group = self.group
        gid = int(group.walbc(group.storage, "snapshot", VOLUME))
        line = group.walbc(group.storage, "get", "latest-snap", VOLUME).strip()
        fields = dict(word.split(":", 1) for word in line.split("\t"))
        oracle = self.folder / f"oracle-{gid}.img"
        shutil.copy(self.image.path, oracle)
        self.taken.append(Taken(gid, int(fields["lsid"]), oracle))
        self.say(f"snapshot {gid} ({why})")

    def restorable(self) -> dict[int, str]:
        """gid -> time of every snapshot the archive can restore."""
        lines = self.group.walbc(self.group.archive, "get", "restorable", VOLUME).splitlines()
        return {int(gid): when for gid, when, _ in (line.split() for line in lines)}

    def wait_for_arrival(self) -> None:
        """Until the log of the last snapshot went storage -> proxy -> archive."""
        group, last = self.group, self.taken[-1].gid
        group.walbc(group.storage, "kick")
        wait_until(lambda: last in self.restorable(), ARRIVAL_TIMEOUT_SEC, f"snapshot {last} restorable at the archive")
        self.say(f"the archive holds everything up to snapshot {last}")

    def restore(self, taken: Taken) -> Row:
        """Restores one snapshot and compares it with its oracle."""
        group, gid = self.group, taken.gid
        when = self.restorable()[gid]
        started = time.monotonic()
        group.walbc(group.archive, "restore", VOLUME, gid, "--wait")
        elapsed = time.monotonic() - started
        path = Path(group.walbc(group.archive, "get", "restored-path", VOLUME, gid).strip())
        index = self.taken.index(taken)
        begin_lsid, begin_gid = (self.taken[index - 1].lsid, self.taken[index - 1].gid) if index else (0, 0)
        row = Row(
            gid=gid,
            time=when,
            log_bytes=(taken.lsid - begin_lsid) * 512,
            wdiff_bytes=int(group.walbc(group.archive, "get", "total-diff-size", VOLUME, begin_gid, gid)),
            restore_sec=elapsed,
            is_identical=are_identical(path, taken.oracle),
            is_clean=is_clean(path),
        )
        if not row.is_identical or not row.is_clean:
            self.say(f"snapshot {gid} differs from the oracle {taken.oracle}: {row.verdict}")
        group.walbc(group.archive, "del-restored", VOLUME, gid)
        return row

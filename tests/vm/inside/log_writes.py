"""The device mapper's log-writes target: everything written to a disk, in order, and the disk after any part of it.

The log, all little-endian: a super block (magic, version, number of entries: u64 each; sector size u32) in sector 0,
then per entry one sector (sector, number of sectors, flags, length of the data in it: u64 each; a mark's text lies
there) followed by the sectors written. Writes appear at the next flush of the disk, in the order they were completed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.vm.inside.disks import run

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SECTOR_BYTES = 512
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request, or the text of a mark."""

    offset_bytes: int
    size_bytes: int
    flags: int
    data: bytes


class LoggedDisk:
    """/dev/mapper/NAME over a disk, with its log on another one."""

    def __init__(self, name: str, disk: str, log: str) -> None:
        self.name, self.path = name, f"/dev/mapper/{name}"
        self._log = log
        sectors = run("blockdev", "--getsz", disk).strip()
        run("dmsetup", "create", name, "--noudevsync", "--table", f"0 {sectors} log-writes {disk} {log}")

    def mark(self, text: str) -> None:
        """Puts a text into the log."""
        run("dmsetup", "message", self.name, "0", "mark", text)

    def close(self) -> None:
        """Removes the device; the log is complete then."""
        run("dmsetup", "remove", "--noudevsync", self.name)

    def entries(self) -> Iterator[Entry]:
        """The log, from the begin."""
        with open(self._log, "rb") as file:
            magic, version, count, sector_bytes = _SUPER.unpack(file.read(_SUPER.size))
            assert (magic, version, sector_bytes) == (MAGIC, 1, SECTOR_BYTES)
            file.seek(SECTOR_BYTES)
            for _ in range(count):
                head = file.read(SECTOR_BYTES)
                sector, n_sectors, flags, data_bytes = _ENTRY.unpack_from(head)
                size_bytes = n_sectors * SECTOR_BYTES
                data = b"" if flags & DISCARD else file.read(size_bytes)
                if flags & MARK:
                    data = head[_ENTRY.size : _ENTRY.size + data_bytes]
                yield Entry(sector * SECTOR_BYTES, size_bytes, flags, data)


def apply(entry: Entry, fd: int) -> None:
    """Does to an image what the request did to the disk."""
    if entry.flags & MARK:
        return
    data = bytes(entry.size_bytes) if entry.flags & DISCARD else entry.data
    assert os.pwrite(fd, data, entry.offset_bytes) == len(data)

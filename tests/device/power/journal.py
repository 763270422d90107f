"""The journal of recorder.c: what the files may hold after a power cut at a moment of it."""

from __future__ import annotations

import ctypes
import enum
import os
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ENTRY = struct.Struct("=IIQQQ")


class Kind(enum.IntEnum):
    """Of an entry, as in recorder.c."""

    WRITE_BEGIN = 1
    ZERO_BEGIN = 2
    WRITE_END = 3
    SYNC_BEGIN = 4
    SYNC_END = 5
    MARK = 6
    SYNC_FAILED = 7


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `offset` of a MARK is its value."""

    kind: Kind
    file: int
    number: int
    offset: int
    data: bytes


class Recorder:
    """The recorder that was preloaded into this process."""

    def __init__(self) -> None:
        self._native = ctypes.CDLL(None)
        self._native.recorder_journal.restype = ctypes.c_void_p
        self._native.recorder_mark.argtypes = [ctypes.c_uint64]
        self._native.recorder_break.argtypes = [ctypes.c_int]

    def watch(self, paths: Sequence[Path]) -> None:
        """Starts a new journal of these files, which are named by their place in the list."""
        names = (ctypes.c_char_p * len(paths))(*[os.fsencode(path) for path in paths])
        self._native.recorder_watch(names, len(paths))

    def mark(self, value: int) -> None:
        """Adds a mark: this has been told to somebody."""
        self._native.recorder_mark(value)

    def break_syncs(self, file: int | None) -> None:
        """From now on the syncs of this file fail; None: they work again."""
        self._native.recorder_break(-1 if file is None else file)

    def entries(self) -> list[Entry]:
        """The journal so far."""
        size = ctypes.c_size_t()
        address = self._native.recorder_journal(ctypes.byref(size))
        raw = ctypes.string_at(address, size.value) if size.value else b""
        entries, at = [], 0
        while at < len(raw):
            kind, file, number, offset, length = ENTRY.unpack_from(raw, at)
            at += ENTRY.size
            data = bytes(length) if kind == Kind.ZERO_BEGIN else raw[at : at + length]
            at += length if kind == Kind.WRITE_BEGIN else 0
            entries.append(Entry(Kind(kind), file, number, offset, data))
        return entries


@dataclass
class _File:
    """One file at the moment of the cut: what is durable, and the versions of each block that came after it."""

    image: bytearray
    block_bytes: int
    versions: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    syncs: dict[int, set[int]] = field(default_factory=dict)

    def write(self, entry: Entry) -> None:
        size, offset = self.block_bytes, entry.offset
        assert offset % size == 0 and len(entry.data) % size == 0, "a write tears a physical block"
        for at in range(0, len(entry.data), size):
            self.versions.setdefault((offset + at) // size, []).append((entry.number, entry.data[at : at + size]))

    def synced(self, covered: set[int]) -> None:
        for block, versions in list(self.versions.items()):
            last = max((i for i, (number, _) in enumerate(versions) if number in covered), default=-1)
            if last >= 0:
                self._keep(block, versions[last][1])
                self.versions[block] = versions[last + 1 :]

    def sync_failed(self, number: int, covered: set[int]) -> None:
        """As the kernel does: some of what was to be written is, some is not; it counts as written all the same, and is
        read for as long as it is in memory."""
        rng = random.Random(number)
        for block, versions in list(self.versions.items()):
            count = max((i + 1 for i, (write, _) in enumerate(versions) if write in covered), default=0)
            begin = block * self.block_bytes
            kept = rng.choice([self.image[begin : begin + self.block_bytes], *[data for _, data in versions[:count]]])
            self._keep(block, kept)
            self.versions[block] = versions[count:]

    def after_cut(self, rng: random.Random, kept: float) -> bytes:
        """Of each block the durable version or a later one; `kept` is how often it is a later one."""
        for block, versions in self.versions.items():
            if versions and rng.random() < kept:
                self._keep(block, rng.choice(versions)[1])
        return bytes(self.image)

    def written_back(self) -> bytes:
        """Of each block the latest version."""
        for block, versions in self.versions.items():
            if versions:
                self._keep(block, versions[-1][1])
        return bytes(self.image)

    def _keep(self, block: int, data: bytes | bytearray) -> None:
        self.image[block * self.block_bytes : (block + 1) * self.block_bytes] = data


def cut(
    before: Sequence[bytes], block_bytes: Sequence[int], entries: Sequence[Entry], rng: random.Random
) -> list[bytes]:
    """The files after a power cut behind the last of the entries, which began on `before`. Writes that no later
    completed sync of their file covers are lost or kept, each physical block by itself."""
    files = _replay(before, block_bytes, entries)
    return [file.after_cut(rng, rng.choice([0.0, 0.2, 0.5, 0.9, 1.0])) for file in files]


def on_medium(before: Sequence[bytes], block_bytes: Sequence[int], entries: Sequence[Entry]) -> list[bytes]:
    """What is found in the files when they are read beside the page cache, which writes back what is dirty in it."""
    return [file.written_back() for file in _replay(before, block_bytes, entries)]


def _replay(before: Sequence[bytes], block_bytes: Sequence[int], entries: Sequence[Entry]) -> list[_File]:
    files = [_File(bytearray(image), size) for image, size in zip(before, block_bytes, strict=True)]
    for entry in entries:
        file = files[entry.file]
        if entry.kind in (Kind.WRITE_BEGIN, Kind.ZERO_BEGIN):
            file.write(entry)
        elif entry.kind is Kind.WRITE_END:
            file.ended.add(entry.number)
        elif entry.kind is Kind.SYNC_BEGIN:
            file.syncs[entry.number] = set(file.ended)
        elif entry.kind is Kind.SYNC_END:
            file.synced(file.syncs[entry.number])
        elif entry.kind is Kind.SYNC_FAILED:
            file.sync_failed(entry.number, file.syncs[entry.number])
    return files

"""Random write histories, their log, and diffs of it cut anywhere: what the history tests share.

A history is drawn from one seed, so that a failure is repeated by its number alone."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path

from tests.wdiff.wdiff_testing import UUID
from tests.wlog.log_oracle import Write
from tests.wlog.pack_builder import PackBuilder
from walbd._core import ffi
from walbd.model.compression import CompressOpt
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.indexed import LogToIndexedWdiff, log_to_indexed
from walbd.wdiff.merge import merge_to_file
from walbd.wdiff.reader import WdiffReader
from walbd.wdiff.sorted import log_to_sorted
from walbd.wlog.log_file import LogFileHeader, end_block
from walbd.wlog.super_sector import SuperSector

LB = 512
MAX_IO_LB = 2048
POOL_BYTES = 4 << 20
NOISE = random.Random(1).randbytes(POOL_BYTES)
TEXT = b"".join(b"line %d of a text, " % i for i in range(POOL_BYTES // 20))
CODECS = [CompressOpt.parse(text) for text in ("none:0:1", "snappy:0:1", "snappy:0:1", "snappy:0:2", "lz4:0:1")]


class MemoryFiles:
    """Files in memory, by path; reused from history to history."""

    def __init__(self) -> None:
        self._fds: list[int] = []
        self._used = 0

    def new(self) -> tuple[int, Path]:
        """An empty file: descriptor and path."""
        if self._used == len(self._fds):
            self._fds.append(os.memfd_create("history"))
        fd = self._fds[self._used]
        self._used += 1
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd, Path(f"/proc/self/fd/{fd}")

    def reuse(self) -> None:
        """All files may be given out again."""
        self._used = 0

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []


@dataclass(frozen=True)
class History:
    """Writes to a volume of size_lb that was full of `fill` before, and the geometry of their log."""

    seed: int
    size_lb: int
    fill: int
    writes: list[Write]
    pbs: int
    ring_size_pb: int
    begin_lsid: int
    max_pack_pb: int

    def before(self) -> bytearray:
        return bytearray(bytes([self.fill]) * (self.size_lb * LB))

    def after(self) -> bytearray:
        """Replayed byte by byte; discards are zeros."""
        image = self.before()
        for write in self.writes:
            write.apply(image)
        return image


def size_of_write(rnd: random.Random) -> int:
    """Blocks: mostly few, sometimes up to 1 MiB, odd ones among them."""
    longest = rnd.choice((1, 2, 8, 8, 16, 64, 64, 256, MAX_IO_LB)) if rnd.random() < 0.9 else MAX_IO_LB
    return longest if rnd.random() < 0.3 else rnd.randint(1, longest)


def draw_write(rnd: random.Random, size_lb: int) -> Write:
    """Overlaps are the rule: half of the addresses lie in the first eighth of the volume."""
    blocks = min(size_of_write(rnd), size_lb)
    room = size_lb - blocks
    offset = rnd.randint(0, room // 8 if rnd.random() < 0.5 else room)
    if rnd.random() < 0.4:
        offset = offset // 8 * 8
    kind = rnd.random()
    if kind < 0.15:
        return Write(offset, blocks, None)
    size = blocks * LB
    if kind < 0.25:
        return Write(offset, blocks, bytes(size))
    pool = NOISE if kind < 0.6 else TEXT
    at = rnd.randrange(POOL_BYTES - size)
    data = pool[at : at + size]
    if kind > 0.9 and blocks > 1:
        # Blocks of zeros inside.
        zero = rnd.randrange(blocks) * LB
        data = data[:zero] + bytes(LB) + data[zero + LB :]
    return Write(offset, blocks, data)


def draw_history(seed: int) -> History:
    rnd = random.Random(seed)
    size_lb = rnd.choice((16, 100, 512, 512, 2000, 2000, 8192))
    writes = [draw_write(rnd, size_lb) for _ in range(rnd.choice((1, 3, 10, 10, 25, 60)))]
    pbs = rnd.choice((512, 4096))
    # The log wraps in most rings; the longest write fits each.
    ring_size_pb = rnd.choice((2 * MAX_IO_LB * LB // pbs + 20, 20000 * LB // pbs, 2**16))
    begin_lsid = rnd.choice((0, rnd.randrange(2**20), rnd.randrange(2**62)))
    return History(seed, size_lb, rnd.choice((0, 0xA5)), writes, pbs, ring_size_pb, begin_lsid, rnd.choice((0, 0, 64)))


def packs_of(history: History, files: MemoryFiles) -> list[bytes]:
    """The packs of its log in order, written into a ring a few writes at a time, as a device does, and read back."""
    salt = history.seed & 0xFFFFFFFF
    sector = SuperSector(history.pbs, salt, UUID, "v", history.ring_size_pb, 0, 0, history.size_lb)
    fd, _ = files.new()
    packs: list[bytes] = []
    lsid = history.begin_lsid
    rnd = random.Random(history.seed ^ 1)
    at = 0
    while at < len(history.writes):
        batch = history.writes[at : at + rnd.choice((1, 4, 30))]
        builder = PackBuilder(sector, history.max_pack_pb, max_writes=len(batch))
        buffers = [ffi.from_buffer(write.data or b"") for write in batch]
        for write, buffer in zip(batch, buffers, strict=True):
            if write.data is None:
                builder.add_discard(write.offset_lb, write.size_lb)
            else:
                builder.add(write.offset_lb, write.size_lb, buffer)
        at += builder.build(lsid, lsid + history.ring_size_pb)
        builder.write(fd)
        while lsid < builder.end_lsid:
            head = read_ring(fd, sector, lsid, 1)
            n_pb = 1 + int.from_bytes(head[6:8], "little")
            packs.append(head + read_ring(fd, sector, lsid + 1, n_pb - 1))
            lsid += n_pb
    return packs


def read_ring(fd: int, sector: SuperSector, lsid: int, n_pb: int) -> bytes:
    first = lsid % sector.ring_size_pb
    until_wrap = min(n_pb, sector.ring_size_pb - first)
    data = os.pread(fd, until_wrap * sector.pbs, (sector.ring_offset_pb + first) * sector.pbs)
    data = data.ljust(until_wrap * sector.pbs, b"\0")
    return data if until_wrap == n_pb else data + read_ring(fd, sector, lsid + until_wrap, n_pb - until_wrap)


def diffs_of(history: History, files: MemoryFiles) -> list[Path]:
    """The log as diffs, cut at random packs: fed in random pieces, or as a log file to an indexed or sorted one."""
    rnd = random.Random(history.seed ^ 2)
    packs = packs_of(history, files)
    cuts = sorted(rnd.sample(range(1, len(packs)), min(len(packs) - 1, rnd.choice((0, 1, 2, 4)))))
    lsid, paths = history.begin_lsid, []
    for begin, end in pairwise([0, *cuts, len(packs)]):
        fd, path = files.new()
        convert = rnd.choice((feed, feed, from_file))
        lsid = convert(history, b"".join(packs[begin:end]), lsid, fd, files, rnd)
        paths.append(path)
    assert lsid == history.begin_lsid + sum(len(pack) for pack in packs) // history.pbs
    return paths


def feed(history: History, log: bytes, lsid: int, fd: int, _: MemoryFiles, rnd: random.Random) -> int:
    """The log cut anywhere; returns its end lsid."""
    folder = Path(tempfile.gettempdir())
    with LogToIndexedWdiff(fd, UUID, history.pbs, history.seed & 0xFFFFFFFF, lsid, folder) as converter:
        step = rnd.choice((len(log), 1 + rnd.randrange(100000)))
        for at in range(0, len(log), max(1, step)):
            converter.feed(log[at : at + step])
        return converter.finish().end_lsid


def from_file(history: History, log: bytes, lsid: int, fd: int, files: MemoryFiles, rnd: random.Random) -> int:
    """The log from a log file, several threads; returns its end lsid."""
    _, path = files.new()
    salt = history.seed & 0xFFFFFFFF
    path.write_bytes(LogFileHeader(history.pbs, salt, UUID, lsid).pack() + log + end_block(history.pbs, salt))
    options = LogOptions(max_io_lb=rnd.choice((MAX_IO_LB, MAX_IO_LB, 0, 3)), threads=2)
    with FileIO(path) as stream:
        return rnd.choice((log_to_sorted, log_to_indexed))([stream], fd, options).end_lsid


def merge_to(paths: Sequence[Path], compress: CompressOpt, files: MemoryFiles) -> Path:
    fd, path = files.new()
    merge_to_file(paths, fd, compress)
    return path


def merge_in_any_grouping(paths: list[Path], rnd: random.Random, files: MemoryFiles) -> list[Path]:
    """Neighbours merged again and again, until one file or a few are left."""
    left = list(paths)
    until = 1 if rnd.random() < 0.7 else rnd.randint(1, len(left))
    while len(left) > until:
        begin = rnd.randrange(len(left) - 1)
        end = rnd.randint(begin + 2, len(left))
        left[begin:end] = [merge_to(left[begin:end], rnd.choice(CODECS), files)]
    return left


def records_of(path: Path) -> list[tuple[int, int, int]]:
    with WdiffReader(path) as reader:
        return [(record.address_lb, record.blocks_lb, record.kind.value) for record in reader]

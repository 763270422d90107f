"""A small file of each format, and a reader of everything in it: what the damage tests share."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.wdiff.wdiff_oracle import NORMAL, ZERO, Io, Stored, sorted_file
from tests.wdiff.wdiff_testing import UUID, convert
from tests.wlog.log_oracle import EXIST, PADDING, PackWriter, Write, parse_log
from walbd.storage.queue_file import decode_queue, encode_queue
from walbd.wdiff.reader import WdiffReader
from walbd.wlog.log_file import LogFileHeader, LogFileReader, LogFileWriter
from walbd.wlog.super_sector import SuperSector, read_super_sector

SALT = 0x12345678
TEXT = b"some words that repeat, " * 64
NOISE = random.Random(1).randbytes(3 * 512)


class MemoryFile:
    """A file without a disk, changed in place and opened by path."""

    def __init__(self, content: bytes) -> None:
        self.fd = os.memfd_create("damaged")
        self.path = Path(f"/proc/self/fd/{self.fd}")
        os.pwrite(self.fd, content, 0)

    def close(self) -> None:
        os.close(self.fd)


@contextmanager
def memory_file(content: bytes) -> Iterator[MemoryFile]:
    file = MemoryFile(content)
    try:
        yield file
    finally:
        file.close()


@dataclass(frozen=True)
class Sample:
    """A file and its reader: read(file) returns everything the file says, or raises Corrupted.

    loose holds the bytes that nothing covers, by the reason."""

    name: str
    content: bytes
    read: Callable[[MemoryFile], object]
    loose: dict[str, list[range]]

    def loose_bytes(self) -> set[int]:
        return {at for ranges in self.loose.values() for one in ranges for at in one}


def read_wdiff(file: MemoryFile) -> object:
    with WdiffReader(file.path) as reader:
        records = [(record, reader.data(record) if record.kind == NORMAL else b"") for record in reader]
        return reader.header, records


def read_log_file(file: MemoryFile) -> object:
    reader = LogFileReader(io.BytesIO(os.pread(file.fd, 1 << 20, 0)))
    log = b"".join(bytes(chunk) for chunk in reader.chunks())
    header = reader.header
    # Without what padding and the rest of blocks hold: that is passed on as it comes.
    return header, list(parse_log(log, header.pbs, header.salt, header.begin_lsid))


def read_queue(file: MemoryFile) -> object:
    return decode_queue(os.pread(file.fd, 1 << 20, 0), "queue")


def super_sector() -> Sample:
    """A log device of pbs 512 with a ring of two blocks."""
    sector = SuperSector(512, SALT, UUID, "vol0", 2, 0, 1, 8192)
    content = bytes(4096) + sector.pack() + bytes(3 * 512)
    loose = {
        "reserved before the super sector": [range(4096)],
        "place of a second super sector, never read": [range(4608, 5120)],
        "the ring: covered by its packs": [range(5120, 6144)],
    }
    return Sample("super sector", content, lambda file: read_super_sector(file.fd), loose)


def log_file(pbs: int) -> Sample:
    """A pack with every kind of record, and the end block."""
    writer = PackWriter(pbs, SALT, 7, 3)
    writer.add(Write(100, 1, NOISE[:512]))
    writer.add(Write(2048, 100000, None))
    writer.add(Write(7, 3 * pbs // 512, (NOISE * 8)[: 3 * pbs]))
    assert [record.flags for record in writer.records] == [EXIST, EXIST | 4, EXIST | PADDING, EXIST]
    writer.close()
    [(lsid, head, data)] = writer.packs
    # Padding and the rest of a record's last block come with any content from a device.
    data = bytearray(data)
    data[512:pbs] = b"\xee" * (pbs - 512)
    data[pbs : 3 * pbs] = b"\xdd" * (2 * pbs)
    file = io.BytesIO()
    log = LogFileWriter(file, LogFileHeader(pbs, SALT, UUID, lsid))
    log.write(head + bytes(data))
    log.finish()
    content = file.getvalue()
    first, end = 4096 + pbs, len(content) - pbs
    loose = {
        "rest of the last block of a record": [range(first + 512, first + pbs)],
        "content of a padding": [range(first + pbs, first + 3 * pbs)],
        "checksum of the end block, which readers in use never compared": [range(end, end + 4)],
        "rest of the end block": [range(end + 20, end + pbs)],
    }
    return Sample(f"log file, pbs {pbs}", content, read_log_file, loose)


def sorted_wdiff() -> Sample:
    """Two packs with every kind of record."""
    records = [
        Stored(0, 1, NORMAL, 0, NOISE[:512]),
        Stored.of(Io(4, 3, NORMAL, TEXT)),
        Stored(9, 5, ZERO, 0, b""),
    ]
    content = sorted_file(UUID, records, per_pack=2)
    behind = len(content)
    return Sample(
        "sorted wdiff", content + b"\xff" * 16, read_wdiff, {"behind the end pack": [range(behind, behind + 16)]}
    )


def indexed_wdiff() -> Sample:
    """Every kind of record, an image with a hole, an image that nothing uses any more, padding."""
    path = Path(f"/proc/self/fd/{os.memfd_create('made')}")
    writes = [Write(20, 1, NOISE[:512]), Write(1, 3, TEXT), Write(2, 1, NOISE[512:1024]), Write(20, 2, None)]
    writer = PackWriter(512, SALT, 2**40, 0)
    for write in writes:
        writer.add(write)
    writer.close()
    convert(path, b"".join(head + data for _, head, data in writer.packs))
    content = path.read_bytes()
    os.close(int(path.name))
    index_offset = int.from_bytes(content[-24:-16], "little")
    with memory_file(content) as file, WdiffReader(file.path) as reader:
        used = max(record.stored_offset + record.stored_bytes for record in reader)
    loose = {"image without records": [range(32, 544)], "padding before the index": [range(used, index_offset)]}
    assert used < index_offset
    return Sample("indexed wdiff", content, read_wdiff, loose)


def queue_file() -> Sample:
    """Three records; the garbage of removed ones before them."""
    content = encode_queue([b"a" * 10, b"b" * 11, b"c" * 12], SALT)
    first, stub = 56, 56 + 3 * 16 + 33
    loose = {
        "copy 1 of the header: copy 2 takes its place": [range(28)],
        "copy 2 of the header: copy 1 comes first": [range(28, 56)],
        "distance of the first record, which has none before it": [range(first + 12, first + 16)],
        "checksum and size of the stub, which may be a removed record": [range(stub + 4, stub + 12)],
        "behind the stub": [range(stub + 16, len(content))],
    }
    return Sample("queue file", content, read_queue, loose)


SAMPLES = [super_sector(), log_file(512), log_file(4096), sorted_wdiff(), indexed_wdiff(), queue_file()]

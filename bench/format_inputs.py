"""Logs and diffs for the figures of the data formats."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

from bench.content import file_system_blocks
from walbd.model.compression import CompressOpt
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.merge import merge_to_file
from walbd.wdiff.sorted import log_to_sorted
from walbd.wlog.log_file import LogFileHeader, LogFileWriter
from walbd.wlog.pack import EXIST, LogRecord, build_pack
from walbd.wlog.super_sector import checksum

PBS = 512
SALT = 0x12345678
UUID = bytes(range(16))
VOLUME_LB = 4 << 21
RECORDS_PER_PACK = 15
IO_BYTES = [size << 10 for size in range(4, 33, 4)]


def chunks(kind: str, folder: Path, size_bytes: int) -> Iterator[bytes]:
    """The data of IOs of 4 to 32 KiB: incompressible, compressible (nearly all zero bytes) or of a file system."""
    pick = random.Random(7)
    source = file_system_blocks(folder, min(size_bytes, 64 << 20)) if kind == "file system blocks" else b""
    done = 0
    while done < size_bytes:
        size = pick.choice(IO_BYTES)
        if kind == "incompressible":
            yield os.urandom(size)
        elif kind == "compressible":
            yield bytes(size - 1) + b"\1"
        else:
            at = pick.randrange(0, len(source) - size, 4096)
            yield source[at : at + size]
        done += size


def write_log(path: Path, kind: str, size_bytes: int, seed: int = 8) -> Path:
    """A wlog file of random writes; the seed chooses their addresses."""
    pick, lsid = random.Random(seed), 0
    ios: list[tuple[LogRecord, bytes]] = []
    with open(path, "wb") as file:
        writer = LogFileWriter(file, LogFileHeader(PBS, SALT, UUID, 0, 2**64 - 1))

        def write_pack() -> int:
            pack = build_pack(lsid, [record for record, _ in ios], PBS)
            writer.write(pack.pack(PBS, SALT) + b"".join(data for _, data in ios))
            ios.clear()
            return pack.end_lsid

        for data in chunks(kind, path.parent, size_bytes):
            size_lb = len(data) // 512
            offset_lb = pick.randrange(0, VOLUME_LB, 8)
            ios.append((LogRecord(0, 1, offset_lb, size_lb, EXIST, checksum(data, SALT)), data))
            if len(ios) == RECORDS_PER_PACK:
                lsid = write_pack()
        if ios:
            lsid = write_pack()
        writer.finish()
    return path


def write_diffs(folder: Path, kind: str, count: int, size_bytes: int, compress: str) -> list[Path]:
    """Sorted diffs of logs of that size, stored with a codec."""
    paths = []
    for number in range(count):
        log = write_log(folder / "log", kind, size_bytes, number)
        plain, path = folder / "plain", folder / f"{number}.wdiff"
        with open(log, "rb", buffering=0) as stream, open(plain, "w+b") as out:
            log_to_sorted([stream], out.fileno(), LogOptions(folder=folder))
        with open(path, "w+b") as out:
            merge_to_file([plain], out.fileno(), CompressOpt.parse(compress))
        log.unlink()
        plain.unlink()
        paths.append(path)
    return paths

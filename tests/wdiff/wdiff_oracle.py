"""Wdiffs in plain Python, written from the format's description alone: what the native code must agree with."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cramjam

from tests.wlog.log_oracle import Write, csum, signed

LB = 512
NORMAL, ZERO, DISCARD = 0, 2, 4
NONE, SNAPPY = 0, 2
MAX_IO_LB = 2048
PACK_HEADER = 4096


@dataclass(frozen=True)
class Io:
    """A write (data), zeros or a discard."""

    address: int
    blocks: int
    kind: int
    data: bytes = b""

    @property
    def end(self) -> int:
        return self.address + self.blocks

    def part(self, begin: int, end: int) -> Io:
        data = self.data[(begin - self.address) * LB : (end - self.address) * LB]
        return Io(begin, end - begin, self.kind, data)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.address, self.blocks, self.kind


def io_of(write: Write) -> Io:
    """What a log record becomes (section 6.2)."""
    if write.data is None:
        return Io(write.offset_lb, write.size_lb, DISCARD)
    kind = NORMAL if any(write.data) else ZERO
    return Io(write.offset_lb, write.size_lb, kind, write.data if kind == NORMAL else b"")


def cut(io: Io, pieces: Iterable[Io]) -> list[Io]:
    """The parts of the pieces outside the io."""
    result = []
    for piece in pieces:
        if piece.end <= io.address or io.end <= piece.address:
            result.append(piece)
            continue
        if piece.address < io.address:
            result.append(piece.part(piece.address, io.address))
        if io.end < piece.end:
            result.append(piece.part(io.end, piece.end))
    return result


def normalised(ios: Iterable[Io], max_io_lb: int = MAX_IO_LB) -> list[Io]:
    """Sorted output of section 6.3; only normal IOs are cut to the limit."""
    pieces: list[Io] = []
    for io in ios:
        pieces = cut(io, pieces)
        step = max_io_lb if io.kind == NORMAL else io.blocks
        pieces += [io.part(at, min(at + step, io.end)) for at in range(io.address, io.end, step)]
    return sorted(pieces, key=lambda piece: piece.address)


def aligned(io: Io, max_io_lb: int = MAX_IO_LB) -> Iterator[Io]:
    """Aligned pieces of section 6.4."""
    at = io.address
    while at < io.end:
        size = max_io_lb if io.kind == NORMAL else 2**22
        while at % size or size > io.end - at:
            size //= 2
        yield io.part(at, at + size)
        at += size


def indexed(ios: Iterable[Io], max_io_lb: int = MAX_IO_LB) -> list[Io]:
    """Indexed output of section 6.4, IO by IO."""
    pieces: list[Io] = []
    for io in ios:
        kept = []
        for piece in pieces:
            parts = cut(io, [piece])
            kept += [piece] if parts == [piece] else [small for part in parts for small in aligned(part, max_io_lb)]
        pieces = kept + list(aligned(io, max_io_lb))
    return sorted(pieces, key=lambda piece: piece.address)


def header(kind: int, uuid: bytes) -> bytes:
    return signed(struct.pack("<IHBBII", 0, 2, kind, 0, 0, 0) + uuid, 0)


@dataclass(frozen=True)
class Stored:
    """A record as it is stored in a pack."""

    address: int
    blocks: int
    flags: int
    codec: int
    data: bytes
    checksum: int | None = None

    @classmethod
    def of(cls, io: Io) -> Stored:
        """Snappy, when that is smaller."""
        packed = bytes(cramjam.snappy.compress_raw(io.data)) if io.kind == NORMAL else b""
        small = io.kind == NORMAL and len(packed) < len(io.data)
        return cls(io.address, io.blocks, io.kind, SNAPPY if small else NONE, packed if small else io.data)

    def decoded(self) -> Io:
        data = bytes(cramjam.snappy.decompress_raw(self.data)) if self.codec == SNAPPY else self.data
        assert len(data) == (self.blocks * LB if self.flags == NORMAL else 0)
        return Io(self.address, self.blocks, self.flags, data)


def pack(records: list[Stored], flags: int = 0) -> bytes:
    """One pack; the fields are as given, right or wrong."""
    fixed, offset = b"", 0
    for r in records:
        checksum = csum(r.data, 0) if r.checksum is None else r.checksum
        fixed += struct.pack("<QIBBHIIII", r.address, r.blocks, r.flags, r.codec, 0, offset, len(r.data), checksum, 0)
        offset += len(r.data)
    block = struct.pack("<IHBBII", 0, len(records), flags, 0, offset, 0) + fixed
    return signed(block.ljust(PACK_HEADER, b"\0"), 0) + b"".join(r.data for r in records)


END_PACK = pack([], flags=1)


def sorted_file(uuid: bytes, records: list[Stored], per_pack: int = 127) -> bytes:
    packs = (pack(records[at : at + per_pack]) for at in range(0, len(records), per_pack))
    return header(0, uuid) + b"".join(packs) + END_PACK


def parse_packs(stream: bytes) -> list[list[Stored]]:
    """The records of packs back to back, checked."""
    packs, at = [], 0
    while at < len(stream):
        block = stream[at : at + PACK_HEADER]
        assert csum(block, 0) == 0
        _, count, flags, _, total, _ = struct.unpack_from("<IHBBII", block)
        assert count <= 127 and flags == 0
        data, offset, records = stream[at + PACK_HEADER : at + PACK_HEADER + total], 0, []
        for i in range(count):
            address, blocks, kind, codec, _, data_offset, size, checksum, _ = struct.unpack_from(
                "<QIBBHIIII", block, 16 + 32 * i
            )
            stored = data[offset : offset + size]
            assert data_offset == offset and csum(stored, 0) == checksum
            records.append(Stored(address, blocks, kind, codec, stored))
            offset += size
        assert offset == total == len(data)
        packs.append(records)
        at += PACK_HEADER + total
    return packs


def parse_stream(stream: bytes) -> list[Io]:
    """The decoded records of a stream of packs."""
    return [record.decoded() for records in parse_packs(stream) for record in records]

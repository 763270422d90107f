"""The blocks of a wdiff file as they are, damaged or not, for wdiff-show (wdiff-format.md sections 3 and 4).

Programs that use a diff read it through walbd.wdiff.reader, which refuses what this shows."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from walbd.model.compression import CompressionType
from walbd.model.error import Corrupted
from walbd.model.limits import MAX_WDIFF_RECORDS_PER_PACK
from walbd.wlog.super_sector import checksum

SORTED, INDEXED = 0, 1
FILE_HEADER = struct.Struct("<IHBBII16s")
PACK_HEADER_BYTES = 4096
_PACK = struct.Struct("<IHBBII")
_SORTED = struct.Struct("<QIBBHIII4x")
_INDEXED = struct.Struct("<QIBBHQIII4xII")
_SUPER = struct.Struct("<QIIII")
_END = 1
_ZERO, _DISCARD = 2, 4
_MAX_STORED_BYTES = 128 << 20
_INDEX_READ_RECORDS = 4096


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The first 32 bytes."""

    checksum: int
    version: int
    kind: int
    uuid: bytes


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """One record. `fields` are the columns behind its address and length, in the file's order; place is where its
    stored bytes lie."""

    address_lb: int
    blocks_lb: int
    is_zero: bool
    is_discard: bool
    codec: int
    fields: dict[str, int]
    place: int
    stored_bytes: int
    stored_checksum: int

    @property
    def flags(self) -> str:
        """Two characters."""
        return f"{'Z' if self.is_zero else '-'}{'D' if self.is_discard else '-'}"

    @property
    def codec_name(self) -> str:
        """The codec's name, or its number when it has none."""
        return str(CompressionType(self.codec)) if self.codec in CompressionType._value2member_map_ else str(self.codec)

    @property
    def is_valid(self) -> bool:
        """Whether the record makes sense by itself."""
        return not (self.is_zero and self.is_discard) and self.blocks_lb > 0 and self.codec <= CompressionType.ZSTD


@dataclass(slots=True)
class WdiffBlocks:
    """An open wdiff file, read block by block. data_bytes counts the bytes of all data areas passed."""

    fd: int
    header: FileHeader = field(init=False)
    data_bytes: int = 0

    def __post_init__(self) -> None:
        block = self._read(0, FILE_HEADER.size)
        csum, version, kind, _, _, _, uuid = FILE_HEADER.unpack(block)
        if checksum(block, 0) or version != 2 or kind not in (SORTED, INDEXED):
            raise Corrupted("offset 0: no header of a diff")
        self.header = FileHeader(csum, version, kind, uuid)

    def records(self) -> Iterator[ShownRecord]:
        """All records that can be found. Raises Corrupted where the file cannot be followed."""
        return self._sorted() if self.header.kind == SORTED else self._indexed()

    def data_checksum(self, record: ShownRecord) -> int:
        """That of the stored bytes of a record. Raises Corrupted."""
        if record.stored_bytes > _MAX_STORED_BYTES:
            raise Corrupted(f"record at block {record.address_lb}: {record.stored_bytes} stored bytes are too many")
        return checksum(self._read(record.place, record.stored_bytes), 0)

    def _sorted(self) -> Iterator[ShownRecord]:
        at = FILE_HEADER.size
        while True:
            block = self._read(at, PACK_HEADER_BYTES)
            _, count, flags, _, total, _ = _PACK.unpack_from(block)
            if checksum(block, 0):
                raise Corrupted(f"invalid pack: offset {at}: wrong checksum")
            if count > MAX_WDIFF_RECORDS_PER_PACK:
                raise Corrupted(f"invalid pack: offset {at}: {count} records")
            if flags & _END:
                return
            data_at = at + PACK_HEADER_BYTES
            for index in range(count):
                address, blocks, bits, codec, _, offset, size, csum = _SORTED.unpack_from(
                    block, _PACK.size + index * _SORTED.size
                )
                fields = {"data_offset": offset, "data_size": size, "checksum": csum}
                yield _shown(address, blocks, bits, codec, fields, data_at + offset, size, csum)
            self.data_bytes += total
            at = data_at + total

    def _indexed(self) -> Iterator[ShownRecord]:
        size = os.fstat(self.fd).st_size
        if size < FILE_HEADER.size + _SUPER.size:
            raise Corrupted(f"offset {size}: the file ends too early")
        super_at = size - _SUPER.size
        block = self._read(super_at, _SUPER.size)
        begin, count, _, _, _ = _SUPER.unpack(block)
        if checksum(block, 0) or begin + count * _INDEXED.size != super_at:
            raise Corrupted(f"offset {super_at}: no super block of an index")
        self.data_bytes += begin - FILE_HEADER.size
        for at in range(begin, super_at, _INDEX_READ_RECORDS * _INDEXED.size):
            part = self._read(at, min(_INDEX_READ_RECORDS * _INDEXED.size, super_at - at))
            for values in _INDEXED.iter_unpack(part):
                address, blocks, bits, codec, _, offset, stored, skip, image, csum, own = values
                fields = {
                    "data_offset": offset, "data_size": stored, "orig_blocks": image, "io_offset": skip,
                    "io_checksum": csum, "rec_checksum": own,
                }  # fmt: skip
                yield _shown(address, blocks, bits, codec, fields, offset, stored, csum)

    def _read(self, at: int, size: int) -> bytes:
        data = os.pread(self.fd, size, at)
        if len(data) < size:
            raise Corrupted(f"offset {at + len(data)}: the file ends too early")
        return data


def _shown(
    address: int, blocks: int, bits: int, codec: int, fields: dict[str, Any], place: int, stored: int, csum: int
) -> ShownRecord:
    return ShownRecord(
        address, blocks, bool(bits & _ZERO), bool(bits & _DISCARD), codec, fields, place, stored, csum
    )  # fmt: skip

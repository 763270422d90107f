"""Reading one wdiff file (wdiff-format.md sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from walbd._core import ffi, lib
from walbd.model.compression import CompressionType
from walbd.model.error import Corrupted
from walbd.model.limits import LB_BYTES
from walbd.wdiff.inputs import open_wdiff
from walbd.wdiff.native import error_of, new_failure


class WdiffKind(IntEnum):
    """The two formats."""

    SORTED = 0
    INDEXED = 1


class RecordKind(IntEnum):
    """What a record says about its range; the values are the stored flags."""

    NORMAL = 0
    ZERO = 2
    DISCARD = 4


@dataclass(frozen=True, slots=True)
class WdiffHeader:
    """File header: format and uuid (16 bytes, all-zero when unknown)."""

    kind: WdiffKind
    uuid: bytes


@dataclass(frozen=True, slots=True)
class WdiffRecord:
    """One record. Its data are `blocks_lb` blocks from block `image_skip_lb` of an image of `image_lb` blocks, stored
    in `stored_bytes` bytes at `stored_offset` of the file. Kinds without data have zeros there."""

    address_lb: int
    blocks_lb: int
    kind: RecordKind
    codec: CompressionType
    stored_offset: int
    stored_bytes: int
    checksum: int
    image_lb: int
    image_skip_lb: int


def wdiff_header(path: Path) -> WdiffHeader:
    """The file header alone. Raises NotFound, StorageFailure, Corrupted."""
    with open_wdiff(path) as file:
        block = file.read(lib.WALB_WDIFF_FILE_HEADER_BYTES)
    if len(block) < lib.WALB_WDIFF_FILE_HEADER_BYTES:
        raise Corrupted(f"{path}: offset {len(block)}: the file ends too early")
    failure = new_failure()
    kind = ffi.new("int *")
    uuid = bytearray(16)
    if lib.walb_wdiff_parse_header(block, kind, ffi.from_buffer(uuid), failure):
        raise error_of(failure, str(path))
    return WdiffHeader(WdiffKind(kind[0]), bytes(uuid))


def of_one_log(paths: Sequence[Path]) -> tuple[int, bytes]:
    """How many of the files, from the first on, come from one log generation, and the uuid of that. Only they can be
    merged. Raises as wdiff_header."""
    uuid = wdiff_header(paths[0]).uuid
    count = 1
    while count < len(paths) and wdiff_header(paths[count]).uuid == uuid:
        count += 1
    return count, uuid


class WdiffReader:
    """Iterates once over the records of a file, in address order, with every check of the format.

    Raises Corrupted naming file, offset and field; NotFound; StorageFailure. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        self._file = open_wdiff(path)
        self._failure = new_failure()
        self._state = ffi.new("walb_wdiff_reader *")
        self._check(lib.walb_wdiff_open(self._state, self._file.fileno(), self._failure))
        self.header = WdiffHeader(WdiffKind(self._state.kind), bytes(self._state.uuid))

    def __iter__(self) -> Iterator[WdiffRecord]:
        raw = ffi.new("walb_wdiff_record *")
        while self._check(lib.walb_wdiff_next(self._state, raw, self._failure)):
            yield WdiffRecord(
                raw.address_lb,
                raw.blocks_lb,
                RecordKind(raw.kind),
                CompressionType(raw.codec),
                raw.stored_offset,
                raw.stored_bytes,
                raw.checksum,
                raw.image_lb,
                raw.image_skip_lb,
            )

    def data(self, record: WdiffRecord) -> bytes:
        """The decoded bytes of a normal record of this file, verified."""
        raw = ffi.new("walb_wdiff_record *", self._raw(record))
        stored = bytearray(record.stored_bytes)
        image = bytearray(record.image_lb * LB_BYTES)
        self._check(lib.walb_wdiff_load(self._state, raw, ffi.from_buffer(stored), self._failure))
        self._check(lib.walb_wdiff_decode(raw, ffi.from_buffer(stored), ffi.from_buffer(image), self._failure))
        begin = record.image_skip_lb * LB_BYTES
        return bytes(memoryview(image)[begin : begin + record.blocks_lb * LB_BYTES])

    @staticmethod
    def _raw(record: WdiffRecord) -> dict[str, Any]:
        return {name: getattr(record, name) for name in WdiffRecord.__slots__}

    def _check(self, result: int) -> int:
        if result < 0:
            raise error_of(self._failure, self._name)
        return result

    def __enter__(self) -> WdiffReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

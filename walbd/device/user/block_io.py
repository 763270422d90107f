"""Writes on their way: a request of a client and the log records (pieces) it becomes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from walbd._core import ffi
from walbd.device.user.chunk import Chunk
from walbd.model.limits import LB_BYTES

Done = Callable[[int], None]
NATIVE = struct.Struct("=QQIHHQQ")  # walb_log_write of native/wlog_build.h
# A record of 1 MiB keeps packs small for readers of the log; what comes in one request is split.
MAX_RECORD_LB = 2048
MAX_DISCARD_LB = 2**32 - 1
PIECE_BYTES = 512  # what the object itself takes, roughly
_zeros = bytes(MAX_RECORD_LB * LB_BYTES)
_ZEROS_ADDRESS = int(ffi.cast("uintptr_t", ffi.from_buffer(_zeros)))
_ZEROS_VIEW = memoryview(_zeros)


class Piece:
    """One log record: a normal write, or (`data` None) a discard. `done` belongs to the last piece of a request and is
    called with an NBD error number, 0 when the write is in the log and, with is_fua, durable there."""

    __slots__ = ("chunk", "data", "done", "is_fua", "native", "offset_lb", "order", "size_lb")

    def __init__(
        self, offset_lb: int, size_lb: int, data: memoryview | None, address: int, chunk: Chunk | None = None
    ) -> None:
        self.offset_lb = offset_lb
        self.size_lb = size_lb
        self.data = data
        self.chunk = chunk
        self.native = NATIVE.pack(offset_lb, address, size_lb, data is None, 0, 0, 0)
        self.done: Done | None = None
        self.is_fua = False
        self.order = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of memory the piece keeps in use."""
        return PIECE_BYTES + (self.size_lb * LB_BYTES if self.chunk is not None else 0)


def write_pieces(offset_bytes: int, chunk: Chunk, begin: int, end: int, max_record_lb: int) -> Iterator[Piece]:
    """The data at begin..end of a chunk, written to offset_bytes."""
    for offset_lb, size_lb in _split(offset_bytes, end - begin, max_record_lb):
        at = begin + offset_lb * LB_BYTES - offset_bytes
        chunk.pin()
        yield Piece(offset_lb, size_lb, chunk.view[at : at + size_lb * LB_BYTES], chunk.address + at, chunk)


def zero_pieces(offset_bytes: int, size_bytes: int, max_record_lb: int) -> Iterator[Piece]:
    """Zeros as ordinary writes (wdev.md section 15.1: never a discard)."""
    for offset_lb, size_lb in _split(offset_bytes, size_bytes, max_record_lb):
        yield Piece(offset_lb, size_lb, _ZEROS_VIEW[: size_lb * LB_BYTES], _ZEROS_ADDRESS)


def discard_pieces(offset_bytes: int, size_bytes: int) -> Iterator[Piece]:
    """A discard; the range reads as zeros afterwards."""
    for offset_lb, size_lb in _split(offset_bytes, size_bytes, MAX_DISCARD_LB):
        yield Piece(offset_lb, size_lb, None, 0)


def _split(offset_bytes: int, size_bytes: int, max_lb: int) -> Iterator[tuple[int, int]]:
    offset_lb, end_lb = offset_bytes // LB_BYTES, (offset_bytes + size_bytes) // LB_BYTES
    while offset_lb < end_lb:
        size_lb = min(max_lb, end_lb - offset_lb)
        yield offset_lb, size_lb
        offset_lb += size_lb

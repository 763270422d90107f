"""Writes on their way: requests of a client as the log records they become."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from walbd._core import ffi, lib
from walbd.device.user.chunk import Chunk
from walbd.model.limits import LB_BYTES

Done = Callable[[int], None]
NATIVE = struct.Struct("=QQIHHQQ")  # walb_log_write of native/wlog_build.h
# A record of 1 MiB keeps packs small for readers of the log; what comes in one request is split.
MAX_RECORD_LB = 2048
MAX_DISCARD_LB = 2**32 - 1
MAX_REQUESTS_TOGETHER = 64
RECORD_BYTES = 512  # what a record takes beside its data, roughly
_zeros = bytes(MAX_RECORD_LB * LB_BYTES)
_ZEROS_ADDRESS = int(ffi.cast("uintptr_t", ffi.from_buffer(_zeros)))


class Writes:
    """Log records that are acknowledged together: those of one request, or of several that came together.

    `native` holds their walb_log_write structures, `count` is how many, `log_bytes` the size of their data. `chunk`
    (pinned) keeps the data, None when they need no memory. `done` is called with an NBD error number, 0 when they are
    in the log and, with is_fua, durable there; None in what was split off."""

    __slots__ = ("chunk", "count", "done", "is_fua", "log_bytes", "native")

    def __init__(
        self, native: bytes, log_bytes: int, chunk: Chunk | None, is_fua: bool = False, done: Done | None = None
    ) -> None:
        self.native = native
        self.count = len(native) // NATIVE.size
        self.log_bytes = log_bytes
        self.chunk = chunk
        self.is_fua = is_fua
        self.done = done

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory kept in use."""
        return self.count * RECORD_BYTES + (self.log_bytes if self.chunk is not None else 0)

    def split(self, count: int) -> Writes:
        """Takes the first records away: they are returned, to be acknowledged with the rest."""
        border = count * NATIVE.size
        front = Writes(self.native[:border], _log_bytes(self.native[:border]), self.chunk, self.is_fua)
        self.native, self.count = self.native[border:], self.count - count
        self.log_bytes -= front.log_bytes
        if self.chunk is not None:
            self.chunk.pin()
        return front


def _log_bytes(native: bytes) -> int:
    return sum(
        size_lb * LB_BYTES for _, _, size_lb, is_discard, _, _, _ in NATIVE.iter_unpack(native) if not is_discard
    )


def data_writes(offset_bytes: int, chunk: Chunk, begin: int, end: int, max_record_lb: int) -> Writes:
    """The data at begin..end of a chunk, written to offset_bytes."""
    address = chunk.address + begin - offset_bytes
    records = (
        NATIVE.pack(offset_lb, address + offset_lb * LB_BYTES, size_lb, False, 0, 0, 0)
        for offset_lb, size_lb in _split(offset_bytes, end - begin, max_record_lb)
    )
    chunk.pin()
    return Writes(b"".join(records), end - begin, chunk)


def zero_writes(offset_bytes: int, size_bytes: int, max_record_lb: int) -> Writes:
    """Zeros as ordinary writes (wdev.md section 15.1: never a discard)."""
    records = (
        NATIVE.pack(offset_lb, _ZEROS_ADDRESS, size_lb, False, 0, 0, 0)
        for offset_lb, size_lb in _split(offset_bytes, size_bytes, max_record_lb)
    )
    return Writes(b"".join(records), size_bytes, None)


def discard_writes(offset_bytes: int, size_bytes: int) -> Writes:
    """A discard; the range reads as zeros afterwards."""
    records = (
        NATIVE.pack(offset_lb, 0, size_lb, True, 0, 0, 0)
        for offset_lb, size_lb in _split(offset_bytes, size_bytes, MAX_DISCARD_LB)
    )
    return Writes(b"".join(records), 0, None)


def _split(offset_bytes: int, size_bytes: int, max_lb: int) -> Iterator[tuple[int, int]]:
    offset_lb, end_lb = offset_bytes // LB_BYTES, (offset_bytes + size_bytes) // LB_BYTES
    while offset_lb < end_lb:
        size_lb = min(max_lb, end_lb - offset_lb)
        yield offset_lb, size_lb
        offset_lb += size_lb


class WriteTaker:
    """Turns the ordinary writes among received bytes into Writes, many with one call."""

    def __init__(self) -> None:
        self._native = ffi.new("walb_log_write[]", MAX_REQUESTS_TOGETHER)
        self._replies = ffi.new("uint8_t[]", MAX_REQUESTS_TOGETHER * lib.WALB_NBD_REPLY_BYTES)
        self._taken = ffi.new("walb_nbd_taken *")

    def take(
        self, chunk: Chunk, begin: int, end: int, device_bytes: int, max_record_lb: int, max_requests: int
    ) -> tuple[Writes, bytes, int] | None:
        """The writes at begin of the chunk, one behind the other, their replies in case of success, and how many bytes
        they take; None when what is there is not a complete, allowed write of a single log record."""
        taken = self._taken
        received = ffi.cast("const uint8_t *", chunk.address + begin)
        max_writes = min(max_requests, MAX_REQUESTS_TOGETHER)
        lib.walb_nbd_take_writes(
            device_bytes, max_record_lb, received, end - begin, self._native, self._replies, max_writes, taken
        )
        count = taken.n_writes
        if not count:
            return None
        chunk.pin()
        native = ffi.buffer(self._native, count * NATIVE.size)[:]
        replies = ffi.buffer(self._replies, count * lib.WALB_NBD_REPLY_BYTES)[:]
        return Writes(native, taken.log_bytes, chunk, bool(taken.is_fua)), replies, taken.request_bytes

"""One DATA frame of an image stream, without I/O: several bulks with a table before them.

    offset  size  field
    0       8     offset of the chunk in the image, bytes
    8       4     length of the chunk in the image, bytes
    12      4     n, number of bulks: length / bulk size, rounded up
    16      4*n   stored length of each bulk: 0 all zeros; its full length: as it is; less: compressed
    16+4n         the stored bulks, end to end

Integers are little endian. Bulks have the agreed size, the last one of a chunk may be shorter.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Protocol

from walbd._core import ffi, lib
from walbd.model.error import Corrupted
from walbd.model.limits import LB_BYTES
from walbd.net.data_buffer import DataBuffer, first_page
from walbd.net.stream import CHUNK_BYTES

_HEAD = struct.Struct("<QII")

# The compressed form, or None when it is not smaller.
Compress = Callable[[memoryview], bytes | None]
# The original of a compressed bulk of that many bytes; raises Corrupted.
Decompress = Callable[[memoryview, int], bytes]
# Fills the memory with the content of the image from that offset (bytes) on.
ReadAt = Callable[[int, memoryview], None]


class ImageSink(Protocol):
    """Where an image goes; called in threads, one call at a time, in order of offsets. Offsets and lengths in bytes."""

    def write(self, offset: int, data: memoryview) -> None:
        """Writes data, which is valid only during the call."""

    def zeros(self, offset: int, length: int) -> None:
        """Makes a range read as zeros."""


def chunk_bytes(bulk_bytes: int) -> int:
    """Length of a chunk in the image: as many whole bulks as fit CHUNK_BYTES, one at least."""
    return max(CHUNK_BYTES // bulk_bytes, 1) * bulk_bytes


def table_bytes(count: int) -> int:
    """Length of the table of so many bulks."""
    return _HEAD.size + 4 * count


def new_buffer(bulk_bytes: int) -> DataBuffer:
    """A buffer for chunks of bulks of that size."""
    length = chunk_bytes(bulk_bytes)
    return DataBuffer(length, table_bytes(length // bulk_bytes))


def data_place(buffer: DataBuffer, length: int, bulk_bytes: int) -> memoryview:
    """Where the raw data of a chunk of `length` bytes goes before `pack`; begins at a page border."""
    start = first_page(table_bytes(-(-length // bulk_bytes)))
    return buffer.memory[start : start + length]


def pack(buffer: DataBuffer, offset: int, length: int, bulk_bytes: int, compress: Compress | None) -> None:
    """Turns the raw data at `data_place` into the payload, in place: nothing stored needs more room than it had."""
    memory = buffer.memory
    count = -(-length // bulk_bytes)
    data_start = first_page(table_bytes(count))
    sizes = []
    write_at = data_start
    for at in range(data_start, data_start + length, bulk_bytes):
        bulk = memory[at : min(at + bulk_bytes, data_start + length)]
        if is_zero(bulk):
            sizes.append(0)
            continue
        stored = compress(bulk) if compress else None
        size = len(bulk) if stored is None or len(stored) >= len(bulk) else len(stored)
        if size < len(bulk) and stored is not None:
            memory[write_at : write_at + size] = stored
        elif write_at != at:
            memory[write_at : write_at + size] = bulk
        sizes.append(size)
        write_at += size
    buffer.start = data_start - table_bytes(count)
    buffer.end = write_at
    _HEAD.pack_into(memory, buffer.start, offset, length, count)
    struct.pack_into(f"<{count}I", memory, buffer.start + _HEAD.size, *sizes)


def filler(
    size_bytes: int, bulk_bytes: int, read_at: ReadAt, compress: Compress | None, begin_bytes: int = 0
) -> Callable[[DataBuffer, int], int]:
    """What makes the chunk of a number, counted from begin_bytes on, of an image of that size; returns its length, 0
    behind the end (stream.Fill)."""
    chunk = chunk_bytes(bulk_bytes)

    def fill(buffer: DataBuffer, number: int) -> int:
        offset = begin_bytes + number * chunk
        length = min(chunk, size_bytes - offset)
        if length <= 0:
            return 0
        read_at(offset, data_place(buffer, length, bulk_bytes))
        pack(buffer, offset, length, bulk_bytes, compress)
        return length

    return fill


def is_zero(data: memoryview) -> bool:
    """Whether all bytes are zero."""
    return bool(lib.walb_is_zero(ffi.from_buffer(data), len(data)))


class ChunkReader:
    """Checks the chunks of one image as they come, in order and without gaps; everything wrong raises Corrupted."""

    def __init__(
        self, size_bytes: int, bulk_bytes: int, decompress: Decompress | None, what: str, begin_bytes: int = 0
    ) -> None:
        self._size_bytes = size_bytes
        self._bulk_bytes = bulk_bytes
        self._decompress = decompress
        self._what = what
        self._position = begin_bytes

    def finish(self) -> None:
        """Raises Corrupted when the image is not complete."""
        if self._position != self._size_bytes:
            raise Corrupted(f"{self._what}: image ends at {self._position} of {self._size_bytes} bytes")

    def feed(self, sink: ImageSink, payload: memoryview) -> int:
        """Hands the content of a chunk to a sink; returns its length in the image."""
        total = 0
        for offset, length, data in self.runs(payload):
            if data is None:
                sink.zeros(offset, length)
            else:
                sink.write(offset, data)
            total += length
        return total

    def runs(self, payload: memoryview) -> Iterator[tuple[int, int, memoryview | None]]:
        """The content of a chunk: (offset in the image, length, data or None for zeros), as long as possible."""
        length, sizes, at = self._check(payload)
        offset, end = self._position, self._position + length
        raw_start = raw_length = zeros = 0

        for size in sizes:
            bulk = min(self._bulk_bytes, end - offset)
            if raw_length and size != bulk:
                yield offset - raw_length, raw_length, payload[raw_start : raw_start + raw_length]
                raw_length = 0
            if zeros and size:
                yield offset - zeros, zeros, None
                zeros = 0
            if size == 0:
                zeros += bulk
            elif size == bulk:
                raw_start = raw_start if raw_length else at
                raw_length += bulk
            else:
                yield offset, bulk, self._restore(payload[at : at + size], bulk)
            at += size
            offset += bulk
        if raw_length:
            yield offset - raw_length, raw_length, payload[raw_start : raw_start + raw_length]
        if zeros:
            yield offset - zeros, zeros, None
        self._position = end

    def _check(self, payload: memoryview) -> tuple[int, tuple[int, ...], int]:
        """Length in the image, stored sizes, and where the stored bulks begin in the payload."""
        if len(payload) < _HEAD.size:
            raise Corrupted(f"{self._what}: image chunk of {len(payload)} bytes")
        offset, length, count = _HEAD.unpack_from(payload)
        if offset != self._position:
            raise Corrupted(f"{self._what}: image chunk for offset {offset} where {self._position} is next")
        if not 0 < length <= min(chunk_bytes(self._bulk_bytes), self._size_bytes - offset) or length % LB_BYTES:
            raise Corrupted(f"{self._what}: image chunk of bad length {length} at {offset}")
        if count != -(-length // self._bulk_bytes) or len(payload) < table_bytes(count):
            raise Corrupted(f"{self._what}: image chunk with {count} bulks for {length} bytes at {offset}")
        sizes = struct.unpack_from(f"<{count}I", payload, _HEAD.size)
        last = length - (count - 1) * self._bulk_bytes
        if sizes[-1] > last or max(sizes) > self._bulk_bytes or table_bytes(count) + sum(sizes) != len(payload):
            raise Corrupted(f"{self._what}: image chunk with bad stored lengths at {offset}")
        return length, sizes, table_bytes(count)

    def _restore(self, stored: memoryview, size: int) -> memoryview:
        if self._decompress is None:
            raise Corrupted(f"{self._what}: compressed bulk, but no compression was agreed")
        data = self._decompress(stored, size)
        if len(data) != size:
            raise Corrupted(f"{self._what}: bulk of {len(data)} bytes instead of {size}")
        return memoryview(data)

"""Comparing two images by the hashes of their bulks (docs/protocol.md, "Hash exchange"; wdiff-format.md 10.2, 11.2).

    older image: DATA (hashes) ... END        newer image: DATA (position, packs) ... END      at the same time
    older image: ACK when the differences are durable

Both sides cut the image into the same units of a few MiB. One DATA frame of hashes is for several units; one of the
other direction tells how far the images are compared and holds the bulks of one unit that differ, as wdiff packs. The
hashes run at most WINDOW_UNITS ahead of the comparison. They are BLAKE3 with a key that the newer side draws for the
occasion, so that nobody can prepare two bulks that count as equal.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from walbd.model.compression import CompressOpt
from walbd.model.error import Corrupted, PeerUnreachable, ProtocolViolation
from walbd.model.limits import LB_BYTES
from walbd.net.connection import Connection
from walbd.net.data_buffer import DataBuffer, first_page
from walbd.net.frame import Frame, FrameType
from walbd.net.image_chunk import ReadAt
from walbd.net.stream import Hooks, Pause, Read, acknowledged, receive_data, send_data
from walbd.wdiff.bulks import bulks_room, pack_bulks
from walbd.wdiff.hashes import DIGEST_BYTES, blake3_128

# The packs of a unit fit a frame: eight headers at the most when bulks are small.
UNIT_BYTES = 4 << 20
MAX_UNIT_BULKS = 8 * 127
# Units whose hashes one frame holds, and how often the newer side tells its position without anything to send.
FRAME_UNITS = 2
WINDOW_UNITS = 32
# Units compared side by side, whatever `-sync-cmpr` asks for: each takes a buffer and a thread.
MIN_THREADS, MAX_THREADS = 2, 8
_OFFSET = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Shape:
    """How an image is cut: bulks of bulk_bytes, the last may be short, and units of several bulks."""

    size_bytes: int
    bulk_bytes: int

    @property
    def unit_bytes(self) -> int:
        return max(1, min(UNIT_BYTES // self.bulk_bytes, MAX_UNIT_BULKS)) * self.bulk_bytes

    @property
    def n_units(self) -> int:
        return -(-self.size_bytes // self.unit_bytes)

    def length(self, offset: int, units: int = 1) -> int:
        """Bytes of so many units from an offset on, fewer at the end of the image."""
        return min(units * self.unit_bytes, self.size_bytes - offset)

    def n_bulks(self, length: int) -> int:
        """Bulks that so many bytes from the beginning of one are."""
        return -(-length // self.bulk_bytes)


class _Hashes:
    """The hashes of the older image as they come, kept until their unit is compared."""

    def __init__(self, connection: Connection, shape: Shape) -> None:
        self._connection = connection
        self._shape = shape
        self._units: dict[int, memoryview] = {}
        self._position = 0
        self._is_ended = False
        self._changed = asyncio.Event()

    async def receive(self) -> Frame:
        """Receives all hashes and then the ACK."""
        try:
            while (await self._take()).type is FrameType.DATA:
                self._changed.set()
        finally:
            self._is_ended = True
            self._changed.set()
        return await self._connection.recv(FrameType.ACK)

    async def _take(self) -> Frame:
        frame = await self._connection.recv(FrameType.DATA, FrameType.END)
        shape, position = self._shape, self._position
        if frame.type is FrameType.END:
            if position != shape.size_bytes:
                self._violated(f"hashes end at {position} of {shape.size_bytes} bytes")
            return frame
        payload = frame.payload
        length = shape.length(position, FRAME_UNITS)
        if len(payload) != _OFFSET.size + shape.n_bulks(length) * DIGEST_BYTES or length <= 0:
            self._violated(f"{len(payload)} bytes of hashes at {position}")
        if _OFFSET.unpack_from(payload)[0] != position:
            self._violated(f"hashes for offset {_OFFSET.unpack_from(payload)[0]} where {position} is next")
        if len(self._units) > WINDOW_UNITS + FRAME_UNITS:
            self._violated(f"hashes run more than {WINDOW_UNITS} units ahead")
        # The receiver's memory is used again for the next frame.
        hashes = memoryview(bytes(payload[_OFFSET.size :]))
        first, per_unit = position // shape.unit_bytes, shape.unit_bytes // shape.bulk_bytes * DIGEST_BYTES
        for number, at in enumerate(range(0, len(hashes), per_unit), first):
            self._units[number] = hashes[at : at + per_unit]
        self._position += length
        return frame

    def _violated(self, what: str) -> NoReturn:
        raise ProtocolViolation(f"{self._connection}: {what}")

    def ready(self, number: int) -> Pause:
        """Ends when the hashes of a unit are there, or there is no such unit."""
        return None if self._has(number) else self._wait_for(number)

    def _has(self, number: int) -> bool:
        return number in self._units or number >= self._shape.n_units

    async def _wait_for(self, number: int) -> None:
        while not self._has(number):
            if self._is_ended:
                raise PeerUnreachable(f"{self._connection} sends no more hashes")
            self._changed.clear()
            await self._changed.wait()

    def pop(self, number: int) -> memoryview:
        return self._units.pop(number)


class _Comparer:
    """Reads units of the newer image and packs what differs."""

    def __init__(self, shape: Shape, hashes: _Hashes, read_at: ReadAt, compress: CompressOpt, key: bytes) -> None:
        self._shape = shape
        self._hashes = hashes
        self._read_at = read_at
        self._compress = compress
        self._key = key

    def new_buffer(self) -> DataBuffer:
        """Room for the packs of a unit, and behind them for its content."""
        unit = self._shape.unit_bytes
        return DataBuffer(bulks_room(self._shape.n_bulks(unit), self._shape.bulk_bytes) + unit, _OFFSET.size)

    def fill(self, buffer: DataBuffer, number: int) -> int:
        """Compares a unit; the frame is left out when nothing differs, but for the position now and then."""
        shape, bulk = self._shape, self._shape.bulk_bytes
        offset = number * shape.unit_bytes
        length = shape.length(offset)
        if length <= 0:
            return 0
        content = buffer.memory[len(buffer.memory) - shape.unit_bytes :]
        hashes = self._hashes.pop(number)
        different: list[int] = []
        for i, at in enumerate(range(0, length, bulk)):
            # Only what differs stays: mostly the same memory is filled again, while the processor's cache holds it.
            begin = len(different) * bulk
            piece = content[begin : begin + min(bulk, length - at)]
            self._read_at(offset + at, piece)
            if blake3_128(piece, self._key) != hashes[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES]:
                different.append(i)
        start = first_page(_OFFSET.size)
        room = buffer.memory[start : len(buffer.memory) - shape.unit_bytes]
        packed = 0
        if different:
            packed = pack_bulks(content, offset // LB_BYTES, length, bulk, different, self._compress, room)
        end = offset + length
        is_told = packed or (number + 1) % FRAME_UNITS == 0 or end == shape.size_bytes
        buffer.start = start - _OFFSET.size if is_told else start
        buffer.end = start + packed
        _OFFSET.pack_into(buffer.memory, start - _OFFSET.size, end)
        return length


async def send_differences(
    connection: Connection,
    shape: Shape,
    key: bytes,
    read_at: ReadAt,
    compress: CompressOpt,
    hooks: Hooks,
    *,
    is_sequential: bool = False,
) -> None:
    """The side of the newer image. Returns when the other side has all differences on disk. read_at is called by
    several threads at a time, unless is_sequential: then in order of offsets. Progress counts bytes compared. Raises
    Refused with the other side's reason."""
    hashes = _Hashes(connection, shape)
    comparer = _Comparer(shape, hashes, read_at, compress, key)
    threads = 1 if is_sequential else max(MIN_THREADS, min(compress.threads, MAX_THREADS))
    async with acknowledged(connection, hashes.receive()) as ack:
        buffers = [comparer.new_buffer() for _ in range(threads + 1)]
        await send_data(connection, ack, comparer.fill, buffers, hooks, hashes.ready)
        await connection.send(FrameType.END)


class _Differences:
    """Checks the frames of the newer side and passes their packs on."""

    def __init__(self, shape: Shape, feed: Callable[[memoryview], object], what: str) -> None:
        self._shape = shape
        self._feed = feed
        self._what = what
        self.hashed_bytes = 0
        self.compared_bytes = 0

    def consume(self, payload: memoryview) -> int:
        """Takes a frame, in a thread; returns how many bytes were compared since the last one."""
        if len(payload) < _OFFSET.size:
            raise Corrupted(f"{self._what}: frame of {len(payload)} bytes")
        position = _OFFSET.unpack_from(payload)[0]
        before, self.compared_bytes = self.compared_bytes, position
        if not before < position <= self.hashed_bytes:
            raise Corrupted(f"{self._what}: position {position} after {before}, hashed {self.hashed_bytes}")
        if len(payload) > _OFFSET.size:
            self._feed(payload[_OFFSET.size :])
        return int(position - before)

    def finish(self) -> None:
        """Raises Corrupted when not all was compared."""
        if self.compared_bytes != self._shape.size_bytes:
            raise Corrupted(f"{self._what}: ends at {self.compared_bytes} of {self._shape.size_bytes} bytes")


async def receive_differences(
    connection: Connection,
    shape: Shape,
    key: bytes,
    read: Read,
    feed: Callable[[memoryview], object],
    hooks: Hooks,
) -> None:
    """The side of the older image: `read` gives it in sequence, `feed` takes the packs of what differs, in order of
    addresses; both are called in threads. Send ACK when they are durable. Progress counts bytes compared."""
    differences = _Differences(shape, feed, f"differences from {connection}")
    moved = asyncio.Event()

    def progress(done: int) -> None:
        moved.set()
        hooks.progress(done)

    def is_full() -> bool:
        return differences.hashed_bytes - differences.compared_bytes > WINDOW_UNITS * shape.unit_bytes

    async def wait_for_room() -> None:
        while is_full():
            moved.clear()
            await moved.wait()

    def keep_window(_: int) -> Pause:
        return wait_for_room() if is_full() else None

    def fill(buffer: DataBuffer, _: int) -> int:
        return _fill_hashes(buffer, differences, shape, key, read)

    room = FRAME_UNITS * shape.n_bulks(shape.unit_bytes) * DIGEST_BYTES
    # Two: the image is read in sequence, one piece while the last one is being sent.
    buffers = [DataBuffer(room, _OFFSET.size) for _ in range(2)]
    receiving = receive_data(connection, differences.consume, Hooks(progress, hooks.cancelled))
    async with acknowledged(connection, receiving) as ended:
        await send_data(connection, ended, fill, buffers, Hooks(cancelled=hooks.cancelled, pace=keep_window))
        await connection.send(FrameType.END)
    differences.finish()


def _fill_hashes(buffer: DataBuffer, differences: _Differences, shape: Shape, key: bytes, read: Read) -> int:
    """The hashes of the next units, in a thread; the older image is read bulk by bulk so that it stays in the cache."""
    offset = differences.hashed_bytes
    length = shape.length(offset, FRAME_UNITS)
    if length <= 0:
        return 0
    bulk = memoryview(bytearray(min(shape.bulk_bytes, length)))
    start = at = first_page(_OFFSET.size)
    for done in range(0, length, shape.bulk_bytes):
        piece = bulk[: min(shape.bulk_bytes, length - done)]
        if read(piece) != len(piece):
            raise Corrupted(f"image ends before {offset + done + len(piece)} of {shape.size_bytes} bytes")
        buffer.memory[at : at + DIGEST_BYTES] = blake3_128(piece, key)
        at += DIGEST_BYTES
    buffer.start, buffer.end = start - _OFFSET.size, at
    _OFFSET.pack_into(buffer.memory, buffer.start, offset)
    differences.hashed_bytes = offset + length
    return length

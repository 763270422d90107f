"""Comparing two images by the hashes of their bulks (docs/protocol.md, "Hash exchange"; wdiff-format.md 10.2, 11.2).

    older image: DATA (hashes) ... END        newer image: DATA (position, packs) ... END      at the same time
    older image: ACK when the differences are durable

Both sides cut the image into the same units of a few MiB. One DATA frame of hashes is for several units; one of the
other direction tells how far the images are compared and holds the bulks of one unit that differ, as wdiff packs. The
hashes run at most WINDOW_UNITS ahead of the comparison. They are BLAKE3 with a key that the newer side draws for the
occasion, so that nobody can prepare two bulks that count as equal.

Changing between threads and the loop costs more than hashing a unit's worth of bulks may take, so a thread is given
several units at a time, whose frames are sent at once.
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
from walbd.net.data_buffer import DataBuffer
from walbd.net.frame import HEADER_BYTES, Frame, FrameType
from walbd.net.image_chunk import ReadAt
from walbd.net.stream import Hooks, Pause, Read, acknowledged, receive_data, send_data
from walbd.wdiff.bulks import bulks_room, pack_bulks
from walbd.wdiff.hashes import DIGEST_BYTES, blake3_chunks

# The packs of a unit fit a frame: eight headers at the most when bulks are small.
UNIT_BYTES = 4 << 20
MAX_UNIT_BULKS = 8 * 127
# Units whose hashes one frame holds, and after which the newer side tells its position: what a thread compares at once.
FRAME_UNITS = 2
# Frames of hashes that a thread makes at once.
STEP_FRAMES = 4
WINDOW_UNITS = 32
# Read at once and hashed: the processor's cache holds it meanwhile.
READ_BYTES = 256 << 10
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
    def n_frames(self) -> int:
        return -(-self.size_bytes // (FRAME_UNITS * self.unit_bytes))

    @property
    def read_bytes(self) -> int:
        """How much is read at once: whole bulks."""
        return max(1, READ_BYTES // self.bulk_bytes) * self.bulk_bytes

    def length(self, offset: int, units: int = 1) -> int:
        """Bytes of so many units from an offset on, fewer at the end of the image."""
        return min(units * self.unit_bytes, self.size_bytes - offset)

    def n_bulks(self, length: int) -> int:
        """Bulks that so many bytes from the beginning of one are."""
        return -(-length // self.bulk_bytes)


class _Hashes:
    """The hashes of the older image as they come, a frame at a time, kept until its units are compared."""

    def __init__(self, connection: Connection, shape: Shape) -> None:
        self._connection = connection
        self._shape = shape
        self._frames: dict[int, memoryview] = {}
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
        if len(self._frames) * FRAME_UNITS > WINDOW_UNITS + FRAME_UNITS:
            self._violated(f"hashes run more than {WINDOW_UNITS} units ahead")
        # The receiver's memory is used again for the next frame.
        hashes = memoryview(bytes(payload[_OFFSET.size :]))
        self._frames[position // (FRAME_UNITS * shape.unit_bytes)] = hashes
        self._position += length
        return frame

    def _violated(self, what: str) -> NoReturn:
        raise ProtocolViolation(f"{self._connection}: {what}")

    def ready(self, number: int) -> Pause:
        """Ends when the hashes of that frame are there, or there is no such frame."""
        return None if self._has(number) else self._wait_for(number)

    def _has(self, number: int) -> bool:
        return number in self._frames or number >= self._shape.n_frames

    async def _wait_for(self, number: int) -> None:
        while not self._has(number):
            if self._is_ended:
                raise PeerUnreachable(f"{self._connection} sends no more hashes")
            self._changed.clear()
            await self._changed.wait()

    def pop(self, number: int) -> memoryview:
        return self._frames.pop(number)


class _Comparer:
    """Reads the units of the newer image that one frame of hashes is for, and packs what differs."""

    def __init__(self, shape: Shape, hashes: _Hashes, read_at: ReadAt, compress: CompressOpt, key: bytes) -> None:
        self._shape = shape
        self._hashes = hashes
        self._read_at = read_at
        self._compress = compress
        self._key = key

    def new_buffer(self) -> DataBuffer:
        """Room for the frames of the units, and behind them for the content of one."""
        unit = self._shape.unit_bytes
        packs = bulks_room(self._shape.n_bulks(unit), self._shape.bulk_bytes)
        return DataBuffer(unit, FRAME_UNITS * (HEADER_BYTES + _OFFSET.size + packs))

    def fill(self, buffer: DataBuffer, number: int) -> int:
        """Compares the units of a frame of hashes. One without differences has no frame, unless it is the last of them:
        the position has to be told."""
        shape, unit = self._shape, self._shape.unit_bytes
        offset = number * FRAME_UNITS * unit
        length = shape.length(offset, FRAME_UNITS)
        if length <= 0:
            return 0
        hashes, end = self._hashes.pop(number), offset + length
        content = buffer.memory[len(buffer.memory) - unit :]
        for at in range(offset, end, unit):
            unit_end = min(at + unit, end)
            different = self._compare(content, at, unit_end, hashes)
            hashes = hashes[shape.n_bulks(unit) * DIGEST_BYTES :]
            if different or unit_end == end:
                if buffer.end > buffer.start:
                    buffer.next_frame()
                _OFFSET.pack_into(buffer.memory, buffer.start, unit_end)
                buffer.end = buffer.start + _OFFSET.size + self._pack(buffer, content, at, unit_end - at, different)
        return length

    def _compare(self, content: memoryview, begin: int, end: int, hashes: memoryview) -> list[int]:
        """Reads a unit; returns the numbers of the bulks that differ, which are in `content` then, end to end."""
        shape, bulk = self._shape, self._shape.bulk_bytes
        different: list[int] = []
        for at in range(begin, end, shape.read_bytes):
            # Only what differs stays: mostly the same memory is filled again, while the processor's cache holds it.
            place = len(different) * bulk
            piece = content[place : place + min(shape.read_bytes, end - at)]
            self._read_at(at, piece)
            mine, first = blake3_chunks(piece, bulk, self._key), (at - begin) // bulk
            theirs = hashes[first * DIGEST_BYTES :][: len(mine)]
            if mine == theirs:
                continue
            for i in range(len(mine) // DIGEST_BYTES):
                digest = slice(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES)
                if mine[digest] != theirs[digest]:
                    place = len(different) * bulk
                    kept = piece[i * bulk : (i + 1) * bulk]
                    content[place : place + len(kept)] = kept
                    different.append(first + i)
        return different

    def _pack(self, buffer: DataBuffer, content: memoryview, offset: int, length: int, different: list[int]) -> int:
        """Packs the bulks that differ, behind the position; returns the length of the packs."""
        if not different:
            return 0
        room = buffer.memory[buffer.start + _OFFSET.size : len(buffer.memory) - self._shape.unit_bytes]
        bulk = self._shape.bulk_bytes
        return pack_bulks(content, offset // LB_BYTES, length, bulk, different, self._compress, room)


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
        # The next step is being made already.
        ahead_units = WINDOW_UNITS - STEP_FRAMES * FRAME_UNITS
        return differences.hashed_bytes - differences.compared_bytes > ahead_units * shape.unit_bytes

    async def wait_for_room() -> None:
        while is_full():
            moved.clear()
            await moved.wait()

    def keep_window(_: int) -> Pause:
        return wait_for_room() if is_full() else None

    def fill(buffer: DataBuffer, _: int) -> int:
        return _fill_hashes(buffer, differences, shape, key, read)

    hashes = FRAME_UNITS * shape.n_bulks(shape.unit_bytes) * DIGEST_BYTES
    frames = STEP_FRAMES * (HEADER_BYTES + _OFFSET.size + hashes)
    # Two: the image is read in sequence, one piece while the last one is being sent.
    buffers = [DataBuffer(shape.read_bytes, frames) for _ in range(2)]
    receiving = receive_data(connection, differences.consume, Hooks(progress, hooks.cancelled))
    async with acknowledged(connection, receiving) as ended:
        await send_data(connection, ended, fill, buffers, Hooks(cancelled=hooks.cancelled, pace=keep_window))
        await connection.send(FrameType.END)
    differences.finish()


def _fill_hashes(buffer: DataBuffer, differences: _Differences, shape: Shape, key: bytes, read: Read) -> int:
    """The next frames of hashes, in a thread; the older image is read in pieces that the processor's cache holds."""
    begin = differences.hashed_bytes
    content = buffer.memory[len(buffer.memory) - shape.read_bytes :]
    for _ in range(STEP_FRAMES):
        offset = differences.hashed_bytes
        length = shape.length(offset, FRAME_UNITS)
        if length <= 0:
            break
        if buffer.end > buffer.start:
            buffer.next_frame()
        _OFFSET.pack_into(buffer.memory, buffer.start, offset)
        buffer.end = buffer.start + _OFFSET.size
        for at in range(offset, offset + length, shape.read_bytes):
            piece = content[: min(shape.read_bytes, offset + length - at)]
            if read(piece) != len(piece):
                raise Corrupted(f"image ends before {at + len(piece)} of {shape.size_bytes} bytes")
            digests = blake3_chunks(piece, shape.bulk_bytes, key)
            buffer.memory[buffer.end : buffer.end + len(digests)] = digests
            buffer.end += len(digests)
        differences.hashed_bytes = offset + length
    return differences.hashed_bytes - begin

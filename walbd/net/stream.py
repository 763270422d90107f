"""Streams of DATA frames: one side prepares chunks in threads while others are on the way, the other side works on a
chunk in a thread while the next is being received. Memory is a fixed number of buffers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from itertools import count
from typing import Any

from walbd.model.error import Cancelled, PeerUnreachable, ProtocolViolation, Refused, WalbError
from walbd.net.connection import Connection
from walbd.net.data_buffer import DataBuffer, first_page
from walbd.net.frame import Frame, FrameType
from walbd.net.tasks import ended, run_to_end, wait_ended

# Python runs once per so many bytes.
CHUNK_BYTES = 2 << 20
# Receive buffers have this much room besides, for a table before the data.
SLACK_BYTES = 16 << 10
# One or two are being worked on while the others fill.
RECEIVE_BUFFERS = 4
# When sending fails, the reason the peer gave is on the way or it never comes.
REASON_SEC = 1.0

# Fills a buffer (in a thread) with the chunk of that number, counted from 0; returns the amount of work in it, 0 when
# there is nothing more.
Fill = Callable[[DataBuffer, int], int]
# Something to wait for; None when there is nothing, which costs no task.
Pause = Awaitable[None] | None
# Ends when what the chunk of that number needs is there.
Ready = Callable[[int], Pause]
# Puts the next bytes of a stream into memory (in a thread) and returns how many, 0 at the end.
Read = Callable[[memoryview], int]
# Takes the payload of the next frame (in a thread) and returns the amount of work in it.
Consume = Callable[[memoryview], int]


def _ignore(_: int) -> None:
    pass


def _never() -> bool:
    return False


def _no_pause(_: int) -> Pause:
    return None


@dataclass(frozen=True, slots=True)
class Hooks:
    """How a stream is watched and steered. progress(bytes so far); cancelled(): true ends the work at the next chunk
    with Cancelled; pace(bytes of the last chunk) tells what the sender waits for."""

    progress: Callable[[int], None] = _ignore
    cancelled: Callable[[], bool] = _never
    pace: Callable[[int], Pause] = _no_pause

    def check(self, connection: Connection) -> None:
        """Raises Cancelled when the work is not wanted any more."""
        if self.cancelled():
            raise Cancelled(f"{connection.command} with {connection} was cancelled")


class Acknowledgement:
    """What the receiver of a stream sends, awaited from the stream's beginning, so that its error is seen at once."""

    def __init__(self, connection: Connection, receiving: Coroutine[Any, Any, Frame]) -> None:
        self._connection = connection
        self.task = asyncio.ensure_future(receiving)

    def check(self) -> None:
        """Raises the receiver's error, if there is one already; ProtocolViolation when it acknowledges too early."""
        if self.task.done():
            self.task.result()
            raise ProtocolViolation(f"{self._connection} acknowledged data before their end")

    async def unless_done(self, pause: Awaitable[None]) -> None:
        """A pause of the sender, ended early when the receiver has something to say."""
        pausing = asyncio.ensure_future(pause)
        try:
            await asyncio.wait([pausing, self.task], return_when=asyncio.FIRST_COMPLETED)
            if pausing.done():
                pausing.result()
        finally:
            pausing.cancel()
            await wait_ended([pausing])


@contextlib.asynccontextmanager
async def acknowledged(
    connection: Connection, receiving: Coroutine[Any, Any, Frame] | None = None
) -> AsyncIterator[Acknowledgement]:
    """Inside, the sender sends a stream and its END; leaving waits for the receiver's ACK, or for what `receiving`
    waits for where the receiver has more to send. Raises Refused with the receiver's reason wherever there is one."""
    ack = Acknowledgement(connection, receiving or connection.recv(FrameType.ACK))
    try:
        yield ack
        await ack.task
    except PeerUnreachable:
        await asyncio.wait([ack.task], timeout=REASON_SEC)
        if ack.task.done():
            ack.task.result()
        raise
    finally:
        ack.task.cancel()
        await wait_ended([ack.task])


async def send_data(
    connection: Connection,
    ack: Acknowledgement,
    fill: Fill,
    buffers: list[DataBuffer],
    hooks: Hooks,
    ready: Ready = _no_pause,
) -> None:
    """Sends DATA frames until `fill` has nothing more. While one buffer is being sent all the others are being filled;
    they are sent in the order of their numbers. What `ready` tells is awaited before each is filled."""
    numbers = count()

    async def prepare(buffer: DataBuffer, number: int) -> tuple[DataBuffer, int]:
        if pause := ready(number):
            await pause
        return await run_to_end(connection.world, _fill_and_seal, fill, buffer, number)

    def start(buffer: DataBuffer) -> asyncio.Task[tuple[DataBuffer, int]]:
        return asyncio.create_task(prepare(buffer, next(numbers)))

    spare = buffers[0]
    ahead = deque(start(buffer) for buffer in buffers[1:])
    total = 0
    try:
        while True:
            ack.check()
            hooks.check(connection)
            buffer, amount = await ended(ahead[0])
            ahead.popleft()
            if not amount:
                return
            ahead.append(start(spare))
            await connection.write(buffer.frames)
            spare = buffer
            total += amount
            hooks.progress(total)
            if pause := hooks.pace(amount):
                await ack.unless_done(pause)
    finally:
        for task in ahead:
            task.cancel()
        await wait_ended(ahead)


def _fill_and_seal(fill: Fill, buffer: DataBuffer, number: int) -> tuple[DataBuffer, int]:
    buffer.clear()
    amount = fill(buffer, number)
    if amount:
        buffer.seal()
    return buffer, amount


async def send_bytes(connection: Connection, ack: Acknowledgement, read: Read, hooks: Hooks) -> None:
    """Sends a plain byte stream."""
    start = first_page(0)

    def fill(buffer: DataBuffer, _: int) -> int:
        length = read(buffer.memory[start:])
        buffer.start, buffer.end = start, start + length
        return length

    # Two, because reading in order allows only one to be filled at a time.
    await send_data(connection, ack, fill, [DataBuffer(CHUNK_BYTES), DataBuffer(CHUNK_BYTES)], hooks)


class _Consumer:
    """Works on received frames in threads, in order. What has come while it was busy is its next piece of work, so that
    a fast sender costs few changes of threads."""

    def __init__(self, connection: Connection, consume: Consume, hooks: Hooks) -> None:
        self._connection = connection
        self._consume = consume
        self._hooks = hooks
        # Made when they are needed: a short stream takes less time than the zeros of all of them.
        self._free: list[memoryview] = []
        self._unmade = RECEIVE_BUFFERS
        self._waiting: list[tuple[Frame, memoryview]] = []
        self._busy: list[tuple[Frame, memoryview]] = []
        self._working: asyncio.Task[int] | None = None
        self._total = 0

    async def room(self) -> memoryview:
        """A buffer for the next payload; waits until one is free. Raises what the work so far has raised."""
        while (self._working and self._working.done()) or not (self._free or self._unmade):
            await self._next_piece()
        if not self._free:
            self._unmade -= 1
            self._free.append(memoryview(bytearray(CHUNK_BYTES + SLACK_BYTES)))
        return self._free[-1]

    async def take(self, frame: Frame) -> None:
        """A DATA frame, received into `room()` unless it was too large for that."""
        buffer = self._free.pop()
        self._waiting.append((frame, buffer if len(buffer) >= len(frame.payload) else frame.payload))
        if self._working is None:
            await self._next_piece()

    async def finish(self) -> None:
        """Returns when everything is consumed."""
        while self._working or self._waiting:
            await self._next_piece()

    async def abandon(self) -> None:
        """Waits for the piece at work, whatever becomes of it: it uses our buffers."""
        if self._working:
            await wait_ended([self._working])

    async def _next_piece(self) -> None:
        """Waits for the piece at work and begins the next one."""
        if self._working:
            self._total += await ended(self._working)
            self._working = None
            self._free += [buffer for _, buffer in self._busy]
            self._hooks.progress(self._total)
            self._hooks.check(self._connection)
        self._busy, self._waiting = self._waiting, []
        if self._busy:
            self._working = asyncio.create_task(self._connection.world.run(self._work))

    def _work(self) -> int:
        total = 0
        for frame, _ in self._busy:
            frame.verify()
            total += self._consume(frame.payload)
        return total


async def receive_data(connection: Connection, consume: Consume, hooks: Hooks) -> Frame:
    """Receives DATA frames, hands each payload, verified, to `consume` in order, and returns the END frame when all is
    consumed. Raises what `consume` raises, and as Connection.recv."""
    consumer = _Consumer(connection, consume, hooks)
    try:
        while True:
            room = await consumer.room()
            frame = await connection.recv_unverified(FrameType.DATA, FrameType.END, data_buffer=room)
            hooks.check(connection)
            if frame.type is FrameType.END:
                await consumer.finish()
                return frame
            await consumer.take(frame)
    except (PeerUnreachable, Refused):
        # What came before the cut counts: a resumable transfer goes on after it.
        with contextlib.suppress(WalbError):
            await consumer.finish()
        raise
    finally:
        await consumer.abandon()


async def receive_bytes(
    connection: Connection, feed: Callable[[memoryview], object], max_bytes: int, hooks: Hooks
) -> Frame:
    """Receives a plain byte stream of at most max_bytes; raises ProtocolViolation when it is longer."""
    left = max_bytes

    def consume(data: memoryview) -> int:
        nonlocal left
        left -= len(data)
        if left < 0:
            raise ProtocolViolation(f"{connection} sends more than the {max_bytes} bytes it announced")
        feed(data)
        return len(data)

    return await receive_data(connection, consume, hooks)

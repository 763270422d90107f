"""One NBD client: receives into chunks, starts requests, gathers replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import cast

from walbd.device import nbd_protocol as nbd
from walbd.device.user.chunk import Chunk, ChunkPool
from walbd.device.user.engine import Engine
from walbd.device.user.handshake import Export, Handshake
from walbd.device.user.messages import warning_line
from walbd.device.user.reader import Reader
from walbd.device.user.replies import block_status, done, failed, read_answer, read_parts
from walbd.device.user.requests import Request, parse_request, refusal
from walbd.device.user.split_write import MIN_SPLIT_BYTES, SplitWrite, head_of
from walbd.device.user.writes import Writes, WriteTaker, data_writes, discard_writes, zero_writes
from walbd.model.error import ProtocolViolation, StorageFailure

# A client with more than this in flight is not read from.
MAX_REQUESTS_IN_FLIGHT = 1024
MIN_RECEIVE_BYTES = 4096
MAX_CLIENTS = 16
# A client that has not negotiated by then gives its place back.
HANDSHAKE_SEC = 30.0
# Answers of all clients of a device that are being made or wait to be sent. Beyond this a client gets one at a time,
# large ones in parts: nobody has to wait for a client that does not take its answers.
MAX_ANSWER_BYTES = 12 << 20
MAX_WHOLE_READ_BYTES = 1 << 20
READ_PART_BYTES = 256 << 10
# What a client may leave untaken before it counts. An answer takes a little more than its bytes.
WRITE_BUFFER_BYTES = 256 << 10
ANSWER_OVERHEAD_BYTES = 128
NOT_ALLOWED = "the request is not allowed, or not within the device"


class Connection(asyncio.BufferedProtocol):
    """The server's end of one NBD connection."""

    def __init__(
        self, engine: Engine, reader: Reader, pool: ChunkPool, export: Callable[[], Export], clients: set[Connection]
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._pool = pool
        self._export = export
        self._clients = clients
        self._handshake: Handshake | None = Handshake(export())
        self._chunk: Chunk = pool.take()
        self._begin = self._end = 0
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._replies: list[bytes | bytearray] = []
        self._taker = WriteTaker()
        self._in_flight = 0
        self._held_bytes = self._queued_bytes = self._handed_bytes = 0
        self._split: SplitWrite | None = None
        self._large_read = asyncio.Lock()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_streaming = self._is_reading_stopped = self._is_leaving = False
        self._is_structured = self._has_allocation = False
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- the transport's calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._handshake is not None and len(self._clients) >= MAX_CLIENTS:
            warning_line(f"NBD connection refused: {MAX_CLIENTS} clients are served already")
            self._transport.abort()
            return
        self._clients.add(self)
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        if self._handshake is not None:
            self._transport.write(self._handshake.greeting())
            self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_SEC, self._too_slow)

    def _too_slow(self) -> None:
        warning_line(f"NBD connection closed: the client did not negotiate within {HANDSHAKE_SEC:g} s")
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._clients.discard(self)
        self._end_deadline()
        self._chunk.unpin()
        self._may_write.set()
        self._have_left()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._chunk.view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        self._end += nbytes
        self._proceed()

    def eof_received(self) -> bool:
        self._leave()
        return True

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()
        self._have_left()
        self.resume()

    # ---- receiving ----

    def resume(self) -> None:
        """Goes on with what was left when the server or this client had too much in flight."""
        if self._is_reading_stopped and not self._is_over_limit():
            self._proceed()

    def _proceed(self) -> None:
        try:
            if self._handshake is not None:
                self._negotiate()
            if self._handshake is None:
                self._take_requests()
        except ProtocolViolation as error:
            warning_line(f"NBD connection closed: {error}")
            self.close()

    def _negotiate(self) -> None:
        handshake = self._handshake
        assert handshake is not None
        used, answer = handshake.feed(self._chunk.view[self._begin : self._end])
        self._begin += used
        if answer and self._transport is not None:
            self._transport.write(answer)
        if handshake.is_ended:
            self.close()
        elif handshake.is_done:
            self._handshake = None
            self._end_deadline()
            self._is_structured, self._has_allocation = handshake.is_structured, handshake.has_allocation
        else:
            self._make_space(nbd.OPTION.size + nbd.MAX_OPTION_BYTES)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _take_requests(self) -> None:
        needed = nbd.REQUEST.size
        while not (self._is_leaving or self._is_over_limit()):
            if self._split is not None:
                needed = self._take_part(self._split)
                if needed:
                    break
                needed = nbd.REQUEST.size
                continue
            request = parse_request(self._chunk.view, self._begin, self._end)
            if isinstance(request, int):
                needed = request
                if needed > MIN_SPLIT_BYTES and self._begin + needed > self._chunk.size_bytes:
                    self._begin_split()
                    continue
                break
            if not self._take_usual(request):
                self._begin = request.end
                self._start(request)
        self._engine.kick()
        self._make_space(needed)
        self._regulate()

    def _begin_split(self) -> None:
        request = head_of(self._chunk.view, self._begin)
        error = refusal(request, self._export().size_bytes)

        def answer(error: int) -> None:
            self._reply(request.cookie, error, self._engine.refusal or NOT_ALLOWED)

        self._begin = request.payload_begin
        self._split = SplitWrite(request, error, answer)

    def _take_part(self, split: SplitWrite) -> int:
        """Starts the next part of a write; returns 0, or how many bytes from _begin on that takes."""
        part_bytes = split.part_bytes(self._chunk.size_bytes - self._begin)
        if not part_bytes or self._end - self._begin < part_bytes:
            return part_bytes or min(split.left_bytes, MIN_SPLIT_BYTES)
        begin, offset_bytes = self._begin, split.offset_bytes
        self._begin += part_bytes
        if not split.is_refused:
            split.taken(part_bytes)
            writes = data_writes(offset_bytes, self._chunk, begin, self._begin, self._engine.max_record_lb)
            writes.is_fua, writes.done = split.is_fua and not split.left_bytes, split.done
            self._engine.submit(writes)
        else:
            split.left_bytes -= part_bytes
        if not split.left_bytes:
            self._split = None
            self._in_flight += 1
            split.done(0)
        return 0

    def _make_space(self, needed: int) -> None:
        """Sees to it that the message, or part of one, that begins at _begin can be received into one chunk, whole."""
        chunk, received = self._chunk, self._end - self._begin
        room = needed if self._split is not None else max(needed, received + MIN_RECEIVE_BYTES)
        if received == 0 and chunk.pins == 1 and chunk.size_bytes >= needed:
            self._begin = self._end = 0
        elif self._begin + room > chunk.size_bytes:
            self._chunk = self._pool.take()
            self._chunk.view[:received] = chunk.view[self._begin : self._end]
            self._begin, self._end = 0, received
            chunk.unpin()

    def _is_over_limit(self) -> bool:
        return (
            self._engine.is_full
            or self._in_flight >= MAX_REQUESTS_IN_FLIGHT
            or (self._held_bytes > 0 and self._reader.answer_bytes >= MAX_ANSWER_BYTES)
        )

    def _regulate(self) -> None:
        if self._transport is None or self._handshake is not None:
            return
        must_stop = self._is_leaving or self._is_over_limit()
        if must_stop and not self._is_reading_stopped:
            self._transport.pause_reading()
        elif not must_stop and self._is_reading_stopped:
            self._transport.resume_reading()
        self._is_reading_stopped = must_stop

    # ---- requests ----

    def _start(self, request: Request) -> None:
        if request.command == nbd.CMD_DISC:
            self._leave()
            return
        self._in_flight += 1
        cookie = request.cookie
        error = refusal(request, self._export().size_bytes)
        if error:
            self._reply(cookie, error, NOT_ALLOWED)
        elif request.command == nbd.CMD_READ:
            self._read(request)
        elif request.command == nbd.CMD_BLOCK_STATUS:
            self._block_status(request)
        elif request.command == nbd.CMD_FLUSH:
            self._engine.flush(lambda error: self._reply(cookie, error, self._engine.refusal))
        else:
            writes = self._writes(request)
            writes.is_fua = request.is_fua
            writes.done = lambda error: self._reply(cookie, error, self._engine.refusal)
            self._engine.submit(writes)

    def _writes(self, request: Request) -> Writes:
        max_record_lb = self._engine.max_record_lb
        if request.command == nbd.CMD_TRIM:
            return discard_writes(request.offset_bytes, request.size_bytes)
        if request.command == nbd.CMD_WRITE_ZEROES:
            return zero_writes(request.offset_bytes, request.size_bytes, max_record_lb)
        return data_writes(request.offset_bytes, self._chunk, request.payload_begin, request.end, max_record_lb)

    def _take_usual(self, request: Request) -> bool:
        """Starts this request, and those of its kind behind it, if it is an ordinary write or a read that takes no
        waiting."""
        if request.command == nbd.CMD_WRITE:
            return self._take_writes()
        return request.command == nbd.CMD_READ and self._answer_reads(request)

    def _take_writes(self) -> bool:
        engine = self._engine
        device_bytes, limits = self._export().size_bytes, (engine.max_record_lb, engine.max_requests_together)
        taken = self._taker.take(self._chunk, self._begin, self._end, device_bytes, *limits)
        if taken is None:
            return False
        writes, replies, used = taken
        writes.done = lambda error: self._acknowledge(replies, error)
        self._begin += used
        self._in_flight += writes.count
        engine.submit(writes)
        return True

    def _acknowledge(self, replies: bytes, error: int) -> None:
        if not error:
            self._send(replies, len(replies) // nbd.REPLY.size)
            return
        for _, _, cookie in nbd.REPLY.iter_unpack(replies):
            self._reply(cookie, error, self._engine.refusal)

    def _answer_reads(self, request: Request) -> bool:
        """Answers this read, and others behind it, if that takes no waiting."""
        if self._is_streaming or self._transport is None:
            return False
        received = self._chunk.view[self._begin : self._end]
        found = self._reader.answers_at_once(request, received, self._export().size_bytes, self._is_structured)
        if found is None:
            return False
        used, answers = found
        self._begin += used
        self._transport.write(answers)
        if self._transport.get_write_buffer_size():
            self._reader.answers_kept()
            self._handed_bytes += len(answers)
            self._hold(len(answers))
        return True

    def _read(self, request: Request) -> None:
        size_bytes = request.size_bytes
        is_whole = size_bytes <= READ_PART_BYTES or (
            size_bytes <= MAX_WHOLE_READ_BYTES and self._reader.answer_bytes + size_bytes <= MAX_ANSWER_BYTES
        )
        if not is_whole:
            self._run(self._read_in_parts(request))
            return
        answer, payload = read_answer(request.cookie, request.offset_bytes, size_bytes, self._is_structured)
        self._hold(size_bytes)
        self._run(self._read_whole(request, answer, payload))

    async def _read_whole(self, request: Request, answer: bytearray, payload: memoryview) -> None:
        try:
            await self._reader.read(payload, request.offset_bytes)
        except StorageFailure as failure:
            self._fail(request, failure)
        else:
            self._send(answer)
        finally:
            self._hold(-request.size_bytes)

    async def _read_in_parts(self, request: Request) -> None:
        """A large answer, one at a time: each part is read when the one before it has left."""
        is_fragmented = self._is_structured and not request.flags & nbd.CMD_FLAG_DF
        parts = read_parts(
            request.cookie,
            request.offset_bytes,
            request.size_bytes,
            READ_PART_BYTES,
            is_structured=self._is_structured,
            is_fragmented=is_fragmented,
        )
        async with self._large_read:
            try:
                for offset_bytes, answer, payload in parts:
                    await self._send_part(offset_bytes, answer, payload, is_streaming=not is_fragmented)
            except StorageFailure as failure:
                self._fail_in_parts(request, failure)
                return
            finally:
                self._is_streaming = False
                self._send_replies()
        self._in_flight -= 1
        self._answered()

    async def _send_part(self, offset_bytes: int, part: bytearray, payload: memoryview, *, is_streaming: bool) -> None:
        if self._is_gone():
            return
        self._hold(len(part))
        try:
            await self._reader.read(payload, offset_bytes)
            # The parts of one reply follow each other; between chunks there may be replies to other requests.
            self._is_streaming = is_streaming
            if not self._is_gone():
                cast(asyncio.Transport, self._transport).write(part)
                await self._may_write.wait()
        finally:
            self._hold(-len(part))

    def _fail_in_parts(self, request: Request, failure: StorageFailure) -> None:
        if not self._is_streaming:
            self._fail(request, failure)
            return
        # A reply that has begun cannot tell an error any more (NBD protocol, "simple replies").
        warning_line(f"NBD connection closed in the middle of an answer: {failure}")
        self._in_flight -= 1
        if self._transport is not None:
            self._transport.abort()

    def _block_status(self, request: Request) -> None:
        if self._has_allocation:
            self._run(self._answer_block_status(request))
        else:
            self._reply(request.cookie, nbd.EINVAL, "no context was negotiated")

    async def _answer_block_status(self, request: Request) -> None:
        try:
            extents = await self._reader.block_status(request.offset_bytes, request.size_bytes)
        except StorageFailure as failure:
            self._fail(request, failure)
            return
        is_one = request.flags & nbd.CMD_FLAG_REQ_ONE
        self._send(block_status(request.cookie, extents[:1] if is_one else extents))

    def _is_gone(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _run(self, answering: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(answering)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- replies ----

    def _fail(self, request: Request, failure: StorageFailure) -> None:
        warning_line(str(failure))
        self._reply(request.cookie, nbd.EIO, str(failure))

    def _reply(self, cookie: int, error: int, message: str) -> None:
        self._send(failed(cookie, error, message, self._is_structured) if error else done(cookie))

    def _send(self, answer: bytes | bytearray, n_requests: int = 1) -> None:
        self._in_flight -= n_requests
        if self._transport is None:
            return
        if not self._replies:
            asyncio.get_running_loop().call_soon(self._send_replies)
        self._replies.append(answer)
        size_bytes = len(answer) + ANSWER_OVERHEAD_BYTES
        self._queued_bytes += size_bytes
        self._hold(size_bytes)

    def _send_replies(self) -> None:
        if self._is_streaming:
            return
        replies, self._replies = self._replies, []
        self._handed_bytes += self._queued_bytes
        self._queued_bytes = 0
        if self._transport is not None:
            self._transport.writelines(replies)
        if self._transport is None or self._may_write.is_set():
            self._have_left()
        self._answered()

    def _hold(self, size_bytes: int) -> None:
        """So much more memory is taken by answers of this connection."""
        self._held_bytes += size_bytes
        self._reader.answer_bytes += size_bytes

    def _have_left(self) -> None:
        """What was handed to the transport has left it."""
        self._hold(-self._handed_bytes)
        self._handed_bytes = 0

    def _answered(self) -> None:
        if self._transport is None:
            return
        if self._is_leaving and not self._in_flight and not self._replies:
            self._transport.close()
        else:
            self.resume()

    def _leave(self) -> None:
        """The client says good-bye: what is in flight is answered, then the connection closes."""
        self._is_leaving = True
        self._regulate()
        if not self._in_flight and not self._replies and self._transport is not None:
            self._transport.close()

    def stop(self) -> None:
        """The server ends: what is in flight is answered, further requests are not read."""
        self._leave()

    def close(self) -> None:
        """Closes after what was answered has been sent."""
        if self._transport is not None:
            self._transport.close()

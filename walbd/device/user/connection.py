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
from walbd.device.user.replies import block_status, done, failed, read_answer
from walbd.device.user.requests import Request, parse_request, refusal
from walbd.device.user.writes import Writes, WriteTaker, data_writes, discard_writes, zero_writes
from walbd.model.error import ProtocolViolation, StorageFailure

# A client that sends more than this without taking its answers is not read from.
MAX_REQUESTS_IN_FLIGHT = 1024
MAX_READ_BYTES_IN_FLIGHT = 64 << 20
MIN_RECEIVE_BYTES = 4096
WRITE_BUFFER_BYTES = 4 << 20
MAX_CLIENTS = 16


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
        self._replies: list[bytes | bytearray] = []
        self._taker = WriteTaker()
        self._in_flight = 0
        self._reading_bytes = 0
        self._is_paused = self._is_reading_stopped = self._is_leaving = False
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

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._clients.discard(self)
        self._chunk.unpin()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._chunk.view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        self._end += nbytes
        self._proceed()

    def eof_received(self) -> bool:
        self._leave()
        return True

    def pause_writing(self) -> None:
        self._is_paused = True
        self._regulate()

    def resume_writing(self) -> None:
        self._is_paused = False
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
            self._is_structured, self._has_allocation = handshake.is_structured, handshake.has_allocation
        else:
            self._make_space(nbd.OPTION.size + nbd.MAX_OPTION_BYTES)

    def _take_requests(self) -> None:
        needed = nbd.REQUEST.size
        while not (self._is_leaving or self._is_over_limit()):
            request = parse_request(self._chunk.view, self._begin, self._end)
            if isinstance(request, int):
                needed = request
                break
            if not self._take_usual(request):
                self._begin = request.end
                self._start(request)
        self._engine.kick()
        self._make_space(needed)
        self._regulate()

    def _make_space(self, needed: int) -> None:
        """Sees to it that the message that begins at _begin can be received into one chunk, whole."""
        chunk, received = self._chunk, self._end - self._begin
        if received == 0 and chunk.pins == 1 and chunk.size_bytes >= needed:
            self._begin = self._end = 0
        elif self._begin + max(needed, received + MIN_RECEIVE_BYTES) > chunk.size_bytes:
            self._chunk = self._pool.take(max(needed, received + MIN_RECEIVE_BYTES))
            self._chunk.view[:received] = chunk.view[self._begin : self._end]
            self._begin, self._end = 0, received
            chunk.unpin()

    def _is_over_limit(self) -> bool:
        return (
            self._is_paused
            or self._engine.is_full
            or self._in_flight >= MAX_REQUESTS_IN_FLIGHT
            or self._reading_bytes >= MAX_READ_BYTES_IN_FLIGHT
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
            self._reply(cookie, error, "the request is not allowed, or not within the device")
        elif request.command == nbd.CMD_READ:
            self._reading_bytes += request.size_bytes
            self._run(self._read(request))
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
        received = self._chunk.view[self._begin : self._end]
        found = self._reader.answers_at_once(request, received, self._export().size_bytes, self._is_structured)
        if found is None or self._transport is None:
            return False
        used, answers = found
        self._begin += used
        self._transport.write(answers)
        if self._transport.get_write_buffer_size():
            self._reader.answers_kept()
        return True

    async def _read(self, request: Request) -> None:
        size_bytes = request.size_bytes
        answer, payload = read_answer(request.cookie, request.offset_bytes, size_bytes, self._is_structured)
        try:
            await self._reader.read(payload, request.offset_bytes)
        except StorageFailure as failure:
            self._fail(request, failure)
        else:
            self._send(answer)
        finally:
            self._reading_bytes -= request.size_bytes

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

    def _send_replies(self) -> None:
        replies, self._replies = self._replies, []
        if self._transport is not None:
            self._transport.writelines(replies)
            if self._is_leaving and not self._in_flight:
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

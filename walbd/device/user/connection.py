"""One NBD client: receives into chunks, starts requests, gathers replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from walbd.device import nbd_protocol as nbd
from walbd.device.user.chunk import Chunk, ChunkPool
from walbd.device.user.engine import Engine
from walbd.device.user.handshake import Export, Handshake
from walbd.device.user.messages import warning_line
from walbd.device.user.outbox import Outbox
from walbd.device.user.read_answers import ReadAnswers
from walbd.device.user.reader import Reader
from walbd.device.user.replies import done, failed
from walbd.device.user.requests import Request, parse_request, refusal
from walbd.device.user.split_write import MIN_SPLIT_BYTES, SplitWrite, head_of
from walbd.device.user.writes import Writes, WriteTaker, data_writes, discard_writes, zero_writes
from walbd.model.error import ProtocolViolation
from walbd.model.limits import LB_BYTES

# A client with more than this in flight is not read from.
MAX_REQUESTS_IN_FLIGHT = 1024
MIN_RECEIVE_BYTES = 4096
MAX_CLIENTS = 16
# A client that has not negotiated by then gives its place back.
HANDSHAKE_SEC = 30.0
_WITHOUT_ROOM = (nbd.CMD_READ, nbd.CMD_BLOCK_STATUS, nbd.CMD_FLUSH, nbd.CMD_DISC)
MAX_ZERO_RECORDS = 8
NOT_ALLOWED = "the request is not allowed, or not within the device"


class Connection(asyncio.BufferedProtocol):
    """The server's end of one NBD connection."""

    def __init__(
        self, engine: Engine, reader: Reader, pool: ChunkPool, export: Callable[[], Export], clients: set[Connection]
    ) -> None:
        self._engine = engine
        self._pool = pool
        self._export = export
        self._clients = clients
        self._handshake: Handshake | None = Handshake(export())
        self._chunk: Chunk = pool.take()
        self._begin = self._end = 0
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._taker = WriteTaker()
        self._outbox = Outbox(reader, self._sent)
        self._reads = ReadAnswers(reader, self._outbox)
        self._split: SplitWrite | None = None
        self._is_reading_stopped = self._is_leaving = False
        self._is_write_next = False

    # ---- the transport's calls ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._handshake is not None and len(self._clients) >= MAX_CLIENTS:
            warning_line(f"NBD connection refused: {MAX_CLIENTS} clients are served already")
            self._transport.abort()
            return
        self._clients.add(self)
        self._outbox.open(self._transport)
        if self._handshake is not None:
            self._transport.write(self._handshake.greeting())
            self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_SEC, self._too_slow)

    def _too_slow(self) -> None:
        warning_line(f"NBD connection closed: the client did not negotiate within {HANDSHAKE_SEC:g} s")
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = self._split = None
        self._clients.discard(self)
        self._end_deadline()
        self._chunk.unpin()
        self._outbox.lose()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._chunk.view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        self._end += nbytes
        self._proceed()

    def eof_received(self) -> bool:
        self._leave()
        return True

    def pause_writing(self) -> None:
        self._outbox.pause()

    def resume_writing(self) -> None:
        self._outbox.go_on()
        self.resume()

    # ---- receiving ----

    def resume(self) -> None:
        """Goes on with what was left when the server or this client had too much in flight."""
        if self._is_reading_stopped and not self._is_over_limit():
            self._proceed()

    def _waits_for_room(self, is_write: bool) -> bool:
        """A write waits while the engine is full, which may be long when the device is frozen. Reads go on."""
        self._is_write_next = is_write and self._engine.is_full
        return self._is_write_next

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
            self._reads.is_structured, self._reads.has_allocation = handshake.is_structured, handshake.has_allocation
        else:
            self._make_space(nbd.OPTION.size + nbd.MAX_OPTION_BYTES)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _take_requests(self) -> None:
        try:
            needed = self._start_requests()
        finally:
            self._engine.kick()  # what came before something that cannot be followed, too
        self._make_space(needed)
        self._regulate()

    def _start_requests(self) -> int:
        """Starts what has come whole; returns how many bytes the next one needs from _begin on."""
        needed = nbd.REQUEST.size
        self._is_write_next = False
        while not (self._is_leaving or self._is_over_limit()):
            if self._split is not None:
                needed = self._take_part(self._split)
                if needed or self._is_write_next:
                    break
                needed = nbd.REQUEST.size
                continue
            if self._begin == self._end:
                break
            if self._take_writes():
                continue
            request = parse_request(self._chunk.view, self._begin, self._end)
            if isinstance(request, int):
                needed = request
                if needed > MIN_SPLIT_BYTES and self._begin + needed > self._chunk.size_bytes:
                    self._begin_split()
                    continue
                break
            if self._waits_for_room(request.command not in _WITHOUT_ROOM):
                break
            if not (request.command == nbd.CMD_READ and self._take_reads(request)):
                self._begin = request.end
                self._start(request)
        return needed

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
        if self._waits_for_room(not split.is_refused):
            return 0
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
            self._outbox.in_flight += 1
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
        return self._outbox.in_flight >= MAX_REQUESTS_IN_FLIGHT or not self._outbox.has_room

    def _regulate(self) -> None:
        if self._transport is None or self._handshake is not None:
            return
        must_stop = self._is_leaving or self._is_write_next or self._is_over_limit()
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
        self._outbox.in_flight += 1
        cookie = request.cookie
        error = refusal(request, self._export().size_bytes)
        if error:
            self._reply(cookie, error, NOT_ALLOWED)
        elif request.command == nbd.CMD_READ:
            self._reads.read(request)
        elif request.command == nbd.CMD_BLOCK_STATUS:
            self._reads.block_status(request)
        elif request.command == nbd.CMD_FLUSH:
            self._engine.flush(lambda error: self._reply(cookie, error, self._engine.refusal))
        elif request.command == nbd.CMD_WRITE_ZEROES:
            self._write_zeroes(request)
        else:
            writes = self._writes(request)
            writes.is_fua = request.is_fua
            writes.done = lambda error: self._reply(cookie, error, self._engine.refusal)
            self._engine.submit(writes)

    def _writes(self, request: Request) -> Writes:
        if request.command == nbd.CMD_TRIM:
            return discard_writes(request.offset_bytes, request.size_bytes)
        begin, end = request.payload_begin, request.end
        return data_writes(request.offset_bytes, self._chunk, begin, end, self._engine.max_record_lb)

    def _write_zeroes(self, request: Request) -> None:
        """A few records at a time: 28 bytes of request may be 4 GiB of log. A sync of the last covers those before."""
        max_record_lb = self._engine.max_record_lb
        end, step_bytes = request.offset_bytes + request.size_bytes, MAX_ZERO_RECORDS * max_record_lb * LB_BYTES
        steps = iter(range(request.offset_bytes, end, step_bytes))

        def go_on(error: int) -> None:
            # A client that is gone has its next connection: what it writes there must not be zeroed after all.
            begin = None if error or self._transport is None else next(steps, None)
            if begin is None:
                self._reply(request.cookie, error, self._engine.refusal)
                return
            writes = zero_writes(begin, min(step_bytes, end - begin), max_record_lb)
            writes.is_fua, writes.done = request.is_fua and begin + step_bytes >= end, go_on
            self._engine.submit(writes)

        go_on(0)

    def _take_reads(self, request: Request) -> bool:
        """Answers this read, and those behind it, if that takes no waiting."""
        received = self._chunk.view[self._begin : self._end]
        used = self._reads.at_once(request, received, self._export().size_bytes)
        self._begin += used
        return used > 0

    def _take_writes(self) -> bool:
        """Starts the next requests if they are ordinary writes."""
        engine, command_at = self._engine, self._begin + nbd.COMMAND_BYTE
        is_write = command_at < self._end and self._chunk.view[command_at] == nbd.CMD_WRITE
        if not is_write or engine.is_full:
            return False
        device_bytes, limits = self._export().size_bytes, (engine.max_record_lb, engine.max_requests_together)
        taken = self._taker.take(self._chunk, self._begin, self._end, device_bytes, *limits)
        if taken is None:
            return False
        writes, replies, used = taken
        writes.done = lambda error: self._acknowledge(replies, error)
        self._begin += used
        self._outbox.in_flight += writes.count
        engine.submit(writes)
        return True

    def _acknowledge(self, replies: bytes, error: int) -> None:
        if not error:
            self._outbox.send(replies, len(replies) // nbd.REPLY.size)
            return
        for _, _, cookie in nbd.REPLY.iter_unpack(replies):
            self._reply(cookie, error, self._engine.refusal)

    # ---- replies ----

    def _reply(self, cookie: int, error: int, message: str) -> None:
        self._outbox.send(failed(cookie, error, message, self._reads.is_structured) if error else done(cookie))

    def _sent(self) -> None:
        if self._transport is None:
            return
        if self._is_leaving and self._outbox.is_done:
            self._transport.close()
        else:
            self.resume()

    def _leave(self) -> None:
        """The client says good-bye: what is in flight is answered, then the connection closes."""
        self._is_leaving = True
        self._regulate()
        if self._outbox.is_done and self._transport is not None:
            self._transport.close()

    def stop(self) -> None:
        """The server ends: what is in flight is answered, further requests are not read."""
        self._leave()

    def close(self) -> None:
        """Closes after what was answered has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once: what is in flight gets no answer."""
        if self._transport is not None:
            self._transport.abort()

"""Answers to reads and block status: at once from the page cache, whole, or in parts when they are large."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from walbd.device import nbd_protocol as nbd
from walbd.device.user.messages import warning_line
from walbd.device.user.outbox import Outbox
from walbd.device.user.reader import Reader
from walbd.device.user.replies import block_status, failed, read_answer, read_parts
from walbd.device.user.requests import Request
from walbd.model.error import StorageFailure

MAX_WHOLE_READ_BYTES = 1 << 20
READ_PART_BYTES = 256 << 10


class ReadAnswers:
    """Answers the reads of one client. is_structured and has_allocation are what the client has negotiated."""

    def __init__(self, reader: Reader, outbox: Outbox) -> None:
        self._reader = reader
        self._outbox = outbox
        self._large_read = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_structured = self.has_allocation = False

    def at_once(self, request: Request, received: memoryview, device_bytes: int) -> int:
        """Answers this read, and those behind it in `received`, if that takes no waiting; returns how many bytes."""
        if not self._outbox.may_send_now:
            return 0
        found = self._reader.answers_at_once(request, received, device_bytes, self.is_structured)
        if found is None:
            return 0
        used, answers = found
        self._outbox.send_now(answers)
        return used

    def read(self, request: Request) -> None:
        """Starts to answer a read."""
        size_bytes = request.size_bytes
        if size_bytes > READ_PART_BYTES and (size_bytes > MAX_WHOLE_READ_BYTES or not self._outbox.fits(size_bytes)):
            self._run(self._read_in_parts(request))
            return
        answer, payload = read_answer(request.cookie, request.offset_bytes, size_bytes, self.is_structured)
        self._outbox.hold(size_bytes)
        self._run(self._read_whole(request, answer, payload))

    def block_status(self, request: Request) -> None:
        """Starts to answer which ranges hold data."""
        if self.has_allocation:
            self._run(self._answer_block_status(request))
        else:
            self._refuse(request, nbd.EINVAL, "no context was negotiated")

    async def _read_whole(self, request: Request, answer: bytearray, payload: memoryview) -> None:
        try:
            await self._reader.read(payload, request.offset_bytes)
        except StorageFailure as failure:
            self._fail(request, failure)
        else:
            self._outbox.send(answer)
        finally:
            self._outbox.hold(-request.size_bytes)

    async def _read_in_parts(self, request: Request) -> None:
        """A large answer, one at a time: each part is read when the one before it has left."""
        is_fragmented = self.is_structured and not request.flags & nbd.CMD_FLAG_DF
        parts = read_parts(
            request.cookie,
            request.offset_bytes,
            request.size_bytes,
            READ_PART_BYTES,
            is_structured=self.is_structured,
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
                self._outbox.end_parts()
        self._outbox.answered()

    async def _send_part(self, offset_bytes: int, part: bytearray, payload: memoryview, *, is_streaming: bool) -> None:
        outbox = self._outbox
        if outbox.is_gone:
            return
        outbox.hold(len(part))
        try:
            await self._reader.read(payload, offset_bytes)
            await outbox.send_part(part, is_streaming=is_streaming)
        finally:
            outbox.hold(-len(part))

    async def _answer_block_status(self, request: Request) -> None:
        try:
            extents = await self._reader.block_status(request.offset_bytes, request.size_bytes)
        except StorageFailure as failure:
            self._fail(request, failure)
            return
        is_one = request.flags & nbd.CMD_FLAG_REQ_ONE
        self._outbox.send(block_status(request.cookie, extents[:1] if is_one else extents))

    def _fail_in_parts(self, request: Request, failure: StorageFailure) -> None:
        if not self._outbox.is_streaming:
            self._fail(request, failure)
            return
        # A reply that has begun cannot tell an error any more (NBD protocol, "simple replies").
        warning_line(f"NBD connection closed in the middle of an answer: {failure}")
        self._outbox.abandon()

    def _fail(self, request: Request, failure: StorageFailure) -> None:
        warning_line(str(failure))
        self._refuse(request, nbd.EIO, str(failure))

    def _refuse(self, request: Request, error: int, message: str) -> None:
        self._outbox.send(failed(request.cookie, error, message, self.is_structured))

    def _run(self, answering: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(answering)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

"""The answers of one client on their way out, and what they take of the memory that all clients of a device share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from walbd.device.user.reader import Reader

# Answers of all clients of a device that are being made or wait to be sent. Beyond this a client gets one at a time,
# large ones in parts: nobody has to wait for a client that does not take its answers.
MAX_ANSWER_BYTES = 12 << 20
# What a client may leave untaken before it counts. An answer takes a little more than its bytes.
WRITE_BUFFER_BYTES = 256 << 10
ANSWER_OVERHEAD_BYTES = 128


class Outbox:
    """Sends answers over a transport, what comes together at once. `on_sent` is called after each time."""

    def __init__(self, reader: Reader, on_sent: Callable[[], None]) -> None:
        self._reader = reader
        self._on_sent = on_sent
        self._transport: asyncio.Transport | None = None
        self._replies: list[bytes | bytearray] = []
        self._held_bytes = self._queued_bytes = self._handed_bytes = 0
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_streaming = False
        self.in_flight = 0
        """Requests that are not answered yet."""

    # ---- the transport ----

    def open(self, transport: asyncio.Transport) -> None:
        """Answers go here from now on."""
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._transport = transport

    def lose(self) -> None:
        """There is nobody any more: what comes is dropped, and nobody is told."""
        self._transport = None
        self._on_sent = lambda: None  # who was told refers to this: no garbage collector is needed to free both
        self.go_on()

    def pause(self) -> None:
        """The client does not take its answers."""
        self._may_write.clear()

    def go_on(self) -> None:
        """It has taken them."""
        self._may_write.set()
        self._have_left()

    @property
    def is_gone(self) -> bool:
        """Nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    @property
    def is_done(self) -> bool:
        """Everything is answered and handed over."""
        return not self.in_flight and not self._replies

    # ---- memory ----

    @property
    def has_room(self) -> bool:
        """True when this client may have another answer made."""
        return self._held_bytes <= 0 or self._reader.answer_bytes < MAX_ANSWER_BYTES

    def fits(self, size_bytes: int) -> bool:
        """True when an answer of this size stays within what all may have."""
        return self._reader.answer_bytes + size_bytes <= MAX_ANSWER_BYTES

    def hold(self, size_bytes: int) -> None:
        """So much more memory is taken by answers of this client."""
        self._held_bytes += size_bytes
        self._reader.answer_bytes += size_bytes

    def _have_left(self) -> None:
        self.hold(-self._handed_bytes)
        self._handed_bytes = 0

    # ---- answers ----

    def send(self, answer: bytes | bytearray, n_requests: int = 1) -> None:
        """The answer to one request, or the answers to several."""
        self.in_flight -= n_requests
        if self._transport is None:
            return
        loop = asyncio.get_running_loop()
        if not self.in_flight and not self._replies and not self._is_streaming:
            # Nothing else is about to come that could go with it.
            self.send_now(answer)
            loop.call_soon(self._on_sent)
            return
        if not self._replies:
            loop.call_soon(self._send_replies)
        self._replies.append(answer)
        size_bytes = len(answer) + ANSWER_OVERHEAD_BYTES
        self._queued_bytes += size_bytes
        self.hold(size_bytes)

    @property
    def may_send_now(self) -> bool:
        """False in the middle of an answer, and when there is nobody."""
        return self._transport is not None and not self._is_streaming

    def send_now(self, answers: bytes | bytearray) -> None:
        """Sends answers to requests that are in flight no more, or never were."""
        assert self._transport is not None
        self._transport.write(answers)
        if not self._may_write.is_set():
            self._handed_bytes += len(answers)
            self.hold(len(answers))

    async def send_part(self, part: bytearray, *, is_streaming: bool) -> None:
        """Sends a part of an answer and returns when the client has taken most of it. The parts of one reply follow
        each other; between chunks (is_streaming false) there may be replies to other requests."""
        self._is_streaming = is_streaming
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(part)
            await self._may_write.wait()

    @property
    def is_streaming(self) -> bool:
        """A reply has begun that its next parts must complete."""
        return self._is_streaming

    def end_parts(self) -> None:
        """The parts are complete, or no more will come."""
        self._is_streaming = False
        self._send_replies()

    def abandon(self) -> None:
        """Ends the connection at once, a reply that has begun included."""
        self.in_flight -= 1
        if self._transport is not None:
            self._transport.abort()

    def answered(self) -> None:
        """The last part of an answer is sent."""
        self.in_flight -= 1
        self._on_sent()

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
        self._on_sent()

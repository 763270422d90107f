"""A connection after its handshake: frames over a Stream, time-outs, heartbeats, error frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from walbd.model.error import Cancelled, Corrupted, PeerUnreachable, ProtocolViolation, Refused, WalbError
from walbd.net.frame import Frame, FrameReceiver, FrameType, encode
from walbd.net.messages import ErrorText
from walbd.net.tasks import run_to_end
from walbd.world.network import KeepAlive, Stream
from walbd.world.world import World

# How often a side that works sends a sign of life, when it sends nothing else.
HEARTBEAT_SEC = 0.5
# Large writes are handed to the socket in pieces, so that slow progress is seen as progress.
WRITE_PIECE_BYTES = 2 << 20
# How long to let a peer take the last error text before the connection is closed, and how much of what it still sends
# is thrown away meanwhile.
LINGER_SEC = 3.0
_LINGER_BUFFER_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Timing:
    """Time-outs of a connection: `timeout_sec` bounds connecting and, without keep_alive, the silence of a peer that
    has to say something (0: no bound). With keep_alive the kernel's probes do the latter."""

    timeout_sec: float = 10.0
    keep_alive: KeepAlive | None = None

    @property
    def silence_sec(self) -> float:
        """Longest silence of a peer, 0 for no limit."""
        return 0.0 if self.keep_alive else self.timeout_sec


class Connection:
    """One conversation with one peer. `peer_id` and `peer_kind` are what the peer says of itself, `command` is the
    conversation's name."""

    def __init__(self, stream: Stream, world: World, timeout_sec: float = 0.0) -> None:
        self.world = world
        self.timeout_sec = timeout_sec
        self.peer = stream.peer
        self.peer_id = ""
        self.peer_kind = ""
        self.command = ""
        self._stream = stream
        self._receiver = FrameReceiver()
        self._write_lock = asyncio.Lock()
        self._writing: asyncio.Timeout | None = None
        self._last_sent = 0.0
        self._heartbeat: asyncio.Task[None] | None = None
        self._is_closed = False
        self._on_close: Callable[[], None] | None = None

    def __str__(self) -> str:
        return f"{self.peer_kind} {self.peer_id} ({self.peer})" if self.peer_id else self.peer

    def introduce(self, peer_id: str, peer_kind: str, command: str) -> None:
        """Sets what the handshake told."""
        self.peer_id, self.peer_kind, self.command = peer_id, peer_kind, command

    def set_timing(self, timing: Timing) -> None:
        """Sets the limits that hold after the handshake."""
        self.timeout_sec = timing.silence_sec
        if timing.keep_alive:
            self._stream.keep_alive(timing.keep_alive)

    def on_close(self, action: Callable[[], None]) -> None:
        """Has `action` called once, when the connection is closed."""
        self._on_close = action

    async def send(self, kind: FrameType, payload: bytes = b"") -> None:
        """Sends a control frame. Raises PeerUnreachable."""
        await self.write(encode(kind, payload))

    async def write(self, frame: bytes | memoryview) -> None:
        """Sends a frame made by `frame.encode` or a sealed DataBuffer. Raises PeerUnreachable, also when the peer takes
        nothing for `timeout_sec` and is silent as well."""
        async with self._write_lock:
            if self._is_closed:
                raise PeerUnreachable(f"connection to {self} is closed")
            view = memoryview(frame)
            try:
                for start in range(0, len(view), WRITE_PIECE_BYTES):
                    async with asyncio.timeout(self.timeout_sec or None) as self._writing:
                        await self._stream.write(view[start : start + WRITE_PIECE_BYTES])
            except TimeoutError:
                self.close()
                raise PeerUnreachable(f"{self} took no data for {self.timeout_sec:g} s") from None
            except asyncio.CancelledError:
                self.close()  # part of a frame may be out: nothing can follow it
                raise
            finally:
                self._writing = None
            self._last_sent = self.world.monotonic()

    async def recv(self, *expected: FrameType) -> Frame:
        """The next frame that is no heartbeat, verified. Raises Refused for an ERROR frame, ProtocolViolation for a
        type not expected, Corrupted, PeerUnreachable."""
        frame = await self.recv_unverified(*expected)
        if not frame.is_verified:
            await run_to_end(self.world, frame.verify)
        return frame

    async def recv_unverified(self, *expected: FrameType, data_buffer: memoryview | None = None) -> Frame:
        """As `recv`, but large and DATA frames are still to be verified by the caller, in a thread. The payload of a
        DATA frame lies in data_buffer when it fits there."""
        receiver = self._receiver
        receiver.expected = expected
        if data_buffer is not None:
            receiver.data_buffer = data_buffer
        while True:
            frame = await self._next_frame()
            if frame.type is FrameType.ERROR:
                text = ErrorText.decode(frame.payload, f"error from {self}")
                raise Refused(text.message, text.hint)
            if frame.type is not FrameType.HEARTBEAT:
                return frame

    async def _next_frame(self) -> Frame:
        timeout_sec = self.timeout_sec or None
        try:
            async with asyncio.timeout(timeout_sec) as silence:
                while True:
                    frame = await self._read_some()
                    if frame:
                        return frame
                    self._restart(silence)
        except TimeoutError:
            raise PeerUnreachable(f"{self} was silent for {timeout_sec:g} s") from None

    async def _read_some(self) -> Frame | None:
        receiver = self._receiver
        count = await self._stream.read_into(receiver.wanted())
        if count == 0:
            where = "" if receiver.is_between_frames else " in the middle of a frame"
            raise PeerUnreachable(f"{self} closed the connection{where}")
        if self._writing:
            self._restart(self._writing)  # the peer lives: it is only busy with what it got before
        try:
            return receiver.received(count)
        except (ProtocolViolation, Corrupted) as error:
            error.message = f"{self}: {error.message}"
            raise

    def _restart(self, limit: asyncio.Timeout) -> None:
        if self.timeout_sec:
            limit.reschedule(asyncio.get_running_loop().time() + self.timeout_sec)

    def start_heartbeats(self) -> None:
        """From now on until the end the peer gets a sign of life at least every HEARTBEAT_SEC, so that work on this
        side may take its time."""
        if self._heartbeat is None:
            self._heartbeat = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        with contextlib.suppress(WalbError):  # the conversation itself will notice
            while not self._is_closed:
                idle = self.world.monotonic() - self._last_sent
                if idle >= HEARTBEAT_SEC:
                    await self.send(FrameType.HEARTBEAT)
                    idle = 0.0
                await self.world.sleep(HEARTBEAT_SEC - idle)

    async def send_error(self, error: BaseException) -> None:
        """Tells the peer why the conversation ends, as far as it still listens, and closes."""
        await self.send_last(encode(FrameType.ERROR, ErrorText.of(error).encode()))

    async def send_last(self, data: bytes) -> None:
        """Sends a last message, as far as the peer still listens, and closes."""
        with contextlib.suppress(WalbError, TimeoutError):
            async with asyncio.timeout(LINGER_SEC):
                await self.write(data)
            await self.end()
        self.close()

    async def end(self) -> None:
        """Ends the conversation after the last frame: closes when the peer has closed, or soon. (Closing with received
        bytes unread would reset the connection and could lose the last frame.)"""
        if self._is_closed:
            return
        async with self._write_lock:  # no heartbeat after this, nor half of one
            self._stop_heartbeats()
            self._stream.finish()
        scrap = memoryview(bytearray(_LINGER_BUFFER_BYTES))
        with contextlib.suppress(WalbError, TimeoutError):
            async with asyncio.timeout(LINGER_SEC):
                while await self._stream.read_into(scrap):
                    pass
        self.close()

    def close(self) -> None:
        """Closes at once."""
        if not self._is_closed:
            self._is_closed = True
            self._stop_heartbeats()
            self._stream.close()
            if self._on_close:
                self._on_close()

    def _stop_heartbeats(self) -> None:
        if self._heartbeat:
            self._heartbeat.cancel()

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Closes; a failure that is ours is told to the peer."""
        if isinstance(error, asyncio.CancelledError):
            await self.send_error(Cancelled(f"{self.command} was ended by a stop or shutdown of the other side"))
        elif error is not None and not isinstance(error, Refused | PeerUnreachable):
            await self.send_error(error)
        self.close()

"""The client's side over a blocking socket, for programs that must start fast (no asyncio here)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from walbd.model.address import Address
from walbd.model.error import PeerUnreachable, Refused, connecting_hint
from walbd.net.control_reply import Outcome, ReplyReader
from walbd.net.frame import Frame, FrameReceiver, FrameType, encode
from walbd.net.handshake import Identity, hello, judge_welcome
from walbd.net.messages import ErrorText, Params, Progress, Welcome


class BlockingConnection:
    """One conversation over a blocking socket. `timeout_sec` bounds connecting and the silence of the peer, 0 means no
    limit."""

    def __init__(self, server: Address, command: str, me: Identity, timeout_sec: float = 10.0) -> None:
        """Connects and greets; raises PeerUnreachable, Refused, ProtocolViolation."""
        self.peer = str(server)
        self._timeout_sec = timeout_sec
        self._receiver = FrameReceiver()
        try:
            self._socket = socket.create_connection((server.host, server.port), timeout_sec or None)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError as error:
            raise PeerUnreachable(f"no connection to {self.peer} within {timeout_sec:g} s") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise PeerUnreachable(f"cannot connect to {self.peer}: {reason}", connecting_hint(error)) from error
        try:
            greeting = hello(me, command)
            self.send(FrameType.HELLO, greeting.encode())
            answer = Welcome.decode(self.recv(FrameType.WELCOME).payload, f"greeting of {self.peer}")
            judge_welcome(greeting, answer)
        except BaseException:
            self.close()
            raise
        self.peer = f"{answer.kind} {answer.node_id} ({self.peer})"

    def send(self, kind: FrameType, payload: bytes = b"") -> None:
        """Sends a control frame. Raises PeerUnreachable."""
        try:
            self._socket.sendall(encode(kind, payload))
        except TimeoutError as error:
            raise PeerUnreachable(f"{self.peer} took no data for {self._timeout_sec:g} s") from error
        except OSError as error:
            raise PeerUnreachable(f"connection to {self.peer} broke: {error.strerror}") from error

    def recv(self, *expected: FrameType) -> Frame:
        """The next frame that is no heartbeat, verified. Raises Refused for an ERROR frame, ProtocolViolation for a
        type not expected, Corrupted, PeerUnreachable."""
        self._receiver.expected = expected
        while True:
            frame = self._receiver.received(self._read())
            if frame is None:
                continue
            if not frame.is_verified:
                frame.verify()
            if frame.type is FrameType.ERROR:
                text = ErrorText.decode(frame.payload, f"error from {self.peer}")
                raise Refused(text.message, text.hint)
            if frame.type is not FrameType.HEARTBEAT:
                return frame

    def _read(self) -> int:
        try:
            count = self._socket.recv_into(self._receiver.wanted())
        except TimeoutError as error:
            raise PeerUnreachable(f"{self.peer} was silent for {self._timeout_sec:g} s") from error
        except OSError as error:
            raise PeerUnreachable(f"connection to {self.peer} broke: {error.strerror}") from error
        if count == 0:
            raise PeerUnreachable(f"{self.peer} closed the connection", "is a WalB server running there?")
        return count

    def close(self) -> None:
        """Closes at once."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def call(
    server: Address,
    command: str,
    params: Sequence[str],
    me: Identity,
    *,
    timeout_sec: float = 10.0,
    wait: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_accept: Callable[[], None] | None = None,
) -> Outcome:
    """The outcome of one control command; `on_accept` is called when the server has begun. Raises PeerUnreachable,
    ProtocolViolation, Corrupted, and Refused with the server's reason."""
    with BlockingConnection(server, command, me, timeout_sec) as connection:
        connection.send(FrameType.REQUEST, Params(tuple(params), wait).encode())
        reader = ReplyReader(wait, connection.peer)
        while True:
            reply = reader.take(connection.recv(*reader.expected()))
            if isinstance(reply, Outcome):
                return reply
            if reply and on_progress:
                on_progress(reply)
            elif reply is None and on_accept:
                on_accept()

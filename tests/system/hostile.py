"""Peers that do not keep to the rules: foreign protocols, frames made by hand."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from demo.group import HOST
from walbd.model.error import WalbError
from walbd.model.varint import Encoder
from walbd.net.frame import MAGIC, FrameReceiver, FrameType, crc32c, encode
from walbd.net.messages import ErrorText

TIMEOUT_SEC = 15.0


class HostilePeer:
    """A client that sends what it is told."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), TIMEOUT_SEC)
        self._receiver = FrameReceiver()

    def __enter__(self) -> HostilePeer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Any bytes."""
        self._socket.sendall(data)

    def half_close(self) -> None:
        """Says that no more comes."""
        self._socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """Everything the server still says until it hangs up."""
        data = b""
        try:
            while piece := self._socket.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def frame(self, *expected: FrameType) -> tuple[FrameType, bytes]:
        """The next frame that is no heartbeat; raises WalbError where the server's bytes are no frame."""
        self._receiver.expected = expected
        while True:
            count = self._socket.recv_into(self._receiver.wanted())
            if not count:
                raise ConnectionError("the server hung up")
            frame = self._receiver.received(count)
            if frame and frame.type is not FrameType.HEARTBEAT:
                return frame.type, bytes(frame.payload)

    def greet(self, command: str, kind: str = "storage", versions: tuple[int, int] = (1, 1)) -> None:
        """A good handshake."""
        self.send(hello(command, kind, versions))
        got, payload = self.frame(FrameType.WELCOME)
        assert got is FrameType.WELCOME, error_text(payload)

    def error(self) -> str:
        """The ERROR frame that must come now."""
        got, payload = self.frame()
        assert got is FrameType.ERROR, got
        return error_text(payload)


def error_text(payload: bytes) -> str:
    """An ERROR frame as an operator sees it."""
    text = ErrorText.decode(payload, "error")
    return str(WalbError(text.message, text.hint))


def hello(command: str, kind: str = "storage", versions: tuple[int, int] = (1, 1), node_id: str = "hostile") -> bytes:
    """A HELLO frame; none of our validators looks at its fields."""
    fields = Encoder().varint(versions[0]).varint(versions[1]).string(node_id).string(kind).string(command)
    return encode(FrameType.HELLO, fields.list_of_strings(("none",)).bytes())


def control_request(params: Sequence[str], wait: bool = False) -> bytes:
    """A REQUEST frame of a control command."""
    return encode(FrameType.REQUEST, Encoder().bool(wait).list_of_strings(tuple(params)).bytes())


def head(kind: int, length: int, payload_crc: int = 0, flags: int = 0) -> bytes:
    """The head of a frame with a good checksum of its own and any content."""
    checked = struct.pack("<4sHHII", MAGIC, kind, flags, length, payload_crc)
    return checked + struct.pack("<I", crc32c(checked))


def control(port: int, command: str, params: Sequence[str]) -> str:
    """Sends a command that no walbc would send; returns the error it gets."""
    with HostilePeer(port) as peer:
        peer.greet(command, "walbc")
        peer.send(control_request(params))
        return peer.error()

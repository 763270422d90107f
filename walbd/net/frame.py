"""Frames, without I/O (docs/protocol.md, "Frames").

    offset  size  field
    0       4     magic ff 57 4c 42
    4       2     type
    6       2     flags, 0
    8       4     length of the payload in bytes, at most the cap of the type
    12      4     CRC-32C of the payload
    16      4     CRC-32C of bytes 0..15, so that a damaged length is never waited for
    20            payload

Integers are little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from walbd._core import ffi, lib
from walbd.model.error import Corrupted, ProtocolViolation
from walbd.model.limits import MAX_BULK_BYTES

# No text begins with ff; walb-tools 1.0 reads it as the length of a string of 2^64-1 bytes and hangs up at once.
MAGIC = b"\xffWLB"
HEADER_BYTES = 20
_HEADER = struct.Struct("<4sHHIII")
_CHECKED_BYTES = 16


class FrameType(IntEnum):
    """All there are; the number is the one on the wire."""

    HELLO = 1
    WELCOME = 2
    REQUEST = 3
    ACCEPT = 4
    OK = 5
    ERROR = 6
    PROGRESS = 7
    HEARTBEAT = 8
    DATA = 9
    END = 10
    ACK = 11
    ANSWER = 12
    LOG_UUID = 13
    SNAPSHOT = 14


ALWAYS_EXPECTED = (FrameType.ERROR, FrameType.HEARTBEAT)
# Up to this size a payload is verified where it is received, larger ones in a thread.
SMALL_BYTES = 64 << 10

# A DATA frame carries at most one bulk of the largest size and the table before it.
MAX_DATA_BYTES = MAX_BULK_BYTES + (64 << 10)

MAX_PAYLOAD_BYTES = {
    FrameType.HELLO: 8 << 10,
    FrameType.WELCOME: 4 << 10,
    FrameType.REQUEST: 64 << 10,
    FrameType.ACCEPT: 4 << 10,
    FrameType.OK: 16 << 20,
    FrameType.ERROR: 32 << 10,
    FrameType.PROGRESS: 1 << 10,
    FrameType.HEARTBEAT: 0,
    FrameType.DATA: MAX_DATA_BYTES,
    FrameType.END: 1 << 10,
    FrameType.ACK: 0,
    FrameType.ANSWER: 64,
    FrameType.LOG_UUID: 16,
    FrameType.SNAPSHOT: 64,
}


DAMAGE_HINT = "is the network damaging data?"
SPEAKS_HTTP = "it speaks HTTP"
SPEAKS_WALB_TOOLS = "it speaks the protocol of walb-tools 1.0"


class ForeignProtocol(ProtocolViolation):
    """The first bytes are not ours. `first` are those that came."""

    def __init__(self, first: bytes) -> None:
        super().__init__(f"peer does not speak the WalB protocol: {describe_foreign(first)}")
        self.first = first


@dataclass(frozen=True, slots=True)
class Header:
    """The checked head of a frame; `payload_crc` still has to be compared with the payload."""

    type: FrameType
    length: int
    payload_crc: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A received frame. Large ones and DATA are not verified yet: do it with `verify`, in a thread."""

    header: Header
    payload: memoryview
    is_verified: bool

    @property
    def type(self) -> FrameType:
        return self.header.type

    def verify(self) -> None:
        """Raises Corrupted when the payload is not as it was sent. Releases the GIL over it."""
        if self.header.payload_crc != crc32c(self.payload):
            raise Corrupted(f"damaged {self.type.name} frame of {self.header.length} bytes", DAMAGE_HINT)


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """CRC-32C (Castagnoli)."""
    return int(lib.walb_crc32c(ffi.from_buffer(data), len(data), 0)) if len(data) else 0


def header_for(kind: FrameType, payload: bytes | bytearray | memoryview) -> bytes:
    """The bytes to send before the payload. Raises ProtocolViolation when that is longer than its cap."""
    length = len(payload)
    _check_length(kind, length)
    checked = _HEADER.pack(MAGIC, kind, 0, length, crc32c(payload), 0)[:_CHECKED_BYTES]
    return checked + crc32c(checked).to_bytes(4, "little")


def encode(kind: FrameType, payload: bytes = b"") -> bytes:
    """A whole control frame."""
    return header_for(kind, payload) + payload


def parse_header(data: bytes) -> Header:
    """The head of a frame from its bytes; raises ProtocolViolation, Corrupted."""
    magic, number, flags, length, payload_crc, header_crc = _HEADER.unpack(data)
    if magic != MAGIC:
        raise ForeignProtocol(data)
    if header_crc != crc32c(data[:_CHECKED_BYTES]):
        raise Corrupted("damaged head of a frame", DAMAGE_HINT)
    try:
        kind = FrameType(number)
    except ValueError:
        raise ProtocolViolation(f"unknown frame type {number}") from None
    if flags:
        raise ProtocolViolation(f"unknown flags {flags:#06x} in a {kind.name} frame")
    _check_length(kind, length)
    return Header(kind, length, payload_crc)


def _check_length(kind: FrameType, length: int) -> None:
    cap = MAX_PAYLOAD_BYTES[kind]
    if length > cap:
        raise ProtocolViolation(f"{kind.name} frame of {length} bytes is longer than its limit {cap}")


class FrameReceiver:
    """Turns bytes in any split into frames. Read into `wanted()`, then tell `received()` how many came.

    The payload of DATA frames goes into `data_buffer`; where there is none, or it is too small, one of the size needed
    is made (the length has passed its cap then) and left in `data_buffer` for the next. `expected` are the types that
    may come, ERROR and HEARTBEAT besides; another is refused before memory is taken for it.
    """

    def __init__(self) -> None:
        self.data_buffer: memoryview | None = None
        self.expected: Collection[FrameType] = ()
        self._head = bytearray(HEADER_BYTES)
        self._header: Header | None = None
        self._target = memoryview(self._head)
        self._filled = 0

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream may end here."""
        return self._header is None and self._filled == 0

    def wanted(self) -> memoryview:
        """Where the next bytes go; never empty."""
        return self._target[self._filled :]

    def received(self, count: int) -> Frame | None:
        """Takes note of `count` bytes in `wanted()`; returns a frame when it is complete. Raises ProtocolViolation,
        Corrupted."""
        self._filled += count
        if self._header is None:
            first = bytes(self._head[: self._filled])
            if not MAGIC.startswith(first[: len(MAGIC)]):
                raise ForeignProtocol(first)
            if self._filled < HEADER_BYTES:
                return None
            self._header = self._accept_header(first)
            self._target = self._payload_place(self._header)
            self._filled = 0
        if self._filled < self._header.length:
            return None
        is_small = self._header.type is not FrameType.DATA and self._header.length <= SMALL_BYTES
        frame = Frame(self._header, self._target, is_small)
        self._header = None
        self._target = memoryview(self._head)
        self._filled = 0
        if is_small:
            frame.verify()
        return frame

    def _accept_header(self, head: bytes) -> Header:
        header = parse_header(head)
        if header.type not in self.expected and header.type not in ALWAYS_EXPECTED:
            wanted = " or ".join(kind.name for kind in self.expected) or "none"
            raise ProtocolViolation(f"unexpected {header.type.name} frame, expected {wanted}")
        return header

    def _payload_place(self, header: Header) -> memoryview:
        if header.type is not FrameType.DATA:
            return memoryview(bytearray(header.length))
        if self.data_buffer is None or len(self.data_buffer) < header.length:
            self.data_buffer = memoryview(bytearray(header.length))
        return self.data_buffer[: header.length]


def describe_foreign(first: bytes) -> str:
    """What a peer that is not ours probably speaks, by its first bytes."""
    if first[:5] in (b"GET /", b"POST ", b"PUT /", b"HEAD ", b"OPTIO", b"HTTP/", b"PRI *", b"CONNE", b"DELET"):
        return SPEAKS_HTTP
    if first[:2] == b"\x16\x03":
        return "it speaks TLS"
    if first[:4] == b"SSH-":
        return "it speaks SSH"
    if len(first) >= 2 and 1 <= first[0] < 0x80 and first[1:2].isalnum():
        return SPEAKS_WALB_TOOLS  # begins with the length and the text of its node id
    return f"it begins with {first[:8].hex(' ')}"

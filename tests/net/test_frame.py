"""Frames without I/O."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.error import Corrupted, ProtocolViolation
from walbd.net.data_buffer import DataBuffer, first_page
from walbd.net.frame import (
    HEADER_BYTES,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    ForeignProtocol,
    FrameReceiver,
    FrameType,
    crc32c,
    encode,
)

ALL = tuple(FrameType)
frames = st.sampled_from(ALL).flatmap(
    lambda kind: st.tuples(st.just(kind), st.binary(max_size=min(MAX_PAYLOAD_BYTES[kind], 300)))
)


def new_receiver() -> FrameReceiver:
    receiver = FrameReceiver()
    receiver.expected = ALL
    return receiver


def feed(receiver: FrameReceiver, data: bytes, piece: int) -> list[tuple[FrameType, bytes]]:
    """The frames of data that arrives in pieces of at most that size."""
    result = []
    while data:
        place = receiver.wanted()
        count = min(len(place), len(data), piece)
        place[:count] = data[:count]
        data = data[count:]
        frame = receiver.received(count)
        if frame:
            if not frame.is_verified:
                frame.verify()
            result.append((frame.type, bytes(frame.payload)))
    return result


def head(kind: int, length: int, flags: int = 0) -> bytes:
    checked = struct.pack("<4sHHII", MAGIC, kind, flags, length, 0)
    return checked + crc32c(checked).to_bytes(4, "little")


@given(st.lists(frames, max_size=6), st.integers(1, 400))
def test_frames_come_out_as_they_went_in_however_the_bytes_are_split(
    sent: list[tuple[FrameType, bytes]], piece: int
) -> None:
    receiver = new_receiver()
    assert feed(receiver, b"".join(encode(*frame) for frame in sent), piece) == sent
    assert receiver.is_between_frames


@given(st.binary(max_size=200), st.integers(1, 50), st.booleans())
def test_any_bytes_give_frames_or_one_of_two_errors(data: bytes, piece: int, with_magic: bool) -> None:
    try:
        feed(new_receiver(), MAGIC + data if with_magic else data, piece)
    except (ProtocolViolation, Corrupted) as error:
        assert str(error) and "\n" not in str(error)


@given(frames, st.data())
def test_a_changed_bit_anywhere_is_noticed(sent: tuple[FrameType, bytes], data: st.DataObject) -> None:
    damaged = bytearray(encode(*sent))
    bit = data.draw(st.integers(0, len(damaged) * 8 - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises((ProtocolViolation, Corrupted)):
        feed(new_receiver(), bytes(damaged), 1 << 20)


@pytest.mark.parametrize("kind", ALL)
def test_a_frame_longer_than_its_cap_is_refused_by_its_header_alone(kind: FrameType) -> None:
    cap = MAX_PAYLOAD_BYTES[kind]
    with pytest.raises(ProtocolViolation, match=f"{kind.name} frame of {cap + 1} bytes is longer than its limit {cap}"):
        feed(new_receiver(), head(kind, cap + 1), 100)
    with pytest.raises(ProtocolViolation, match="longer than its limit"):
        encode(kind, bytes(cap + 1))


def test_an_unexpected_frame_is_refused_by_its_header_alone() -> None:
    receiver = FrameReceiver()
    receiver.expected = (FrameType.HELLO,)
    with pytest.raises(ProtocolViolation, match="unexpected OK frame, expected HELLO"):
        feed(receiver, head(FrameType.OK, 16 << 20), 100)


def test_unknown_types_and_flags_are_refused() -> None:
    with pytest.raises(ProtocolViolation, match="unknown frame type 99"):
        feed(new_receiver(), head(99, 0), 100)
    with pytest.raises(ProtocolViolation, match="unknown flags 0x0001 in a ACK frame"):
        feed(new_receiver(), head(FrameType.ACK, 0, flags=1), 100)


@pytest.mark.parametrize(
    "first, name",
    [
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", "TLS"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH"),
        (b"\x05ctrl0\x03get\x01", "walb-tools 1.0"),
        (b"\xa5\x00\x01\x02\x03\x04\x05\x06\x07", "it begins with a5 00 01 02 03 04 05 06"),
    ],
)
def test_a_peer_that_speaks_something_else_is_named_at_its_first_bytes(first: bytes, name: str) -> None:
    with pytest.raises(ForeignProtocol, match=name):
        feed(new_receiver(), first, 100)


def test_data_goes_into_the_buffer_given_and_a_larger_one_is_made_when_needed() -> None:
    buffer = memoryview(bytearray(100))
    receiver = new_receiver()
    receiver.data_buffer = buffer
    assert feed(receiver, encode(FrameType.DATA, b"a" * 100), 30) == [(FrameType.DATA, b"a" * 100)]
    assert bytes(buffer) == b"a" * 100
    assert feed(receiver, encode(FrameType.DATA, b"b" * 101), 30) == [(FrameType.DATA, b"b" * 101)]
    assert bytes(buffer) == b"a" * 100


@given(st.binary(min_size=1, max_size=5000), st.integers(0, 5000))
def test_a_sealed_buffer_is_a_data_frame(payload: bytes, table_bytes: int) -> None:
    buffer = DataBuffer(len(payload), table_bytes)
    buffer.start = first_page(table_bytes) - table_bytes
    buffer.end = buffer.start + len(payload)
    buffer.memory[buffer.start : buffer.end] = payload
    buffer.seal()
    assert buffer.start >= HEADER_BYTES
    assert feed(new_receiver(), bytes(buffer.frames), 1 << 20) == [(FrameType.DATA, payload)]


def test_a_buffer_holds_several_frames_and_forgets_them() -> None:
    buffer = DataBuffer(100)

    def put(payload: bytes) -> None:
        buffer.end = buffer.start + len(payload)
        buffer.memory[buffer.start : buffer.end] = payload

    for payload in (b"one", b"another"):
        buffer.clear()
        put(payload)
        buffer.next_frame()
        put(b"last")
        buffer.seal()
        frames = feed(new_receiver(), bytes(buffer.frames), 1 << 20)
        assert frames == [(FrameType.DATA, payload), (FrameType.DATA, b"last")]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 12_287, 12_288, 12_297, 40_000])
def test_the_checksum_is_the_castagnoli_crc(length: int) -> None:
    data = bytes((n * n + 7 * n) & 0xFF for n in range(length))
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
    assert crc32c(data) == crc ^ 0xFFFF_FFFF
    assert crc32c(b"123456789") == 0xE306_9283

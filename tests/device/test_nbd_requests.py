from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.device import nbd_protocol as nbd
from walbd.device.user.requests import Request, parse_request, refusal
from walbd.model.error import ProtocolViolation

DEVICE_BYTES = 1 << 20


def head(command: int, offset: int = 0, size: int = 512, flags: int = 0, cookie: int = 7) -> bytes:
    return nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, command, cookie, offset, size)


def request(command: int, offset: int = 0, size: int = 512, flags: int = 0) -> Request:
    return Request(command, flags, 7, offset, size, 28, 28)


def test_a_write_is_found_with_its_payload() -> None:
    data = b"junk" + head(nbd.CMD_WRITE, 1024, 512, nbd.CMD_FLAG_FUA) + bytes(512)
    found = parse_request(memoryview(data), 4, len(data))
    assert found == Request(nbd.CMD_WRITE, nbd.CMD_FLAG_FUA, 7, 1024, 512, 32, 544)
    assert found.is_fua


def test_an_incomplete_request_says_how_much_it_needs() -> None:
    data = head(nbd.CMD_WRITE, 0, 4096)
    assert parse_request(memoryview(data), 0, 27) == 28
    assert parse_request(memoryview(data), 0, 28) == 28 + 4096


def test_a_read_has_no_payload() -> None:
    assert parse_request(memoryview(head(nbd.CMD_READ, 0, 4096)), 0, 28) == Request(nbd.CMD_READ, 0, 7, 0, 4096, 28, 28)


@pytest.mark.parametrize("data", [b"\0" * 28, b"x" * 28, head(nbd.CMD_WRITE, 0, nbd.MAX_PAYLOAD_BYTES + 512)])
def test_a_stream_that_cannot_be_followed_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        parse_request(memoryview(data), 0, len(data))


@pytest.mark.parametrize(
    "command", [nbd.CMD_READ, nbd.CMD_WRITE, nbd.CMD_TRIM, nbd.CMD_WRITE_ZEROES, nbd.CMD_BLOCK_STATUS]
)
def test_ranges_must_be_aligned_not_empty_and_on_the_device(command: int) -> None:
    outside = nbd.EINVAL if command in (nbd.CMD_READ, nbd.CMD_BLOCK_STATUS) else nbd.ENOSPC
    assert refusal(request(command, 0, DEVICE_BYTES), DEVICE_BYTES) == 0
    assert refusal(request(command, DEVICE_BYTES - 512, 512), DEVICE_BYTES) == 0
    assert refusal(request(command, DEVICE_BYTES, 512), DEVICE_BYTES) == outside
    assert refusal(request(command, 2**64 - 512, 512), DEVICE_BYTES) == outside
    assert refusal(request(command, 512, 0), DEVICE_BYTES) == nbd.EINVAL
    assert refusal(request(command, 1, 512), DEVICE_BYTES) == nbd.EINVAL
    assert refusal(request(command, 0, 100), DEVICE_BYTES) == nbd.EINVAL
    assert refusal(request(command, 0, 512, 1 << 9), DEVICE_BYTES) == nbd.EINVAL
    assert refusal(request(command, 0, 512, nbd.CMD_FLAG_FUA), DEVICE_BYTES) == 0


def test_a_read_larger_than_the_cap_is_refused() -> None:
    size = nbd.MAX_PAYLOAD_BYTES + 512
    assert refusal(request(nbd.CMD_READ, 0, size), 1 << 40) == nbd.EINVAL
    assert refusal(request(nbd.CMD_WRITE_ZEROES, 0, size), 1 << 40) == 0


@pytest.mark.parametrize("command", [5, 8, 65535])
def test_unknown_commands_are_refused(command: int) -> None:
    assert refusal(request(command), DEVICE_BYTES) == nbd.EINVAL


def test_zeros_are_never_fast() -> None:
    asked = request(nbd.CMD_WRITE_ZEROES, 0, 512, nbd.CMD_FLAG_FAST_ZERO)
    assert refusal(asked, DEVICE_BYTES) == nbd.ENOTSUP


def test_a_flush_has_no_range() -> None:
    assert refusal(request(nbd.CMD_FLUSH, 0, 0), DEVICE_BYTES) == 0
    assert refusal(request(nbd.CMD_FLUSH, 0, 512), DEVICE_BYTES) == nbd.EINVAL


@given(st.binary(max_size=80))
def test_random_bytes_never_reach_beyond_what_was_received(data: bytes) -> None:
    data = nbd.REQUEST_MAGIC.to_bytes(4, "big") + data
    try:
        found = parse_request(memoryview(data), 0, len(data))
    except ProtocolViolation:
        return
    assert found >= 28 if isinstance(found, int) else found.end <= len(data)

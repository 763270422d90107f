"""The native way of ordinary requests agrees with the general one, request by request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd._core import ffi, lib
from walbd.device import nbd_protocol as nbd
from walbd.device.user.chunk import ChunkPool
from walbd.device.user.replies import done, read_answer
from walbd.device.user.requests import Request, parse_request, refusal
from walbd.device.user.writes import NATIVE, WriteTaker

DEVICE_BYTES = 64 << 10
MAX_RECORD_LB = 8
MAX_READ_BYTES = 8192
DISK = os.urandom(DEVICE_BYTES)

offsets = st.one_of(
    st.integers(0, 127).map(lambda lb: lb * 512), st.sampled_from([1, DEVICE_BYTES, 2**64 - 512, 2**64 - 1])
)
sizes = st.one_of(st.sampled_from([512, 1024, 4096, 8192]), st.sampled_from([0, 100, 32768, 2**32 - 512]))
commands = st.one_of(st.sampled_from([nbd.CMD_READ, nbd.CMD_WRITE]), st.integers(0, 9))
flags = st.one_of(st.sampled_from([0, nbd.CMD_FLAG_FUA]), st.integers(0, 15))
heads = st.tuples(commands, flags, st.integers(0, 2**64 - 1), offsets, sizes).filter(
    lambda head: head[0] != nbd.CMD_WRITE or head[4] <= nbd.MAX_PAYLOAD_BYTES
)


def stream(requests: list[tuple[int, int, int, int, int]]) -> bytes:
    """The bytes of a client; writes with more payload than could come are left without."""
    sent = b""
    for number, (command, flag, cookie, offset, size) in enumerate(requests):
        sent += nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flag, command, cookie, offset, size)
        if command == nbd.CMD_WRITE and size <= 32768:
            sent += bytes([number + 1]) * size
    return sent


def parsed(sent: bytes) -> list[Request]:
    """The complete requests at the begin of what was sent."""
    found: list[Request] = []
    begin = 0
    while True:
        request = parse_request(memoryview(sent), begin, len(sent)) if begin < len(sent) else 28
        if isinstance(request, int):
            return found
        found.append(request)
        begin = request.end


def plain(requests: list[Request], command: int, most_bytes: int) -> list[Request]:
    """Those of the first that are plain requests of this kind."""
    taken: list[Request] = []
    for request in requests:
        is_plain = request.command == command and request.size_bytes <= most_bytes
        if not is_plain or refusal(request, DEVICE_BYTES):
            break
        taken.append(request)
    return taken


@given(st.lists(heads, max_size=8), st.integers(0, 40000), st.integers(1, 5))
def test_ordinary_writes_are_taken_as_one_up_to_the_first_that_differs(
    requests: list[tuple[int, int, int, int, int]], cut: int, most: int
) -> None:
    sent = stream(requests)[:cut]
    chunk = ChunkPool().take(len(sent) + 3)
    chunk.view[3 : 3 + len(sent)] = sent
    allowed = plain(parsed(sent), nbd.CMD_WRITE, MAX_RECORD_LB * 512)[:most]
    expected = list(takewhile(lambda request: request.flags == allowed[0].flags, allowed))
    taken = WriteTaker().take(chunk, 3, 3 + len(sent), DEVICE_BYTES, MAX_RECORD_LB, most)
    if not expected:
        assert taken is None and chunk.pins == 1
        return
    assert taken is not None
    writes, replies, used = taken
    assert used == expected[-1].end
    assert replies == b"".join(done(request.cookie) for request in expected)
    assert writes.is_fua == expected[0].is_fua and chunk.pins == 2
    assert writes.log_bytes == sum(request.size_bytes for request in expected)
    records = list(NATIVE.iter_unpack(writes.native))
    assert [(record[0] * 512, record[2] * 512) for record in records] == [
        (request.offset_bytes, request.size_bytes) for request in expected
    ]
    for record, request in zip(records, expected, strict=True):
        data = bytes(ffi.buffer(ffi.cast("uint8_t *", record[1]), request.size_bytes))
        assert data == sent[request.payload_begin : request.end]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A file that can be read without waiting."""
    path = tmp_path_factory.mktemp("disk") / "disk"
    path.write_bytes(DISK)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.preadv(fd, [bytearray(512)], 0, os.RWF_NOWAIT)
    except OSError as error:
        pytest.skip(f"this file system cannot read without waiting: {error.strerror}")
    yield fd
    os.close(fd)


@given(st.lists(heads, max_size=8), st.booleans(), st.integers(0, 40000), st.integers(0, 300))
def test_small_reads_are_answered_as_each_alone_would_be(
    disk: int, requests: list[tuple[int, int, int, int, int]], is_structured: bool, room: int, cut: int
) -> None:
    sent = stream(requests)[:cut]
    source = ffi.new("walb_nbd_source *", [disk, is_structured, DEVICE_BYTES, MAX_READ_BYTES])
    answered, answers = ffi.new("walb_nbd_answered *"), bytearray(room)
    lib.walb_nbd_answer_reads(source, sent, len(sent), ffi.from_buffer(answers), room, answered)
    expected = b""
    used = 0
    for request in plain(parsed(sent), nbd.CMD_READ, MAX_READ_BYTES):
        answer, payload = read_answer(request.cookie, request.offset_bytes, request.size_bytes, is_structured)
        payload[:] = DISK[request.offset_bytes : request.offset_bytes + request.size_bytes]
        if len(expected) + len(answer) > room:
            break
        expected += answer
        used = request.end
    assert (answered.request_bytes, bytes(answers[: answered.answer_bytes])) == (used, expected)

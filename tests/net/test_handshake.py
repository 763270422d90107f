"""Handshake: versions, authentication methods, peers that speak something else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.net.net_testing import ARCHIVE, CONTROL, SERVER, MemoryNetwork, MemoryStream, until, world_on
from walbd.model.error import Corrupted, InvalidArgument, PeerUnreachable, ProtocolViolation, Refused
from walbd.model.varint import Decoder
from walbd.net import handshake
from walbd.net.client import connect
from walbd.net.connection import Connection
from walbd.net.control import ControlRequest, call, control_conversation
from walbd.net.frame import FrameType, encode
from walbd.net.messages import ErrorText, Hello, Params, Progress, Result, Welcome
from walbd.net.server import Server

RECORDS = (Hello, Welcome, ErrorText, Params, Result, Progress)


def hello(low: int, high: int, *methods: str) -> Hello:
    return Hello(low, high, "host1", "walbc", "status", methods or ("none",))


def test_the_highest_common_version_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "VERSION_MIN", 2)
    monkeypatch.setattr(handshake, "VERSION_MAX", 5)
    for low, high, version in ((1, 2, 2), (1, 9, 5), (3, 4, 4), (5, 9, 5)):
        assert handshake.judge_hello(ARCHIVE, hello(low, high)).version == version
    for low, high in ((1, 1), (6, 9)):
        with pytest.raises(Refused, match=r"client host1 speaks .*, server a0 speaks 2 to 5"):
            handshake.judge_hello(ARCHIVE, hello(low, high))


def test_without_a_common_authentication_method_both_sides_methods_are_named() -> None:
    with pytest.raises(Refused, match="client host1 offers magic words, server a0 accepts none"):
        handshake.judge_hello(ARCHIVE, hello(1, 1, "magic", "words"))


def test_the_client_refuses_what_it_has_not_offered() -> None:
    for welcome in (Welcome(2, "a0", "archive", "none"), Welcome(1, "a0", "archive", "magic")):
        with pytest.raises(ProtocolViolation, match="not offered"):
            handshake.judge_welcome(hello(1, 1), welcome)


@given(st.binary(max_size=300), st.sampled_from(RECORDS))
def test_messages_of_any_bytes_decode_or_are_corrupted(data: bytes, record: type[Hello]) -> None:
    try:
        value = record.decode(data, "message")
    except Corrupted:
        return
    assert record.decode(value.encode(), "message") == value


def test_names_in_a_greeting_are_checked() -> None:
    for node_id, kind, command in (("a\nb", "walbc", "x"), ("a", "w c", "x"), ("a", "walbc", ""), ("a", "b", "x" * 65)):
        with pytest.raises(InvalidArgument):
            Hello(1, 1, node_id, kind, command, ("none",))


class Group:
    """A server with one command on a network in memory."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.world = world_on(self.network)
        self.errors: list[BaseException] = []

        async def status(_: ControlRequest) -> list[str]:
            return ["fine"]

        conversations = {"status": control_conversation(status)}
        self.server = Server(self.world, ARCHIVE, conversations, lambda _, error: self.errors.append(error))
        self.task = asyncio.create_task(self.server.serve(self.network))


@pytest.fixture
async def group() -> AsyncIterator[Group]:
    group = Group()
    await asyncio.sleep(0)
    yield group
    group.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await group.task


async def answer(group: Group, first: bytes) -> bytes:
    """What the server says to a peer that begins so and then waits."""
    stream = await group.network.connect("memory", 1, 1)
    await stream.write(first)
    buffer, result = memoryview(bytearray(4096)), b""
    async with asyncio.timeout(10):
        while count := await stream.read_into(buffer):
            result += buffer[:count]
    stream.close()
    return result


async def test_a_browser_is_told_in_its_own_way_that_it_is_wrong_here(group: Group) -> None:
    text = await answer(group, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert text.startswith(b"HTTP/1.0 400 ") and b"walb-archive a0" in text
    assert isinstance(group.errors[0], ProtocolViolation)
    assert (await call(group.world, SERVER, "status", [], CONTROL)).strings == ["fine"]


async def test_a_client_of_walb_tools_gets_an_error_text_it_can_show(group: Group) -> None:
    reply = Decoder(await answer(group, b"\x05ctrl0\x03get\x01"), "reply")
    assert reply.string() == "a0"
    assert "walb-tools 1.0" in reply.string()
    reply.finish()


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02\x00", b"SSH-2.0-x\r\n", b"\x00", bytes(range(200, 250))])
async def test_any_other_peer_gets_one_line(group: Group, first: bytes) -> None:
    text = await answer(group, first)
    assert text.endswith(b"\n") and text.count(b"\n") == 1 and b"does not speak the WalB protocol" in text


@pytest.mark.parametrize(
    "first, reason",
    [
        (encode(FrameType.HELLO, b"nonsense"), "greeting of memory"),
        (encode(FrameType.OK, b""), "unexpected OK frame"),
        (encode(FrameType.HELLO, hello(7, 9).encode()), "client host1 speaks 7 to 9, server a0 speaks 1"),
    ],
)
async def test_a_bad_greeting_is_answered_with_the_reason(group: Group, first: bytes, reason: str) -> None:
    stream = await group.network.connect("memory", 1, 1)
    connection = Connection(stream, group.world, 10)
    await connection.write(first)
    with pytest.raises(Refused, match=reason):
        await connection.recv(FrameType.WELCOME)
    connection.close()


async def test_a_peer_that_hangs_up_at_once_does_no_harm(group: Group) -> None:
    (await group.network.connect("memory", 1, 1)).close()
    await until(lambda: group.errors)
    assert isinstance(group.errors[0], PeerUnreachable)
    assert (await call(group.world, SERVER, "status", [], CONTROL)).strings == ["fine"]


async def test_a_client_that_meets_another_protocol_says_so() -> None:
    network = MemoryNetwork()

    async def web_server(stream: MemoryStream) -> None:
        await stream.write(b"HTTP/1.1 400 Bad Request\r\n")

    task = asyncio.create_task(network.serve(web_server))
    await asyncio.sleep(0)
    with pytest.raises(ProtocolViolation, match="it speaks HTTP"):
        await connect(world_on(network), SERVER, "status", CONTROL)
    network.close()
    await task

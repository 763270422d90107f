"""The accept loop and its limits over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator

import pytest

from tests.net.net_testing import ARCHIVE, CONTROL, WORLD, until
from walbd.model.address import Address
from walbd.model.error import PeerUnreachable, Refused, StorageFailure
from walbd.net import server as server_module
from walbd.net.client import connect
from walbd.net.connection import Timing
from walbd.net.control import ControlRequest, call, control_conversation
from walbd.net.server import Server
from walbd.world.network import KeepAlive, SocketStream


async def status(_: ControlRequest) -> list[str]:
    return ["fine"]


class Running:
    """A server on a free port."""

    def __init__(self, timing: Timing | None = None) -> None:
        self.errors: list[BaseException] = []
        conversations = {"status": control_conversation(status)}
        server = Server(WORLD, ARCHIVE, conversations, lambda _, error: self.errors.append(error), timing=timing)
        self.server = server
        listener = WORLD.network.listen("127.0.0.1", 0)
        self.address = Address("127.0.0.1", listener.port)
        self.task = asyncio.create_task(server.serve(listener))

    async def answers(self) -> bool:
        return (await call(WORLD, self.address, "status", [], CONTROL)).strings == ["fine"]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    running = Running(Timing(keep_alive=KeepAlive(60, 5, 3)))
    yield running
    running.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running.task
    await running.server.end_connections()


async def test_a_server_out_of_files_serves_again_when_there_are_some(running: Running) -> None:
    assert await running.answers()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [socket.socket()]
    client = socket.socket()
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(sock.fileno() for sock in [*held, client]) + 8, hard))
        with contextlib.suppress(OSError):
            while True:
                held.append(socket.socket())
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", running.address.port))
        await asyncio.sleep(0.05)  # the accept loop meets the shortage
        assert not running.task.done()
    finally:
        for sock in [*held, client]:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert await running.answers()


async def test_connections_that_say_nothing_are_limited_and_given_up(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_GREETING_CONNECTIONS", 3)
    monkeypatch.setattr(server_module, "GREETING_SEC", 0.3)
    silent = [await WORLD.network.connect("127.0.0.1", running.address.port, 5) for _ in range(3)]
    with pytest.raises(Refused, match="too many connections that say nothing"):
        await running.answers()
    await until(lambda: len(running.errors) == 4)
    assert sum(isinstance(error, PeerUnreachable) for error in running.errors) == 3
    for stream in silent:
        stream.close()
    assert await running.answers()


async def test_keep_alive_replaces_the_time_out_after_the_handshake(running: Running) -> None:
    timing = Timing(timeout_sec=3.0, keep_alive=KeepAlive(120, 7, 4))
    async with await connect(WORLD, running.address, "status", CONTROL, timing) as connection:
        assert connection.timeout_sec == 0
        stream = connection._stream
        assert isinstance(stream, SocketStream)
        sock = stream._socket
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [120, 7, 4]


async def test_an_occupied_port_is_an_error_that_says_what_to_do(running: Running) -> None:
    with pytest.raises(StorageFailure, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use .*-p"):
        WORLD.network.listen("127.0.0.1", running.address.port)

"""A client that says nothing, or whose host has vanished, gives its place back; one that is slow keeps it."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from pathlib import Path

import pytest
import uvloop

from demo.group import free_port
from tests.device.engine_rig import Rig
from tests.device.slow_transport import SlowTransport
from tests.device.walb_devices import BOUND_SEC, RawClient
from walbd.device import nbd_protocol as nbd
from walbd.device.user import connection as connections
from walbd.device.user.connection import Connection
from walbd.device.user.handshake import Export
from walbd.device.user.kernel_connection import KernelConnection
from walbd.device.user.outbox import MAX_ANSWER_BYTES
from walbd.device.user.server import DEAD_PEER_SEC, TCP_OPTIONS, listen_tcp
from walbd.model.address import Address


async def test_a_client_that_does_not_negotiate_gives_its_place_back(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connections, "HANDSHAKE_SEC", 0.05)
    clients: set[Connection] = set()

    def connection() -> Connection:
        return Connection(rig.engine, rig.reader, rig.pool, lambda: Export("vol", 1 << 20, 4096), clients)

    path = tmp_path / "vol.nbd"
    server = await asyncio.get_running_loop().create_unix_server(connection, path)
    good = await asyncio.to_thread(RawClient, path)
    silent, _ = await asyncio.open_unix_connection(path)
    async with asyncio.timeout(BOUND_SEC):
        assert len(await silent.read()) == 18  # the greeting, then the end
    assert len(clients) == 1
    assert capsys.readouterr().err.count("did not negotiate within") == 1
    good.request(0, 7, 0, 512)
    assert await asyncio.to_thread(good.reply) == (7, 0)
    good.close()
    server.close()


class Accepted(asyncio.Protocol):
    """Notes the options of the connections a server accepts."""

    def __init__(self, found: asyncio.Future[tuple[int, list[int]]]) -> None:
        self._found = found

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sock = transport.get_extra_info("socket")
        options = [sock.getsockopt(socket.IPPROTO_TCP, option) for option in TCP_OPTIONS]
        self._found.set_result((sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), options))
        transport.close()


def test_the_kernel_watches_the_peers_of_tcp_connections() -> None:
    async def options() -> tuple[int, list[int]]:
        found: asyncio.Future[tuple[int, list[int]]] = asyncio.get_running_loop().create_future()
        server = await listen_tcp(lambda: Accepted(found), Address("127.0.0.1", free_port()))
        with socket.create_connection(server.sockets[0].getsockname()[:2]):
            async with asyncio.timeout(BOUND_SEC):
                return await found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        is_watched, values = runner.run(options())
    assert is_watched and values == list(TCP_OPTIONS.values())
    assert TCP_OPTIONS[socket.TCP_USER_TIMEOUT] == DEAD_PEER_SEC * 1000


async def test_a_client_that_always_lags_a_little_is_served_for_ever(rig: Rig) -> None:
    export = Export("vol", 1 << 20, 4096)
    served = KernelConnection(rig.engine, rig.reader, rig.pool, lambda: export, set(), lambda lost: None)
    transport = SlowTransport()
    served.connection_made(transport)
    request = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_READ, 1, 0, 64 << 10)
    answer_bytes = nbd.REPLY.size + (64 << 10)
    for count in range(1, 2 * MAX_ANSWER_BYTES // answer_bytes):
        served.get_buffer(-1)[: len(request)] = request
        served.buffer_updated(len(request))
        async with asyncio.timeout(BOUND_SEC):
            while transport.sent_bytes < count * answer_bytes:
                transport.has_sent.clear()
                await transport.has_sent.wait()
        assert not transport.is_reading_paused
    assert rig.reader.answer_bytes == 0


async def test_zeros_that_a_lost_client_asked_for_do_not_follow_what_it_writes_on_its_next_connection(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MAX_ZERO_RECORDS", 1)
    export = Export("vol", 1 << 20, 4096)
    lost = KernelConnection(rig.engine, rig.reader, rig.pool, lambda: export, set(), lambda lost: None)
    lost.connection_made(SlowTransport())
    gate = rig.gate("write log")
    request = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_WRITE_ZEROES, 1, 0, 64 << 10)
    lost.get_buffer(-1)[: len(request)] = request
    lost.buffer_updated(len(request))
    lost.connection_lost(None)
    write = rig.start_write(32 << 10, b"a" * 512)
    gate.set()
    assert await write == 0
    await rig.engine.settle()
    assert await rig.read(32 << 10, 512) == b"a" * 512


class KeepingTransport(SlowTransport):
    """Nothing is taken: what is to be sent stays as it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[bytes | bytearray | memoryview] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.kept.append(data)


async def test_small_answers_that_wait_take_no_more_memory_than_they_are_large(rig: Rig) -> None:
    export = Export("vol", 1 << 20, 4096)
    served = KernelConnection(rig.engine, rig.reader, rig.pool, lambda: export, set(), lambda lost: None)
    transport = KeepingTransport()
    served.connection_made(transport)
    request = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_READ, 1, 0, 512)
    for count in range(1, 11):
        served.get_buffer(-1)[: len(request)] = request
        served.buffer_updated(len(request))
        async with asyncio.timeout(BOUND_SEC):
            while transport.sent_bytes < count * (nbd.REPLY.size + 512):
                transport.has_sent.clear()
                await transport.has_sent.wait()
    owners = [data.obj if isinstance(data, memoryview) else data for data in transport.kept]
    assert (
        sum(memoryview(owner).nbytes for owner in {id(owner): owner for owner in owners}.values())
        == transport.sent_bytes
    )


@pytest.mark.parametrize("last", [b"", nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_WRITE, 2, 0, 8 << 20)])
async def test_a_client_that_is_gone_leaves_no_memory_behind_for_the_collector(rig: Rig, last: bytes) -> None:
    export = Export("vol", 16 << 20, 4096)
    lost = KernelConnection(rig.engine, rig.reader, rig.pool, lambda: export, set(), lambda lost: None)
    lost.connection_made(SlowTransport())
    sent = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_FLUSH, 1, 0, 0) + last
    lost.get_buffer(-1)[: len(sent)] = sent
    lost.buffer_updated(len(sent))
    lost.connection_lost(None)
    await asyncio.sleep(0)
    still_there = weakref.ref(lost)
    gc.disable()
    try:
        del lost
        assert still_there() is None
    finally:
        gc.enable()

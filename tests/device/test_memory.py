"""However many clients send or fetch the largest requests at once, and however slowly: a device's memory is bounded."""

from __future__ import annotations

import asyncio
import random
import select
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.device.walb_devices import Pair, RawClient, Server
from walbd.device import nbd_protocol as nbd
from walbd.device.user.connection import MAX_CLIENTS

MOST_BYTES = 96 << 20
LARGEST = nbd.MAX_PAYLOAD_BYTES
N_WRITERS = 2
HELD_WRITE = nbd.REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_WRITE, 1, 1 << 20, 1 << 20) + bytes(1 << 20)
STALLED_BYTES = 3 << 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pair = Pair(tmp_path, log_bytes=96 << 20, data_bytes=MAX_CLIENTS * LARGEST)
    with Server(pair) as started:
        yield started.wait_ready()


def most_memory(server: Server) -> int:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) << 10


def content(number: int) -> bytes:
    if number < N_WRITERS:
        return random.Random(number).randbytes(1 << 20) * (LARGEST >> 20)
    return bytes(LARGEST)


def receive(client: RawClient, size: int) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = client.socket.recv_into(view)
        assert count
        view = view[count:]
    return buffer


def test_many_clients_that_stop_in_the_middle_of_the_largest_writes_leave_room_for_others(server: Server) -> None:
    clients = [RawClient(server.nbd_path) for _ in range(MAX_CLIENTS)]
    stalled = clients[N_WRITERS:]
    part = bytes(STALLED_BYTES)
    for client in stalled:
        client.request(nbd.CMD_WRITE, 1, (MAX_CLIENTS - 1) * LARGEST, LARGEST, part)

    def write(number: int) -> None:
        clients[number].request(nbd.CMD_WRITE, number, number * LARGEST, LARGEST, content(number))
        assert clients[number].reply() == (number, 0)

    with ThreadPoolExecutor(N_WRITERS) as threads:
        list(threads.map(write, range(N_WRITERS)))
    for number, client in enumerate(clients[:N_WRITERS]):
        client.request(nbd.CMD_READ, 1, number * LARGEST, LARGEST)
        assert client.reply() == (1, 0)
        assert receive(client, LARGEST) == content(number)
    assert most_memory(server) < MOST_BYTES
    # One of them goes on, the others vanish: neither hurts.
    stalled[0].socket.sendall(bytes(LARGEST - STALLED_BYTES))
    assert stalled[0].reply() == (1, 0)
    for client in clients:
        client.close()
    assert server.stop() == 0


def test_many_clients_that_do_not_take_the_answers_to_the_largest_reads_leave_room_for_others(server: Server) -> None:
    writer = server.client()
    for number in range(N_WRITERS):
        writer.write(number * LARGEST, content(number))
    clients = [RawClient(server.nbd_path) for _ in range(MAX_CLIENTS - 1)]
    for number, client in reversed(list(enumerate(clients))):
        client.request(nbd.CMD_READ, number, number * LARGEST, LARGEST)

    def read(number: int) -> None:
        assert clients[number].reply() == (number, 0)
        assert receive(clients[number], LARGEST) == content(number)

    with ThreadPoolExecutor(MAX_CLIENTS) as threads:
        list(threads.map(read, range(N_WRITERS)))
        list(threads.map(read, range(N_WRITERS, len(clients))))
    assert most_memory(server) < MOST_BYTES
    for client in (writer, *clients):
        client.close()


def test_requests_of_every_size_in_packets_of_every_size_are_done_in_their_order(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    size_bytes = 8 << 20
    image, stream = bytearray(size_bytes), bytearray()
    cookies = range(1, 30)
    for cookie in cookies:
        size = 512 * rng.choice([1, 8, rng.randrange(1, 500), rng.randrange(1, 6000)])
        offset = 512 * rng.randrange((size_bytes - size) // 512 + 1)
        data = rng.randbytes(size)
        flags = rng.choice([0, nbd.CMD_FLAG_FUA])
        stream += nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, nbd.CMD_WRITE, cookie, offset, size) + data
        image[offset : offset + size] = data
    with Server(Pair(tmp_path, log_bytes=4 << 20, data_bytes=size_bytes)).wait_ready() as server:
        client = RawClient(server.nbd_path)
        while stream:
            count = rng.choice([1, 30, rng.randrange(1, 300_000), rng.randrange(1, 3 << 20)])
            client.socket.sendall(stream[:count])
            del stream[:count]
        assert sorted(client.reply() for _ in cookies) == [(cookie, 0) for cookie in cookies]
        client.request(nbd.CMD_READ, 99, 0, size_bytes)
        assert client.reply() == (99, 0) and receive(client, size_bytes) == image
        assert server.stop() == 0
    assert server.pair.ddev.read_bytes() == image


def test_a_large_write_beyond_the_end_is_refused_and_the_connection_goes_on(server: Server) -> None:
    client = RawClient(server.nbd_path)
    size_bytes = 4 << 20
    client.request(nbd.CMD_WRITE, 1, server.pair.size_bytes - (1 << 20), size_bytes, b"x" * size_bytes)
    assert client.reply() == (1, nbd.ENOSPC)
    client.request(nbd.CMD_READ, 2, server.pair.size_bytes - (1 << 20), 1 << 20)
    assert client.reply() == (2, 0) and receive(client, 1 << 20) == bytes(1 << 20)
    client.close()


def test_reads_go_on_while_a_frozen_device_holds_as_many_writes_as_it_can(server: Server) -> None:
    async def freeze(is_frozen: bool) -> None:
        device = server.device()
        await (device.freeze(0) if is_frozen else device.melt())
        await device.close()

    asyncio.run(freeze(True))
    writer, client = RawClient(server.nbd_path), RawClient(server.nbd_path)
    writer.socket.setblocking(False)
    held = 0
    # Until the server takes no more of it.
    while select.select([], [writer.socket], [], 0.5)[1]:
        held += writer.socket.send(HELD_WRITE[held % len(HELD_WRITE) :])
    assert held > 2 * LARGEST // 3
    client.request(nbd.CMD_READ, 1, 0, 512)
    assert client.reply() == (1, 0) and receive(client, 512) == bytes(512)
    client.request(nbd.CMD_WRITE, 2, 0, 512, b"n" * 512)
    asyncio.run(freeze(False))
    writer.close()
    assert client.reply() == (2, 0)
    assert most_memory(server) < MOST_BYTES


def test_zeros_for_gibibytes_through_a_small_ring_take_little_memory(tmp_path: Path) -> None:
    size_bytes = (4 << 30) - 4096
    with Server(Pair(tmp_path, log_bytes=128 << 10, data_bytes=size_bytes)).wait_ready() as server:
        clients = [RawClient(server.nbd_path) for _ in range(2)]
        for client in clients:
            client.request(nbd.CMD_WRITE_ZEROES, 1, 0, size_bytes)
        with server.client() as other:
            other.write(size_bytes - 512, b"z" * 512)
        assert most_memory(server) < MOST_BYTES
        for client in clients:
            client.close()


def test_a_large_read_that_fails_in_the_middle_ends_the_connection_instead_of_lying(server: Server) -> None:
    client = RawClient(server.nbd_path)
    server.pair.ddev.open("r+b").truncate(LARGEST // 2)
    client.request(nbd.CMD_READ, 1, 0, LARGEST)
    assert client.reply() == (1, 0)
    with pytest.raises((AssertionError, ConnectionError)):
        receive(client, LARGEST)
    client.close()
    with server.client() as other:
        assert other.read(0, 512) == bytes(512)
    assert f"data device {server.pair.ddev} ends at byte {LARGEST // 2}" in server.log_path.read_text()

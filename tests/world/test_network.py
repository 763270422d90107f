"""Connecting by name: every connection asks anew where the name leads, and every address has its turn."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from walbd.model.error import PeerUnreachable
from walbd.world.network import Network, Stream

NAME = "archive.example"


class Names:
    """What the resolver of this process answers for NAME."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: str, port: int, *_: object, **__: object) -> list[Any]:
        assert host == NAME
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@asynccontextmanager
async def listening(address: str, port: int = 0) -> AsyncIterator[int]:
    """A server that says its address; its port."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(address.encode())
        writer.close()

    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    async with await asyncio.start_server(tell, sock=sock):
        yield sock.getsockname()[1]


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """An address where connecting gets no answer: the queue of its listener is full."""
    with socket.socket() as listener:
        listener.bind((address, port))
        listener.listen(0)
        with socket.socket() as waiting:
            waiting.connect((address, port))
            yield


async def answer_of(port: int, timeout_sec: float = 20) -> str:
    """Which server answers under NAME."""
    stream: Stream = await Network().connect(NAME, port, timeout_sec)
    try:
        data = bytearray(20)
        return bytes(data[: await stream.read_into(memoryview(data))]).decode()
    finally:
        stream.close()


async def test_each_connection_goes_where_the_name_leads_at_that_time(names: Names) -> None:
    async with listening("127.0.0.1") as port, listening("127.0.0.2", port):
        for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            names.addresses = [address]
            assert await answer_of(port) == address


async def test_a_name_that_is_unknown_for_a_while_is_asked_for_again(names: Names) -> None:
    async with listening("127.0.0.1") as port:
        with pytest.raises(PeerUnreachable, match=f"{NAME}:{port}: Name or service not known .*is the name right"):
            await answer_of(port)
        names.addresses = ["127.0.0.1"]
        assert await answer_of(port) == "127.0.0.1"


async def test_an_address_that_refuses_is_followed_by_the_next_one(names: Names) -> None:
    async with listening("127.0.0.2") as port:
        names.addresses = ["127.0.0.1", "127.0.0.2"]
        assert await answer_of(port) == "127.0.0.2"


async def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(names: Names) -> None:
    async with listening("127.0.0.2") as port:
        with silent("127.0.0.1", port):
            names.addresses = ["127.0.0.1", "127.0.0.2"]
            assert await answer_of(port, timeout_sec=1) == "127.0.0.2"


async def test_no_address_that_answers_is_told_with_the_whole_time_limit(names: Names) -> None:
    async with listening("127.0.0.3") as port:
        with silent("127.0.0.1", port), silent("127.0.0.2", port):
            names.addresses = ["127.0.0.1", "127.0.0.2"]
            with pytest.raises(PeerUnreachable, match=f"no connection to {NAME}:{port} within 0.2 s"):
                await answer_of(port, timeout_sec=0.2)


async def test_names_whose_lookup_hangs_delay_no_other_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are, and however often one of them is asked for."""
    released, asked, real = threading.Event(), [], socket.getaddrinfo

    def look_up(host: str, *args: Any, **values: Any) -> Any:
        if host.startswith("hanging") and not values.get("flags", 0) & socket.AI_NUMERICHOST:
            asked.append(host)
            released.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *args, **values)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    network = Network()
    try:
        async with listening("127.0.0.1") as port:
            hanging = [network.connect(f"hanging{number}", port, 0.1) for number in range(40) for _ in range(3)]
            failures = asyncio.gather(*hanging, return_exceptions=True)
            for host in ("127.0.0.1", "localhost"):
                (await network.connect(host, port, 2)).close()
            assert all(isinstance(failure, PeerUnreachable) for failure in await failures)
            assert len(asked) == len(set(asked))
    finally:
        released.set()

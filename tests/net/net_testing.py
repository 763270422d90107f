"""What the tests of this folder share: a network in memory that misbehaves on request."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from walbd.model.address import Address
from walbd.model.error import PeerUnreachable
from walbd.net.connection import HEARTBEAT_SEC, Connection
from walbd.net.frame import FrameType
from walbd.net.handshake import Identity
from walbd.world.network import KeepAlive, Network, OnStream
from walbd.world.world import World

SERVER = Address("memory", 1)
STORAGE = Identity("s0", "storage")
PROXY = Identity("p0", "proxy")
ARCHIVE = Identity("a0", "archive")
CONTROL = Identity("host1", "walbc")

# One, because each has threads of its own.
WORLD = World()


async def until(condition: Callable[[], object], within_sec: float = 20) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(within_sec):
        while not condition():  # noqa: ASYNC110 - the condition belongs to code that has no event for it
            await asyncio.sleep(0.001)


class Heartbeats:
    """Counts the signs of life that connections send while their side works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._sent: Counter[Connection] = Counter()
        original, sent = Connection.send, self._sent

        async def send(connection: Connection, kind: FrameType, *rest: Any) -> None:
            await original(connection, kind, *rest)
            sent[connection] += kind is FrameType.HEARTBEAT

        monkeypatch.setattr(Connection, "send", send)

    async def outlast(self, timeout_sec: float, is_meant: Callable[[Connection], bool] = lambda _: True) -> None:
        """Returns when a connection has sent so many from now on that only they can have kept a peer with this time-out
        waiting."""
        before, enough = self._sent.copy(), timeout_sec / HEARTBEAT_SEC + 1
        await until(lambda: any(n - before[each] >= enough for each, n in self._sent.items() if is_meant(each)))


@dataclass
class Fault:
    """What goes wrong in one direction of a connection, counted in bytes from its beginning."""

    cut_at: int | None = None
    """Both directions break when this many bytes have passed."""
    silent_at: int | None = None
    """Nothing more arrives after this many bytes, and nobody is told."""
    flip_at: int | None = None
    """The byte at this offset arrives with one bit changed."""
    split: int = 1 << 20
    """Most bytes one read returns."""


@dataclass
class Wire:
    """One direction: bytes on their way, at most `capacity` of them."""

    fault: Fault
    capacity: int = 256 << 10
    sent: int = 0
    boundaries: list[int] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    is_finished: bool = False
    is_broken: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class MemoryStream:
    """A Stream whose other end is in the same process."""

    def __init__(self, incoming: Wire, outgoing: Wire, peer: str) -> None:
        self.incoming, self.outgoing, self.peer = incoming, outgoing, peer
        self.probes: KeepAlive | None = None

    async def read_into(self, buffer: memoryview) -> int:
        wire = self.incoming
        while not wire.data:
            if wire.is_broken:
                raise PeerUnreachable(f"connection to {self.peer} broke: Connection reset by peer")
            if wire.is_finished:
                return 0
            await wire.changed.wait()
        count = min(len(buffer), len(wire.data), wire.fault.split)
        buffer[:count] = wire.data[:count]
        del wire.data[:count]
        wire.wake()
        return count

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        wire, view = self.outgoing, memoryview(data)
        while view:
            if wire.is_broken or wire.is_finished:
                raise PeerUnreachable(f"connection to {self.peer} broke: Broken pipe")
            room = wire.capacity - len(wire.data)
            if room <= 0:
                await wire.changed.wait()
                continue
            self._pass(wire, bytes(view[:room]))
            view = view[room:]
            await asyncio.sleep(0)
        wire.boundaries.append(wire.sent)

    def _pass(self, wire: Wire, piece: bytes) -> None:
        fault, start = wire.fault, wire.sent
        wire.sent += len(piece)
        if fault.flip_at is not None and start <= fault.flip_at < wire.sent:
            at = fault.flip_at - start
            piece = piece[:at] + bytes([piece[at] ^ 0x10]) + piece[at + 1 :]
        if fault.silent_at is not None:
            piece = piece[: max(fault.silent_at - start, 0)]
        if fault.cut_at is not None and wire.sent >= fault.cut_at:
            wire.data += piece[: max(fault.cut_at - start, 0)]
            self._break()
        else:
            wire.data += piece
        wire.wake()

    def _break(self) -> None:
        for wire in (self.incoming, self.outgoing):
            wire.is_broken = True
            wire.wake()

    def keep_alive(self, probes: KeepAlive) -> None:
        self.probes = probes

    def finish(self) -> None:
        self.outgoing.is_finished = True
        self.outgoing.wake()

    def close(self) -> None:
        self.finish()
        self.incoming.is_broken = True
        self.incoming.wake()


def stream_pair(to_server: Fault | None = None, to_client: Fault | None = None) -> tuple[MemoryStream, MemoryStream]:
    """(client's end, server's end)."""
    there, back = Wire(to_server or Fault()), Wire(to_client or Fault())
    return MemoryStream(back, there, "memory:1"), MemoryStream(there, back, "memory:2")


class MemoryNetwork(Network):
    """A network of one server; every connection gets the faults given."""

    def __init__(self, to_server: Fault | None = None, to_client: Fault | None = None) -> None:
        self.to_server, self.to_client = to_server or Fault(), to_client or Fault()
        self.pairs: list[tuple[MemoryStream, MemoryStream]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._on_stream: OnStream | None = None
        self._closed = asyncio.Event()
        self.port = 1

    async def connect(self, host: str, port: int, timeout_sec: float) -> MemoryStream:
        if self._on_stream is None:
            raise PeerUnreachable(f"cannot connect to {host}:{port}: Connection refused")
        client, server = stream_pair(copy.copy(self.to_server), copy.copy(self.to_client))
        self.pairs.append((client, server))
        self.tasks.append(asyncio.create_task(self._one(server)))
        return client

    async def _one(self, stream: MemoryStream) -> None:
        assert self._on_stream
        try:
            await self._on_stream(stream)
        finally:
            stream.close()

    async def serve(self, on_stream: OnStream) -> None:
        """The Listener's side."""
        self._on_stream = on_stream
        await self._closed.wait()

    def close(self) -> None:
        self._closed.set()
        self._on_stream = None


def world_on(network: Network) -> World:
    """A world with that network."""
    world = copy.copy(WORLD)
    world.network = network
    return world


@contextlib.asynccontextmanager
async def no_hang(within_sec: float = 30) -> object:
    """Fails when what is inside takes longer."""
    async with asyncio.timeout(within_sec):
        yield

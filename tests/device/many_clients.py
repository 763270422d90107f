"""Several NBD clients that ask for overlapping blocks at the same time, and note when."""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.device.history import LB_BYTES, Kind, Request, block_of, values_of
from walbd.device import nbd_protocol as nbd

COMMANDS = {
    Kind.READ: nbd.CMD_READ,
    Kind.WRITE: nbd.CMD_WRITE,
    Kind.TRIM: nbd.CMD_TRIM,
    Kind.ZERO: nbd.CMD_WRITE_ZEROES,
    Kind.FLUSH: nbd.CMD_FLUSH,
}
USUAL = {Kind.READ: 8, Kind.WRITE: 8, Kind.TRIM: 1, Kind.ZERO: 1, Kind.FLUSH: 1}
FLUSHING = {Kind.READ: 4, Kind.FLUSH: 1}


class Notes:
    """All requests, with the moments of their begins and ends: the numbers of all begins and ends."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._moments = itertools.count(1)

    def begin(self, request: Request) -> None:
        """It is about to be sent."""
        self.requests.append(request)
        request.begin = self.moment()

    def end(self, request: Request) -> None:
        """It was answered."""
        request.end = self.moment()

    def moment(self) -> int:
        """Now."""
        return next(self._moments)


class Draw:
    """Random requests on a device; every write has a value of its own."""

    def __init__(self, rng: random.Random, size_lb: int, values: itertools.count[int]) -> None:
        self.rng = rng
        self._size_lb = size_lb
        self._values = values

    def request(self, weights: Mapping[Kind, int]) -> Request:
        """The next one, each kind as often as its weight says."""
        rng = self.rng
        kind = rng.choices(list(weights), list(weights.values()))[0]
        if kind is Kind.FLUSH:
            return Request(kind)
        # Most meet in a few blocks; some are as large as the device.
        count = rng.randrange(1, 9) if rng.random() < 0.95 else rng.randrange(1, self._size_lb + 1)
        first = rng.randrange(min(24, self._size_lb - count + 1))
        value = next(self._values) if kind is Kind.WRITE else 0
        return Request(kind, first, count, value, is_fua=kind is not Kind.READ and rng.random() < 0.1)


class Client:
    """One connection with up to `depth` requests in flight."""

    def __init__(self, path: Path, draw: Draw, notes: Notes, depth: int) -> None:
        self._path, self._draw, self._notes, self._depth = path, draw, notes, depth
        self._weights = draw.rng.choice([USUAL, USUAL, USUAL, FLUSHING])
        self._in_flight: dict[int, Request] = {}
        self._cookies = itertools.count()

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Asks until is_over, then waits for the answers; returns early when the server is gone."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            await _negotiate(reader, writer)
            while True:
                while len(self._in_flight) < self._draw.rng.randint(1, self._depth) and not is_over():
                    self._send(writer)
                if not self._in_flight:
                    return
                await self._receive(reader)
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    def _send(self, writer: asyncio.StreamWriter) -> None:
        request, cookie = self._draw.request(self._weights), next(self._cookies)
        self._in_flight[cookie] = request
        head = (COMMANDS[request.kind], cookie, request.first * LB_BYTES, request.count * LB_BYTES)
        flags = nbd.CMD_FLAG_FUA if request.is_fua else 0
        payload = block_of(request.value) * request.count if request.kind is Kind.WRITE else b""
        self._notes.begin(request)
        writer.write(nbd.REQUEST.pack(nbd.REQUEST_MAGIC, flags, *head) + payload)

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        magic, error, cookie = nbd.REPLY.unpack(await reader.readexactly(nbd.REPLY.size))
        request = self._in_flight.pop(cookie)
        assert (magic, error) == (nbd.REPLY_MAGIC, 0), f"{request} was refused"
        if request.kind is Kind.READ:
            request.seen = values_of(await reader.readexactly(request.count * LB_BYTES))
        self._notes.end(request)


async def _negotiate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(nbd.GREETING.size)
    go = struct.pack(">IH", 0, 0)
    writer.write(struct.pack(">I", 3) + nbd.OPTION.pack(nbd.OPTION_MAGIC, nbd.OPT_GO, len(go)) + go)
    kind = 0
    while kind != nbd.REP_ACK:
        _, _, kind, length = nbd.OPTION_REPLY.unpack(await reader.readexactly(nbd.OPTION_REPLY.size))
        await reader.readexactly(length)


async def run_clients(
    path: Path, draw: Draw, notes: Notes, n_clients: int, depth: int, is_over: Callable[[], bool]
) -> None:
    """Runs so many clients at once."""
    await asyncio.gather(*(Client(path, draw, notes, depth).run(is_over) for _ in range(n_clients)))

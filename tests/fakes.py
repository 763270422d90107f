"""Stand-ins of the outside world that the tests of all folders share."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from walbd.world.files import Files
from walbd.world.network import Network
from walbd.world.world import World

P = ParamSpec("P")
T = TypeVar("T")
SETTLE_ROUNDS = 60


async def settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)


class FakeWorld(World):
    """A world whose clock moves only when a test says so, whose randomness is seeded and whose blocking functions
    run at once in the caller."""

    def __init__(self, files: Files | None = None, network: Network | None = None, start_sec: int = 1_000_000) -> None:
        super().__init__(files, network)
        self._start_sec = start_sec
        self._now = 0.0
        self._count = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._random_counter = 0

    def now(self) -> int:
        return self._start_sec + int(self._now)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, sec: float) -> None:
        if sec <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + sec, self._count, future))
        await future

    def random_bytes(self, count: int) -> bytes:
        self._random_counter += 1
        return self._random_counter.to_bytes(count, "big")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    async def advance(self, sec: float) -> None:
        """Moves the clock, waking the sleepers on the way one after the other, and lets everything settle."""
        end = self._now + sec
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not future.done():
                future.set_result(None)
                await settle()
        self._now = end
        await settle()

    @property
    def sleeping(self) -> int:
        """How many tasks wait for the clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

"""Waiting for something of a daemon to become true, without polling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from walbd.world.world import World


class Changes:
    """Whoever changes a state, an action or a queue calls `notify`; whoever waits looks again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Makes every waiter look at its condition again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_for(self, condition: Callable[[], bool], limit_sec: float | None = None) -> bool:
        """Waits until the condition holds; False when limit_sec passed before. A limit of None waits on."""
        if condition():
            return True
        if limit_sec is None:
            await self._wait(condition)
            return True
        waiting = asyncio.ensure_future(self._wait(condition))
        timer = asyncio.ensure_future(self._world.sleep(limit_sec))
        try:
            await asyncio.wait({waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            timer.cancel()
        return condition()

    async def _wait(self, condition: Callable[[], bool]) -> None:
        while not condition():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

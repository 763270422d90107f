"""Threads of the world."""

from __future__ import annotations

import asyncio
import threading

from walbd.world.world import World


async def test_calls_that_hang_leave_threads_for_the_others() -> None:
    world, released = World(), threading.Event()
    hanging = [asyncio.ensure_future(world.run(released.wait, 60)) for _ in range(100)]
    try:
        async with asyncio.timeout(20):
            assert await world.run(lambda: 7) == 7
    finally:
        released.set()
    assert all(await asyncio.gather(*hanging))

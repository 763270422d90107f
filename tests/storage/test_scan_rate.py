"""The scan limit delays a backup as long as it must, and no longer."""

from __future__ import annotations

import asyncio

from tests.fakes import FakeWorld, settle
from walbd.storage.scan_rate import ScanLimit, ScanRate

MIB = 1 << 20


async def seconds_for(world: FakeWorld, rate: ScanRate, chunks: int) -> float:
    """Virtual seconds that so many chunks of 1 MiB take."""

    async def scan() -> None:
        for _ in range(chunks):
            if pause := rate.pace(MIB):
                await pause

    task = asyncio.ensure_future(scan())
    begin = world.monotonic()
    await settle()
    while not task.done():
        await world.advance(0.05)
    return world.monotonic() - begin


async def test_without_a_limit_nothing_waits() -> None:
    world = FakeWorld()
    assert await seconds_for(world, ScanRate(world, lambda: 0, lambda: False), 1000) == 0


async def test_a_limit_is_kept() -> None:
    world = FakeWorld()
    elapsed = await seconds_for(world, ScanRate(world, lambda: 10 * MIB, lambda: False), 100)
    assert 9.5 <= elapsed <= 10.5


async def test_a_limit_below_one_chunk_a_second_is_kept_too() -> None:
    world = FakeWorld()
    elapsed = await seconds_for(world, ScanRate(world, lambda: MIB // 4, lambda: False), 5)
    assert 19 <= elapsed <= 21


async def test_a_cancelled_scan_does_not_wait() -> None:
    world = FakeWorld()
    assert await seconds_for(world, ScanRate(world, lambda: 1, lambda: True), 5) == 0


async def test_lifting_the_limit_takes_effect_at_once() -> None:
    world, limit = FakeWorld(), ScanLimit(1)
    task = asyncio.ensure_future(seconds_for(world, ScanRate(world, lambda: limit.bytes_per_sec, lambda: False), 1))
    await world.advance(5)
    assert not task.done()
    limit.bytes_per_sec = 0
    await world.advance(1)
    assert task.done()

"""A task that must go on does, whatever happens to one of its steps."""

from __future__ import annotations

import asyncio

from tests.fakes import FakeWorld
from tests.server.server_testing import make_runtime
from walbd.model.error import PeerUnreachable
from walbd.server.background import BackgroundQueue, Outcome
from walbd.server.periodic import repeat


async def test_neither_a_failed_step_nor_a_defect_ends_it() -> None:
    world = FakeWorld()
    runtime, lines = make_runtime(world)
    failures: list[Exception] = [PeerUnreachable("a0 is down"), ZeroDivisionError("x")]
    times: list[float] = []

    async def step() -> None:
        times.append(world.monotonic())
        if failures:
            raise failures.pop(0)

    task = asyncio.create_task(repeat(runtime, "looking", step, 10))
    await world.advance(35)
    task.cancel()
    assert times == [0, 10, 20, 30]
    assert lines[0] == "WARNING looking:a0 is down"
    assert lines[1].startswith("ERROR looking:internal error: ZeroDivisionError: x at ")


async def test_what_fails_at_once_does_not_spin() -> None:
    world = FakeWorld()
    times: list[float] = []

    async def step() -> None:
        times.append(world.monotonic())
        raise ZeroDivisionError

    task = asyncio.create_task(repeat(make_runtime(world)[0], "looking", step, 0))
    await world.advance(3)
    task.cancel()
    assert times == [0, 1, 2, 3]


async def test_a_defect_in_a_queue_of_tasks_delays_them_only() -> None:
    world, released = FakeWorld(), asyncio.Event()
    done: list[str] = []

    async def work(key: str) -> Outcome:
        if key == "stuck":
            await released.wait()
        done.append(key)
        return None

    def defect(key: str) -> None:
        raise ZeroDivisionError(key)

    queue = BackgroundQueue(make_runtime(world)[0], work, 1, 1, 8, defect)
    queue.start()
    queue.push("stuck")
    queue.push("a")
    await world.advance(60)
    assert done == ["a"]
    released.set()
    await queue.close()

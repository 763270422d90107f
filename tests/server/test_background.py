from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tests.fakes import FakeWorld, settle
from tests.server.server_testing import make_runtime
from walbd.model.error import PeerUnreachable
from walbd.server.background import STUCK_SEC, Again, BackgroundQueue, Outcome, Retry


@asynccontextmanager
async def running(
    work: Callable[[str], Awaitable[Outcome]], workers: int = 1, world: FakeWorld | None = None
) -> AsyncIterator[BackgroundQueue[str]]:
    queue = BackgroundQueue(make_runtime(world)[0], work, workers, 1, 8)
    queue.start()
    try:
        yield queue
    finally:
        await queue.close()


class Steps:
    """Work that ends each key's runs with outcomes from a list and notes when they began."""

    def __init__(self, world: FakeWorld, *outcomes: Outcome | Exception) -> None:
        self.world = world
        self.outcomes = list(outcomes)
        self.times: list[float] = []
        self.keys: list[str] = []

    async def __call__(self, key: str) -> Outcome:
        self.times.append(self.world.monotonic())
        self.keys.append(key)
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_a_backlog_is_worked_off_without_pauses() -> None:
    world = FakeWorld()
    steps = Steps(world, *[Again()] * 20)
    async with running(steps, world=world) as queue:
        queue.push("v0")
        await settle()
        await settle()
    assert steps.times == [0.0] * 21


async def test_failures_double_the_delay_up_to_its_cap_and_success_resets_it() -> None:
    world = FakeWorld()
    steps = Steps(world, Retry(), PeerUnreachable("down"), ZeroDivisionError(), Retry(), Retry(), Again(5), Retry())
    async with running(steps, world=world) as queue:
        queue.push("v0")
        await world.advance(100)
        assert queue.queued() == []
    assert steps.times == [0, 1, 3, 7, 15, 23, 28, 29]


async def test_an_exception_costs_one_attempt_and_is_logged() -> None:
    world = FakeWorld()
    runtime, lines = make_runtime(world)
    queue = BackgroundQueue(runtime, Steps(world, PeerUnreachable("down"), ZeroDivisionError("x")), 1, 1, 8)
    queue.start()
    queue.push("v0")
    await world.advance(10)
    await queue.close()
    assert lines[0] == "ERROR down"
    assert lines[1].startswith("ERROR internal error: ZeroDivisionError: x at ")


async def test_keys_take_turns() -> None:
    world = FakeWorld()
    steps = Steps(world, *[Again()] * 6)
    async with running(steps, world=world) as queue:
        for key in "abc":
            queue.push(key)
        await settle()
        await settle()
    assert "".join(steps.keys) == "abcabcabc"


async def test_workers_run_different_keys_at_once_but_never_one_key_twice() -> None:
    go = asyncio.Event()
    begun: list[str] = []

    async def work(key: str) -> Outcome:
        begun.append(key)
        await go.wait()
        return None

    async with running(work, workers=2) as queue:
        for key in ("a", "b", "c"):
            queue.push(key)
        await settle()
        queue.push("a")
        await settle()
        assert (begun, queue.running_count, queue.is_running("a")) == (["a", "b"], 2, True)
        go.set()
        await settle()
    assert begun == ["a", "b", "c", "a"]


async def test_a_push_hurries_a_waiting_key_but_not_one_that_failed() -> None:
    world = FakeWorld()
    steps = Steps(world, Again(50), Retry(), Retry())
    async with running(steps, world=world) as queue:
        queue.push("a")
        await world.advance(1)
        queue.push("a", 1)
        queue.push("a", 30)
        await world.advance(1)
        assert steps.times == [0, 2]
        queue.push("a")
        await world.advance(0.5)
        assert queue.queued() == [("a", 500)]


async def test_a_kick_runs_what_waits_for_a_retry_now() -> None:
    world = FakeWorld()
    steps = Steps(world, *[Retry()] * 3)
    async with running(steps, world=world) as queue:
        queue.push("a")
        await world.advance(2)
        assert queue.kick(lambda key: key == "b") == []
        assert queue.kick() == ["a"]
        await settle()
        assert steps.times == [0, 1, 2]
        assert queue.queued() == [("a", 1000)]


async def test_dropped_keys_are_forgotten_even_while_they_run() -> None:
    world = FakeWorld()
    go = asyncio.Event()

    async def work(key: str) -> Outcome:
        await go.wait()
        return Retry()

    async with running(work, world=world) as queue:
        queue.push("a")
        queue.push("b", 5)
        await settle()
        queue.drop(lambda key: True)
        go.set()
        await world.advance(20)
        assert (queue.queued(), queue.running_count) == ([], 0)


async def test_closing_waits_for_the_running_task_and_starts_nothing_more() -> None:
    go = asyncio.Event()
    begun: list[str] = []

    async def work(key: str) -> Outcome:
        begun.append(key)
        await go.wait()
        return Again()

    async with running(work) as queue:
        queue.push("a")
        queue.push("b")
        await settle()
        closing = asyncio.create_task(queue.close())
        await settle()
        assert not closing.done()
        go.set()
        await closing
    assert begun == ["a"]


async def test_an_idle_queue_sets_no_timer() -> None:
    world = FakeWorld()
    async with running(Steps(world), world=world) as queue:
        queue.push("a")
        await settle()
        assert world.sleeping == 0
        queue.push("a", 3)
        queue.push("a", 2)
        await settle()
        assert len(queue.queued()) == 1


async def test_without_any_delay_a_failing_task_does_not_spin() -> None:
    world = FakeWorld()
    steps = Steps(world, *[Retry()] * 5)
    queue = BackgroundQueue(make_runtime(world)[0], steps, 1, 0, 0)
    queue.start()
    queue.push("v0")
    await world.advance(10)
    await queue.close()
    assert steps.times == [0, 0, 1, 2, 3, 4]


async def test_a_task_that_does_not_move_holds_up_no_other_and_is_told_once() -> None:
    world, released = FakeWorld(), asyncio.Event()
    done: list[str] = []
    stuck: list[str] = []

    async def work(key: str) -> Outcome:
        if key == "stuck":
            await released.wait()
        done.append(key)
        return None

    queue = BackgroundQueue(make_runtime(world)[0], work, 1, 1, 8, stuck.append)
    queue.start()
    queue.push("stuck")
    for key in "ab":
        queue.push(key)
    await world.advance(STUCK_SEC - 1)
    assert (done, stuck) == ([], [])
    await world.advance(2)
    queue.push("stuck")  # never twice at once
    await world.advance(100)
    assert (done, stuck) == (["a", "b"], ["stuck"])
    released.set()
    await world.advance(1)
    assert done == ["a", "b", "stuck", "stuck"]
    await queue.close()


async def test_a_slow_task_that_moves_keeps_its_worker() -> None:
    world = FakeWorld()
    done: list[str] = []

    async def work(key: str) -> Outcome:
        for _ in range(3):
            await world.sleep(STUCK_SEC - 1)
            queue.moved(key)
        done.append(key)
        return None

    async with running(work, world=world) as queue:
        queue.push("a")
        queue.push("b")
        await world.advance(3 * STUCK_SEC - 3)
        assert (done, queue.running_count) == (["a"], 1)
        await world.advance(3 * STUCK_SEC)
        assert done == ["a", "b"]


async def test_a_task_that_moves_again_counts_again() -> None:
    world, released = FakeWorld(), asyncio.Event()
    begun: list[str] = []

    async def work(key: str) -> Outcome:
        begun.append(key)
        await released.wait()
        return None

    async with running(work, world=world) as queue:
        queue.push("a")
        await world.advance(STUCK_SEC + 1)
        queue.moved("a")
        queue.push("b")
        await world.advance(1)
        assert begun == ["a"]
        await world.advance(STUCK_SEC)
        assert begun == ["a", "b"]
        released.set()

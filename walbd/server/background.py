"""The background queue of storage and proxy (servers.md section 2.11): one task per key, with a due time.

Unlike the reference's it starts the next task the moment a worker is free (W14), and retries of one key do not hold up
the others: due tasks run in the order in which they became due. Nor does a task that waits for a disk or a peer which
hangs: it cannot always be ended (a thread that reads cannot), but after a while it does not count as a worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from walbd.model.error import WalbError
from walbd.server.log import defect_text
from walbd.server.periodic import repeat
from walbd.server.runtime import Runtime

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Again:
    """The task is to run again after this delay; earlier failures are forgotten."""

    delay_sec: float = 0.0


@dataclass(frozen=True)
class Retry:
    """The task did not succeed and is to run again after a delay that doubles with each failure."""


LEAST_REPEATED_DELAY_SEC = 1.0
"""A delay of 0 holds for the first retry only: what fails again and again must not fill the log and the processor."""

STUCK_SEC = 10.0
"""A task that has not moved for so long leaves its place to another."""

Outcome = Again | Retry | None
"""None: nothing is left to do for the key."""


@dataclass(slots=True)
class _Entry:
    due_sec: float
    number: int
    is_retry: bool = False


@dataclass(slots=True)
class _Run:
    task: asyncio.Task[None]
    moved_sec: float
    is_told: bool = False


class BackgroundQueue(Generic[K]):
    """Runs `work(key)` on up to `workers` tasks at once, never twice at once for one key.

    An exception of the work is logged and counts as Retry. Work that takes long tells with `moved` that it gets on;
    `on_stuck` is called with the key of one that has not for STUCK_SEC.
    """

    def __init__(
        self,
        runtime: Runtime,
        work: Callable[[K], Awaitable[Outcome]],
        workers: int,
        min_delay_sec: float,
        max_delay_sec: float,
        on_stuck: Callable[[K], object] = lambda _: None,
    ) -> None:
        self._runtime = runtime
        self._work = work
        self._workers = workers
        self._min_delay_sec = min_delay_sec
        self._max_delay_sec = max_delay_sec
        self._on_stuck = on_stuck
        self._waiting: dict[K, _Entry] = {}
        self._running: dict[K, _Run] = {}
        self._dropped: set[K] = set()
        self._delays: dict[K, float] = {}
        self._count = 0
        self._wake = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to run tasks; those pushed before are kept."""
        self._dispatcher = asyncio.create_task(repeat(self._runtime, "background tasks", self._dispatch, 0))

    def push(self, key: K, delay_sec: float = 0.0) -> None:
        """Queues the key. One that is queued already keeps the earlier due time, and its own when it waits for a
        retry: new data does not hurry what has just failed."""
        entry = self._waiting.get(key)
        if entry is None or not (entry.is_retry or entry.due_sec <= self._now() + delay_sec):
            self.push_force(key, delay_sec)

    def push_force(self, key: K, delay_sec: float = 0.0) -> None:
        """Queues the key, replacing its due time."""
        self._count += 1
        self._waiting[key] = _Entry(self._now() + delay_sec, self._count)
        self._wake.set()

    def drop(self, is_meant: Callable[[K], bool]) -> None:
        """Forgets the queued tasks of these keys and their delays; a running one is not queued again by its result."""
        for key in [key for key in self._waiting if is_meant(key)]:
            del self._waiting[key]
        for key in [key for key in self._delays if is_meant(key)]:
            del self._delays[key]
        self._dropped.update(key for key in self._running if is_meant(key))

    def kick(self, is_meant: Callable[[K], bool] = lambda _: True) -> list[K]:
        """Makes the queued tasks of these keys due now, with fresh delays; returns their keys."""
        keys = [key for key in self._waiting if is_meant(key)]
        for key in keys:
            self._delays.pop(key, None)
            self.push_force(key)
        return keys

    def queued(self) -> list[tuple[K, int]]:
        """Queued keys and the milliseconds until they are due (negative: overdue), soonest first."""
        now = self._now()
        entries = sorted(self._waiting.items(), key=lambda item: (item[1].due_sec, item[1].number))
        return [(key, round((entry.due_sec - now) * 1000)) for key, entry in entries]

    def moved(self, key: K) -> None:
        """The running task of the key has made progress."""
        if run := self._running.get(key):
            run.moved_sec = self._now()
            if run.is_told:
                run.is_told = False
                self._wake.set()

    def is_running(self, key: K) -> bool:
        return key in self._running

    @property
    def running_count(self) -> int:
        return len(self._running)

    async def close(self) -> None:
        """Starts nothing more and waits for running tasks (force shutdown makes them end by themselves)."""
        if self._dispatcher:
            self._dispatcher.cancel()
            await asyncio.gather(self._dispatcher, return_exceptions=True)
            self._dispatcher = None
        self._waiting.clear()
        self._dropped.update(self._running)
        await asyncio.gather(*(run.task for run in self._running.values()), return_exceptions=True)

    async def _dispatch(self) -> None:
        """Starts what is due and waits until more may be."""
        self._wake.clear()
        self._tell_of_stuck()
        times_sec = [*self._start_due(), *self._stuck_times()]
        timer: asyncio.Task[None] | None = None
        if times_sec:
            timer = asyncio.create_task(self._runtime.world.sleep(min(times_sec) - self._now()))
            timer.add_done_callback(self._on_timer)
        try:
            await self._wake.wait()
        finally:
            if timer:
                timer.cancel()

    def _on_timer(self, timer: asyncio.Task[None]) -> None:
        if not timer.cancelled():
            self._wake.set()

    def _tell_of_stuck(self) -> None:
        for key, run in self._running.items():
            if not run.is_told and run.moved_sec + STUCK_SEC <= self._now():
                run.is_told = True
                self._on_stuck(key)

    def _stuck_times(self) -> list[float]:
        """When running tasks will be found not to move, unless they do."""
        return [run.moved_sec + STUCK_SEC for run in self._running.values() if not run.is_told]

    def _start_due(self) -> list[float]:
        """Starts what is due; returns when the next one is, nothing when it has to wait for a worker."""
        ready = sorted(
            (entry.due_sec, entry.number, key) for key, entry in self._waiting.items() if key not in self._running
        )
        now = self._now()
        for due_sec, _, key in ready:
            if len(self._stuck_times()) >= self._workers:
                return []
            if due_sec > now:
                return [due_sec]
            del self._waiting[key]
            self._running[key] = _Run(asyncio.create_task(self._run(key)), now)
        return []

    async def _run(self, key: K) -> None:
        outcome: Outcome = Retry()
        try:
            outcome = await self._work(key)
        except WalbError as error:
            self._runtime.log.error(error)
        except Exception as error:  # a defect must cost one attempt, not the queue
            self._runtime.log.error(defect_text(error))
        finally:
            del self._running[key]
            self._queue_again(key, outcome)
            self._wake.set()
            self._runtime.changes.notify()

    def _queue_again(self, key: K, outcome: Outcome) -> None:
        if key in self._dropped:
            self._dropped.discard(key)
        elif isinstance(outcome, Retry):
            delay_sec = self._delays.get(key, self._min_delay_sec)
            self._delays[key] = max(min(2 * delay_sec, self._max_delay_sec), LEAST_REPEATED_DELAY_SEC)
            self.push_force(key, delay_sec)
            self._waiting[key].is_retry = True
        else:
            self._delays.pop(key, None)
            if outcome is not None:
                self.push(key, outcome.delay_sec)

    def _now(self) -> float:
        return self._runtime.world.monotonic()

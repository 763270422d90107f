"""A thread that runs jobs one after the other and answers on the event loop.

Two hand-overs per write decide the latency at one request in flight, so this is kept leaner than an executor.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Job = tuple[Callable[[], T], Callable[[T | BaseException], None]]


class Worker(Generic[T]):
    """Runs blocking jobs in submission order. Create it on the running loop."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job[T] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Calls job in the thread, then done(result or exception) on the loop."""
        self._jobs.put((job, done))

    def stop(self) -> None:
        """Ends the thread after the jobs submitted so far."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, done = entry
            result: T | BaseException
            try:
                result = job()
            except BaseException as error:
                result = error
            self._loop.call_soon_threadsafe(done, result)

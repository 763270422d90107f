"""The world as the daemons see it: time, randomness, network, durable files and threads.

Everything that makes a run differ from another comes in through a World, so that tests can replace it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from walbd.world.files import Files
from walbd.world.network import Network

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 256
"""A thread is made only when all there are work: callers bound how much they do at once, and a disk that hangs under
some volumes must leave threads for the others."""


class World:
    """The real world. Tests subclass it, or pass another Files or Network."""

    def __init__(self, files: Files | None = None, network: Network | None = None) -> None:
        self.files = files or Files()
        self.network = network or Network()
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="walb")

    def now(self) -> int:
        """Wall clock: seconds since the epoch, UTC."""
        return int(time.time())

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back; for intervals only."""
        return time.monotonic()

    async def sleep(self, sec: float) -> None:
        """Suspends the calling task."""
        await asyncio.sleep(sec)

    def random_bytes(self, count: int) -> bytes:
        """Unpredictable bytes: uuids, salts."""
        return os.urandom(count)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a blocking function (file and device I/O, native calls) in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

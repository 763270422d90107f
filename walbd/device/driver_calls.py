"""Calls into the kernel driver, which may hang for ever and cannot be ended."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class DriverCalls:
    """The calls of one device, one at a time: a caller who has given up leaves its thread behind, and the next one
    waits for that. So a device that hangs costs one thread, however often it is asked, and no other device."""

    def __init__(self) -> None:
        self._running: asyncio.Future[Any] | None = None

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """What the function returns or raises."""
        while self._running and not self._running.done():
            await asyncio.wait([self._running])
        self._running = running = _in_thread(function, *args)
        return await asyncio.shield(running)


def _in_thread(function: Callable[..., T], *args: object) -> asyncio.Future[T]:
    """In a thread of its own, which does not hold up the end of the program."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()
    result.add_done_callback(lambda _: result.cancelled() or result.exception())  # nobody may be waiting for it

    def work() -> None:
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            outcome.set_result(function(*args))
        except Exception as error:
            outcome.set_exception(error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, outcome)

    def tell(outcome: concurrent.futures.Future[T]) -> None:
        if error := outcome.exception():
            result.set_exception(error)
        else:
            result.set_result(outcome.result())

    threading.Thread(target=work, daemon=True, name="driver").start()
    return result

"""Calls into the kernel driver, which may hang for ever and cannot be ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from walbd.world.own_thread import in_own_thread

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
        self._running = running = in_own_thread("driver", function, *args)
        return await asyncio.shield(running)

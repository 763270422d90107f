"""Ending work that waits for a device or a peer as soon as a forced stop or shutdown asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from walbd.model.error import Cancelled
from walbd.net.tasks import wait_ended
from walbd.server.changes import Changes

T = TypeVar("T")


async def unless_cancelled(
    changes: Changes, is_cancelled: Callable[[], bool], what: str, work: Coroutine[Any, Any, T]
) -> T:
    """The result of `work`. It is cancelled, and Cancelled raised, when is_cancelled() becomes true before it has
    ended; whoever makes that true calls `changes.notify`."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda _: changes.notify())
    try:
        await changes.wait_for(lambda: task.done() or is_cancelled())
    finally:
        if not task.done():
            task.cancel()
            await wait_ended([task])
    if task.cancelled():
        raise Cancelled(f"force stopped:{what}")
    return task.result()

"""Running steps side by side without ever leaving one behind.

A thread cannot be cancelled. Whoever gives up must therefore wait for it, because it works in buffers and file
descriptors that would be used for something else next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeVar

from walbd.world.world import World

P = ParamSpec("P")
T = TypeVar("T")


async def ended(task: asyncio.Future[T]) -> T:
    """The result of a task that works in a thread. Unlike `await task`, cancelling the waiter leaves the task alone:
    `wait_ended` comes next."""
    return await asyncio.shield(task)


async def run_to_end(world: World, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """World.run, except that a cancelled caller goes on only after the function has returned."""
    task = asyncio.ensure_future(world.run(function, *args, **kwargs))
    try:
        return await ended(task)
    finally:
        await wait_ended([task])


async def wait_ended(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Waits until all have ended, whatever their results, even when cancelled meanwhile (then raises that)."""
    cancelled: asyncio.CancelledError | None = None
    while any(not task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # marks it as seen
    if cancelled:
        raise cancelled

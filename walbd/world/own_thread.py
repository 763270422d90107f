"""Blocking calls that may hang for ever and cannot be ended."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def in_own_thread(name: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """What the function returns or raises, from a thread of its own, which neither takes the place of other work nor
    holds up the end of the program. Whoever calls bounds how many there are."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()
    result.add_done_callback(lambda _: result.cancelled() or result.exception())  # nobody may be waiting for it

    def work() -> None:
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            outcome.set_result(function(*args, **kwargs))
        except Exception as error:
            outcome.set_exception(error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, outcome)

    def tell(outcome: concurrent.futures.Future[T]) -> None:
        if error := outcome.exception():
            result.set_exception(error)
        else:
            result.set_result(outcome.result())

    threading.Thread(target=work, daemon=True, name=name).start()
    return result

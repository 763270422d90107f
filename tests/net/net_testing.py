"""What the tests of this folder share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], within_sec: float = 20) -> None:
    """Waits until a condition holds."""
    async with asyncio.timeout(within_sec):
        while not condition():  # noqa: ASYNC110 - the condition belongs to code that has no event for it
            await asyncio.sleep(0.001)

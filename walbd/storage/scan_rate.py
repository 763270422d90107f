"""The limit of the scan of a backup (`-fst`, `set-full-scan-bps`): a token bucket of one second (W15)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from walbd.world.world import World

# The longest sleep without looking whether the limit has changed or the work is cancelled.
LONGEST_STEP_SEC = 0.2
SHORTEST_STEP_SEC = 0.001


@dataclass
class ScanLimit:
    """Bytes per second of each scan, 0 = none; one per daemon, changed by an operator at any time."""

    bytes_per_sec: int


class ScanRate:
    """Delays one scan so that it keeps to the limit."""

    def __init__(self, world: World, limit: Callable[[], int], is_cancelled: Callable[[], bool]) -> None:
        self._world = world
        self._limit = limit
        self._is_cancelled = is_cancelled
        self._allowance_bytes = 0.0
        self._last_sec = world.monotonic()

    def pace(self, count_bytes: int) -> Awaitable[None] | None:
        """Ends when the next chunk may be sent after one of count_bytes; None when there is no limit."""
        if self._limit():
            return self._wait(count_bytes)
        self._begin_anew()
        return None

    async def _wait(self, count_bytes: int) -> None:
        self._allowance_bytes -= count_bytes
        while self._limit() and not self._is_cancelled():
            now = self._world.monotonic()
            earned = (now - self._last_sec) * self._limit()
            self._allowance_bytes = min(self._allowance_bytes + earned, float(self._limit()))
            self._last_sec = now
            if self._allowance_bytes >= 0:
                return
            wanted_sec = -self._allowance_bytes / self._limit()
            await self._world.sleep(min(max(wanted_sec, SHORTEST_STEP_SEC), LONGEST_STEP_SEC))
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._allowance_bytes = 0.0
        self._last_sec = self._world.monotonic()

"""The lsids of a running device, and who waits for them."""

from __future__ import annotations

import asyncio
import contextlib

from walbd.device.device import LsidSet


class Positions:
    """Mutable lsids, kept in the order of wdev.md section 3. Only the event loop changes them."""

    def __init__(self, latest: int, oldest: int) -> None:
        self.latest = self.completed = self.flush = self.permanent = self.written = self.prev_written = latest
        self.oldest = oldest

    def snapshot(self) -> LsidSet:
        """One consistent set."""
        return LsidSet(
            self.latest,
            self.completed,
            self.flush,
            self.permanent,
            self.written,
            self.prev_written,
            self.oldest,
        )

    def reset(self) -> None:
        """All lsids 0: a new log sequence."""
        self.latest = self.completed = self.flush = self.permanent = self.written = self.prev_written = 0
        self.oldest = 0


class Notices:
    """Wakes readers of the log. `events` counts what the lsids do not show: overflow, reset, failure, stop."""

    def __init__(self) -> None:
        self.events = 0
        self._changed: asyncio.Event | None = None

    def wake(self) -> None:
        """Something of interest moved."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def event(self) -> None:
        """Something happened that the lsids do not show."""
        self.events += 1
        self.wake()

    async def changed(self, timeout_sec: float | None = None) -> None:
        """Returns at the next wake, or after the time-out. No change between a test and this call is missed as long
        as nothing is awaited in between."""
        if self._changed is None:
            self._changed = asyncio.Event()
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_sec):
                await changed.wait()

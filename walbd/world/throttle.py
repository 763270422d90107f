"""Long work that leaves a share of the time to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST_SLEEP_SEC = 0.2


class Throttle:
    """Sleeps `percentage` (0 to 99) of the time; for blocking work, of one or several threads."""

    def __init__(self, percentage: int, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        self._factor = percentage / (100 - percentage)
        self._is_cancelled = is_cancelled
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def pause(self) -> None:
        """To be called after each piece of work."""
        if not self._factor:
            return
        with self._lock:
            end = time.monotonic() + (time.monotonic() - self._began) * self._factor
            while (left_sec := end - time.monotonic()) > 0 and not self._is_cancelled():
                time.sleep(min(left_sec, LONGEST_SLEEP_SEC))
            self._began = time.monotonic()

"""Which of many equal messages are worth writing (servers.md W32)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FIRST_PERIOD_SEC = 10.0
LONGEST_PERIOD_SEC = 600.0
MAX_MESSAGES = 256

Message = tuple[int, str]
"""Level and text."""


@dataclass(slots=True)
class _Repeat:
    end_sec: float
    period_sec: float
    suppressed: int = 0


class Repeats:
    """Remembers recent messages. One that comes again within its period is suppressed and counted; the period doubles
    while it keeps coming."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: dict[Message, _Repeat] = {}

    def is_due(self, message: Message) -> bool:
        """True when the message is to be written now; otherwise it has been counted."""
        now = self._clock()
        repeat = self._recent.get(message)
        if repeat is None:
            if len(self._recent) >= MAX_MESSAGES:
                del self._recent[next(iter(self._recent))]
            self._recent[message] = _Repeat(now + FIRST_PERIOD_SEC, FIRST_PERIOD_SEC)
            return True
        repeat.suppressed += 1
        return False

    def take_ended(self, everything: bool = False) -> list[tuple[Message, int]]:
        """Messages with suppressed repeats whose period has ended, and how many were suppressed."""
        now = self._clock()
        counts = []
        for message, repeat in list(self._recent.items()):
            if now < repeat.end_sec and not everything:
                continue
            if not repeat.suppressed:
                del self._recent[message]
                continue
            counts.append((message, repeat.suppressed))
            period_sec = min(2 * repeat.period_sec, LONGEST_PERIOD_SEC)
            self._recent[message] = _Repeat(now + period_sec, period_sec)
        return counts

"""How a command shows long work: a bar on a terminal, a line now and then elsewhere.

Nothing here reads a clock or a terminal by itself, so that it is tested without either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from walbd.model.error import one_line

BAR_PERIOD_SEC = 0.1
LINE_PERIOD_SEC = 5.0
RATE_SPAN_SEC = 10.0
BYTES = "bytes"
_MIN_BAR = 10
_MAX_BAR = 40


class Progress(Protocol):
    """How far work has come: `done` of `total` (0: not known) in `unit`; `phase` names the present step."""

    @property
    def done(self) -> int: ...

    @property
    def total(self) -> int: ...

    @property
    def unit(self) -> str: ...

    @property
    def phase(self) -> str: ...


class Display(Protocol):
    """What shows how far the work has come."""

    def show(self, latest: Progress) -> None:
        """Called for each report of the server."""

    def finish(self, outcome: str) -> None:
        """Called once, with a word about how it ended."""


class Rate:
    """Speed over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> None:
        """Notes how far the work is now; a step back begins anew."""
        if self._points and done < self._points[-1][1]:
            self._points.clear()
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[1][0] >= RATE_SPAN_SEC:
            self._points.popleft()

    @property
    def per_sec(self) -> float:
        """Units per second; 0 while unknown."""
        if len(self._points) < 2:
            return 0.0
        (begin, before), (end, after) = self._points[0], self._points[-1]
        return (after - before) / (end - begin) if end > begin else 0.0


def format_amount(value: float, unit: str) -> str:
    """`1.5 GiB` for bytes, else the number and its unit."""
    if unit != BYTES:
        return f"{value:.0f} {unit}".rstrip()
    power = max(0, (int(value).bit_length() - 1) // 10)
    if power == 0:
        return f"{value:.0f} B"
    return f"{value / (1 << 10 * power):.1f} {'KMGTPE'[power - 1]}iB"


def format_duration(sec: float) -> str:
    """`0:07`, `12:34` or `1:02:03`."""
    minutes, seconds = divmod(round(sec), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class _Tracker:
    """What both displays have in common: the last latest, its speed, and the work's begin."""

    def __init__(self, title: str, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._title = title
        self._write = write
        self._clock = clock
        self._begin = clock()
        self._next = self._begin
        self._last: Progress | None = None
        self._rate = Rate()

    def _is_due(self, latest: Progress, period_sec: float) -> bool:
        """Takes a report; true when it is time to draw, once a period."""
        now = self._clock()
        if self._last is None or latest.phase != self._last.phase:
            self._rate = Rate()
        self._rate.add(now, latest.done)
        self._last = latest
        if now < self._next:
            return False
        self._next = now + period_sec
        return True

    def _figures(self, latest: Progress) -> str:
        """Amount, rate and remaining time, as far as they are known."""
        rate = self._rate.per_sec
        amount = format_amount(latest.done, latest.unit)
        parts = [f"{amount}/{format_amount(latest.total, latest.unit)}" if latest.total else amount]
        if rate > 0:
            parts.append(f"{format_amount(rate, latest.unit)}/s")
        if rate > 0 and latest.total > latest.done:
            parts.append(f"{format_duration((latest.total - latest.done) / rate)} left")
        return ", ".join(parts)

    def _summary(self, outcome: str) -> str:
        took = format_duration(self._clock() - self._begin)
        amount = f", {format_amount(self._last.done, self._last.unit)}" if self._last and self._last.done else ""
        return f"{self._title}: {outcome}{amount} in {took}\n"


def _percent(latest: Progress) -> int:
    return min(100, latest.done * 100 // latest.total)


class Lines(_Tracker):
    """At most one line each few seconds, plus the last: for log files and pipes."""

    def show(self, latest: Progress) -> None:
        if self._is_due(latest, LINE_PERIOD_SEC):
            share = f"{_percent(latest)}%" if latest.total else ""
            step = " ".join(filter(None, [one_line(latest.phase), share]))
            self._write(f"{self._title}: {', '.join(filter(None, [step, self._figures(latest)]))}\n")

    def finish(self, outcome: str) -> None:
        self._write(self._summary(outcome))


class Bar(_Tracker):
    """One line of a terminal, redrawn."""

    def __init__(
        self, title: str, write: Callable[[str], None], clock: Callable[[], float], columns: Callable[[], int]
    ) -> None:
        super().__init__(title, write, clock)
        self._columns = columns

    def show(self, latest: Progress) -> None:
        if self._is_due(latest, BAR_PERIOD_SEC):
            self._draw(latest)

    def finish(self, outcome: str) -> None:
        if self._last:
            self._draw(self._last)
            self._write("\n")
        self._write(self._summary(outcome))

    def _draw(self, latest: Progress) -> None:
        # One column stays free: writing into the last one makes some terminals wrap. The phase is cut first.
        room = self._columns() - 1
        head = f"{self._title}: "
        tail = ", ".join(filter(None, [self._figures(latest), one_line(latest.phase)]))
        if latest.total:
            tail = f" {_percent(latest):3}% {tail}"
            width = max(_MIN_BAR, min(_MAX_BAR, room - len(head) - len(tail) - 2))
            full = width * min(latest.done, latest.total) // latest.total
            tail = f"[{'#' * full}{'-' * (width - full)}]{tail}"
        self._write(f"\r{(head + tail)[:room]}\x1b[K")

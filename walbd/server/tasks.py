"""Running work: what it is, how far it is, how it is cancelled and how much of it may run at once (W12, W13, W41)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from walbd.model.error import BadState, Cancelled, one_line
from walbd.model.timetext import pretty
from walbd.server.runtime import Runtime

HISTORY = 1000
"""Ended work that is remembered."""
RUNNING = "running"
SUCCEEDED = "succeeded"


class Slots(Enum):
    """Kinds of work with a limit of their own. Receiving logs and diffs never waits for foreground work."""

    FOREGROUND = "foreground"
    RECEIVE = "receiving"
    UNLIMITED = "unlimited"


@dataclass(eq=False)
class Work:
    """One piece of running or ended work; use it with `with`, which records how it ended.

    `done` and `total` count `unit`s (total 0 = unknown). They may be set from threads. A failure while it is not
    `is_begun` was a refusal: whoever asked was told, and it is not remembered.
    """

    kind: str
    volume: str
    slots: Slots
    begin_sec: int
    is_cancelled: Callable[[], bool]
    _on_end: Callable[[Work], None] = field(repr=False)
    done: int = 0
    total: int = 0
    unit: str = "bytes"
    phase: str = ""
    end_sec: int = 0
    result: str = RUNNING
    is_begun: bool = True

    def check_cancelled(self) -> None:
        """Raises Cancelled when a forced stop or shutdown asks the work to end."""
        if self.is_cancelled():
            raise Cancelled(f"force stopped:{self.volume}:{self.kind}")

    def set_done(self, done: int) -> None:
        """For callbacks of long native work."""
        self.done = done

    def line(self) -> str:
        """All about it, tab separated; `result` is `running`, `succeeded` or the reason of a failure."""
        fields = {
            "name": self.volume,
            "kind": self.kind,
            "begin": pretty(self.begin_sec),
            "end": pretty(self.end_sec),
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "phase": self.phase,
            "result": self.result,
        }
        return "\t".join(f"{name}:{value}" for name, value in fields.items())

    def __enter__(self) -> Work:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.result = SUCCEEDED if error is None else one_line(str(error) or type(error).__name__)
        self._on_end(self)


class WorkTable:
    """The running work of a daemon and what is remembered of ended work."""

    def __init__(self, runtime: Runtime, max_foreground: int, max_receiving: int) -> None:
        self._runtime = runtime
        self._limits = {Slots.FOREGROUND: max_foreground, Slots.RECEIVE: max_receiving}
        self._running: list[Work] = []
        self._ended: deque[Work] = deque(maxlen=HISTORY)
        self._last: dict[tuple[str, str], Work] = {}

    def begin(
        self,
        kind: str,
        volume: str,
        slots: Slots,
        is_cancelled: Callable[[], bool] | None = None,
        total: int = 0,
        *,
        is_begun: bool = True,
    ) -> Work:
        """Registers work of `volume`. Raises BadState when the limit is reached or the server is shutting down. False
        for is_begun: it may still be refused."""
        self._runtime.shutdown.check_none()
        limit = self._limits.get(slots)
        if limit is not None and sum(work.slots is slots for work in self._running) >= limit:
            name = "foreground" if slots is Slots.FOREGROUND else slots.value
            raise BadState(f"exceeds max {name} tasks:{limit}", "wait until one has ended")
        forced = is_cancelled or (lambda: self._runtime.shutdown.is_forced)
        work = Work(kind, volume, slots, self._runtime.world.now(), forced, self._end, total=total, is_begun=is_begun)
        self._running.append(work)
        return work

    def running(self, volume: str = "") -> list[Work]:
        """Running work, oldest first; of one volume or of all."""
        return [work for work in self._running if volume in ("", work.volume)]

    def lines(self, volume: str = "") -> list[str]:
        """Running work and then what has ended, newest first, as `get tasks` prints it; of one volume or of all."""
        known = [*self._running, *reversed(self._ended)]
        return [work.line() for work in known if volume in ("", work.volume)]

    def last_results(self, volume: str) -> list[str]:
        """How each kind of work of a volume ended the last time, by kind."""
        return [self._last[key].line() for key in sorted(self._last) if key[0] == volume]

    def forget(self, volume: str) -> None:
        """The volume is no more."""
        self._last = {key: work for key, work in self._last.items() if key[0] != volume}

    def _end(self, work: Work) -> None:
        if work in self._running:
            work.end_sec = self._runtime.world.now()
            self._running.remove(work)
            if work.is_begun or work.result == SUCCEEDED:
                self._ended.append(work)
                self._last[work.volume, work.kind] = work
            self._runtime.changes.notify()

"""Named background work of a volume, counted (servers.md section 2.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class Actions:
    """How many of each action run, and when the last one began (seconds since the epoch, 0 = never)."""

    def __init__(self, names: Iterable[str], now: Callable[[], int], on_change: Callable[[], None]) -> None:
        self._counts = dict.fromkeys(names, 0)
        self._begins = dict.fromkeys(self._counts, 0)
        self._now = now
        self._on_change = on_change

    @property
    def names(self) -> list[str]:
        return list(self._counts)

    def has(self, name: str) -> bool:
        return name in self._counts

    def count(self, name: str) -> int:
        return self._counts[name]

    def last_begin(self, name: str) -> int:
        return self._begins[name]

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Counts the action while the block runs."""
        self._counts[name] += 1
        self._begins[name] = self._now()
        self._on_change()
        try:
            yield
        finally:
            self._counts[name] -= 1
            self._on_change()

    def add(self, name: str) -> None:
        """Makes a name known (a proxy's actions are its archives)."""
        self._counts.setdefault(name, 0)
        self._begins.setdefault(name, 0)

    def remove(self, name: str) -> None:
        """Forgets a name that does not run."""
        self._counts.pop(name, None)
        self._begins.pop(name, None)

    def line(self) -> str:
        """`NAME COUNT NAME COUNT ...` as in `status`."""
        return " ".join(f"{name} {count}" for name, count in self._counts.items())

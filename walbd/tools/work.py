"""Progress of long work: a bar on stderr when that is a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from walbd.world.progress import Bar

LONG_SEC = 1.0
_COLUMNS = 80


@dataclass(frozen=True, slots=True)
class _Bytes:
    done: int
    total: int
    unit: str = "bytes"
    phase: str = ""


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


@contextmanager
def shown(title: str, total_bytes: int, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[int], None]]:
    """Gives what is to be called with the bytes done so far. The bar comes when the work has taken a while."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    begin, bar = clock(), None

    def show(done: int) -> None:
        nonlocal bar
        if bar is None and clock() - begin >= LONG_SEC:
            bar = Bar(title, _write, clock, _columns)
        if bar is not None:
            bar.show(_Bytes(min(done, total_bytes) if total_bytes else done, total_bytes))

    outcome = "failed"
    try:
        yield show
        outcome = "done"
    finally:
        if bar is not None:
            bar.finish(outcome)

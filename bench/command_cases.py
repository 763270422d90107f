"""How long a command takes that does nothing: its start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.harness import Figure, median_pair, ratio

WALBC = Path(sys.executable).parent / "walbc"
GOAL = 2.5
# One start takes some tens of milliseconds: a figure is of many.
STARTS = 20


def _starting(*command: str | Path) -> Callable[[], float]:
    def run() -> float:
        started = time.perf_counter()
        for _ in range(STARTS):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return (time.perf_counter() - started) / STARTS

    return run


def start_up(_: Path) -> Iterator[Figure]:
    """`walbc -h` against a Python that does nothing."""
    pair = median_pair(_starting(WALBC, "-h"), _starting(sys.executable, "-I", "-c", "pass"))
    yield ratio("walbc -h / python3 -I -c pass", GOAL, *pair)


CASES: dict[str, Callable[[Path], Iterator[Figure]]] = {"walbc-start": start_up}

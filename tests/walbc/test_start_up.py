"""Starting fast: what is imported, and how long it takes (printed, never asserted)."""

from __future__ import annotations

import subprocess
import sys
import time

LATE = {"tomllib", "difflib", "json", "curses", "walbc.explanations", "walbc.shapes"}
HEAVY = LATE | {
    "asyncio",
    "uvloop",
    "argparse",
    "logging",
    "dataclasses",
    "socket",
    "inspect",
    "walbd._core",
    "walbd.net",
}
RUNS = 5


def imported_by(arguments: list[str]) -> set[str]:
    code = f"import sys, walbc.main; walbc.main.main({arguments!r}); print(*sys.modules, file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by(["-h"]) & HEAVY


def test_a_command_needs_no_event_loop() -> None:
    assert not imported_by(["-a", "127.0.0.1", "-p", "1", "-retry", "0", "status"]) & (
        {"asyncio", "uvloop", "argparse"} | LATE
    )


def test_start_up_time_is_shown() -> None:
    def best_sec(*words: str) -> float:
        times = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-I", *words], stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - begin)
        return min(times)

    print(f"walbc -h: {best_sec('-m', 'walbc', '-h') / best_sec('-c', 'pass'):.2f} x python3 -I -c pass")

"""Starting fast is importing little; how long it takes is told by `make bench ONLY=walbc-start`."""

from __future__ import annotations

import subprocess
import sys

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
    "typing",
    "re",
}


def imported_by(arguments: list[str]) -> set[str]:
    """Modules that walbc has loaded at its end, less those of a Python that does nothing."""
    loaded = "print(*sys.modules, file=sys.stderr)"
    code = f"import sys, walbc.main; walbc.main.main({arguments!r}); {loaded}"
    return _modules(code) - _modules(f"import sys; {loaded}")


def _modules(code: str) -> set[str]:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stderr.split())


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by(["-h"]) & HEAVY


def test_a_command_needs_no_event_loop() -> None:
    assert not imported_by(["-a", "127.0.0.1", "-p", "1", "-retry", "0", "status"]) & (
        {"asyncio", "uvloop", "argparse"} | LATE
    )

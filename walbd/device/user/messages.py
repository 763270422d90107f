"""Log lines on stderr: `YYYY-MM-DD hh:mm:ss.mmm LEVEL text` in UTC, one record one line (servers.md section 2.4).

Where stderr goes to the journal: `<PRIORITY>LEVEL text`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from walbd.model.error import one_line
from walbd.world.journal import is_journal, journal_line


def info_line(text: str) -> None:
    """A step of the device's life."""
    _write("INFO", text)


def warning_line(text: str) -> None:
    """Something an operator should look at."""
    _write("WARNING", text)


def error_line(text: str) -> None:
    """Something that stopped working."""
    _write("ERROR", text)


def _write(level: str, text: str) -> None:
    if is_journal(sys.stderr):
        line = journal_line(level, one_line(text))
    else:
        now = datetime.now(UTC)
        line = f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d} {level} {one_line(text)}"
    print(line, file=sys.stderr, flush=True)

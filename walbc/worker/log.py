"""The worker's log on stdout, in the form scripts parse (python-library.md section 12.6)."""

from __future__ import annotations

import datetime
import sys
import threading
from typing import TextIO

from walbd.model.error import one_line
from walbd.world.journal import is_journal, journal_line

_lock = threading.Lock()


class WorkerLog:
    """`YYYY-MM-DD HH:MM:SS.ffffff LEVEL a:b:c`, UTC, flushed per line; DEBUG only when verbose. Where it goes to the
    journal: `<PRIORITY>LEVEL a:b:c`."""

    def __init__(self, is_verbose: bool = False, out: TextIO | None = None) -> None:
        self._is_verbose = is_verbose
        self._out = out

    def debug(self, *fields: object) -> None:
        """For those who look for a defect."""
        if self._is_verbose:
            self._write("DEBUG", fields)

    def info(self, *fields: object) -> None:
        """What is done."""
        self._write("INFO", fields)

    def warning(self, *fields: object) -> None:
        """What somebody should look at."""
        self._write("WARN", fields)

    def error(self, *fields: object) -> None:
        """What failed."""
        self._write("ERROR", fields)

    def text(self, text: str) -> None:
        """Text of several lines, as it is."""
        with _lock:
            print(text, file=self._out or sys.stdout, flush=True)

    def _write(self, level: str, fields: tuple[object, ...]) -> None:
        text = ":".join(one_line(str(field)) for field in fields)
        if is_journal(self._out or sys.stdout):
            self.text(journal_line(level, text))
        else:
            self.text(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S.%f} {level} {text}")

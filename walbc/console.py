"""What the program writes: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
import time

from walbd.model.error import Refused, StorageFailure, WalbError, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_DEFAULT_COLUMNS = 80


def error_text(error: WalbError) -> str:
    """One line about an error. Of what a server wrote only the first line counts: the rest, if any, is its stack."""
    if isinstance(error, Refused):
        return str(Refused(_first_line(error.message), _first_line(error.hint)))
    return str(error)


def log_line(level: str, text: str) -> str:
    """`YYYY-MM-DD hh:mm:ss.mmm LEVEL walbc TEXT`, UTC (walbc.md section 3); for stderr, as the journal wants it where
    that goes there."""
    if "JOURNAL_STREAM" in os.environ and sys.stderr is not None:
        from walbd.world.journal import is_journal, journal_line

        if is_journal(sys.stderr):
            return journal_line(level, f"walbc {text}\n")
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    return f"{stamp}.{int(now * 1000) % 1000:03} {level} walbc {text}\n"


def write_results(lines: list[str]) -> None:
    """Prints lines on stdout; raises StorageFailure when that fails (a full disk, a closed pipe)."""
    text = "".join(f"{_printable(line)}\n" for line in lines)
    try:
        if sys.stdout is None:
            raise OSError(0, "it is closed")
        _write(sys.stdout, text)
    except OSError as error:
        _discard_stdout()
        raise StorageFailure(f"cannot write to standard output: {error.strerror}") from error


def write_message(text: str) -> None:
    """Writes to stderr; where that is impossible there is nobody to tell."""
    try:
        if sys.stderr is not None:
            _write(sys.stderr, text)
    except OSError:
        pass


def is_terminal() -> bool:
    """Whether messages go to a terminal on which a line can be redrawn."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def columns() -> int:
    """Width of the terminal messages go to."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _DEFAULT_COLUMNS
    except (OSError, ValueError):
        return _DEFAULT_COLUMNS


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]


def _printable(line: str) -> str:
    """The line without anything that could steer a terminal; tabs separate fields and stay."""
    return "\t".join(map(one_line, line.split("\t")))


def _write(file: TextIO, text: str) -> None:
    file.buffer.write(text.encode(file.encoding or "utf-8", "backslashreplace"))
    file.buffer.flush()


def _discard_stdout() -> None:
    """Keeps the interpreter from failing again when it flushes at its end."""
    if sys.stdout is not None:
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, sys.stdout.fileno())
        except (OSError, ValueError):
            pass
        finally:
            os.close(null)

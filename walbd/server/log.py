"""The log of a daemon: `YYYY-MM-DD hh:mm:ss.mmm LEVEL text`, UTC, one record one line, written at once.

(servers.md section 2.4.) On stderr that goes to the journal: `<PRIORITY>LEVEL text`. Fields of a message are joined by
`:`; messages of a connection begin with `[self][peer] `. A WARNING or ERROR that repeats is written once per period,
later with how often it was suppressed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from pathlib import Path

from walbd.model.error import StorageFailure, one_line
from walbd.server.repeats import Repeats
from walbd.world.journal import is_journal, journal_line

LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
STDERR = "-"
_MODE = 0o644


class LineFormatter(logging.Formatter):
    """One record as one line with its time in UTC, whatever TZ says."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created))
        return f"{stamp}.{int(record.msecs):03d} {record.levelname} {one_line(record.getMessage())}\n"


class JournalFormatter(logging.Formatter):
    """One record as one line for the journal, which knows the time."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{journal_line(record.levelname, one_line(record.getMessage()))}\n"


class FileHandler(logging.Handler):
    """Appends each record with a single write, so that it is complete in the file at once."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        self._fd = sys.stderr.fileno() if path is None else self._open(path)
        self.setFormatter(JournalFormatter() if path is None and is_journal(sys.stderr) else LineFormatter())

    @staticmethod
    def _open(path: Path) -> int:
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        except OSError as error:
            raise StorageFailure(
                f"cannot open the log file {path}: {error.strerror}", "its directory must exist and be writable"
            ) from error

    def reopen(self) -> None:
        """Goes on in a new file of the same name (after a rotation). Raises StorageFailure, and keeps the old one,
        when that cannot be opened."""
        if self._path is not None:
            new = self._open(self._path)
            os.dup2(new, self._fd, inheritable=False)
            os.close(new)

    def emit(self, record: logging.LogRecord) -> None:
        # A full disk or a closed terminal must not end the daemon.
        with contextlib.suppress(OSError):
            os.write(self._fd, self.format(record).encode(errors="replace"))

    def close(self) -> None:
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        super().close()


class Log:
    """What the parts of a daemon log through. `repeats` is shared by all logs made from one."""

    def __init__(self, logger: logging.Logger, repeats: Repeats, prefix: str = "") -> None:
        self._logger = logger
        self._repeats = repeats
        self._prefix = prefix

    def debug(self, *fields: object) -> None:
        self._write(logging.DEBUG, fields)

    def info(self, *fields: object) -> None:
        self._write(logging.INFO, fields)

    def warning(self, *fields: object) -> None:
        self._write_limited(logging.WARNING, fields)

    def error(self, *fields: object) -> None:
        self._write_limited(logging.ERROR, fields)

    def of_connection(self, self_id: str, peer_id: str) -> Log:
        """The log for messages of one connection."""
        return Log(self._logger, self._repeats, f"[{self_id}][{peer_id}] ")

    def reopen(self) -> None:
        """On SIGHUP: goes on in a new file; the old one stays in use, with an ERROR in it, when that fails."""
        for handler in self._logger.handlers:
            if isinstance(handler, FileHandler):
                try:
                    handler.reopen()
                except StorageFailure as error:
                    self.error("log not reopened", error)
                else:
                    self.info("log reopened")

    def write_suppressed(self, everything: bool = False) -> None:
        """Says how many repeats were suppressed in the periods that have ended (or in all)."""
        for (level, text), count in self._repeats.take_ended(everything):
            self._logger.log(level, "%s", f"Suppressed {count} messages {text}")

    def close(self) -> None:
        """Writes what is pending and closes the file."""
        self.write_suppressed(everything=True)
        for handler in list(self._logger.handlers):
            self._logger.removeHandler(handler)
            handler.close()

    def _write_limited(self, level: int, fields: tuple[object, ...]) -> None:
        self.write_suppressed()
        if self._repeats.is_due((level, self._text(fields))):
            self._write(level, fields)

    def _write(self, level: int, fields: tuple[object, ...]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", self._text(fields))

    def _text(self, fields: tuple[object, ...]) -> str:
        return self._prefix + ":".join(map(str, fields))


def defect_text(error: BaseException) -> str:
    """An exception that should not have come so far, in one line: what and where."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"internal error: {type(error).__name__}: {error}{where}"


def open_log(path: str, base_dir: Path, debug: bool, repeats: Repeats) -> Log:
    """Opens the log named by `-l`: `-` is stderr, a relative path lies below the base directory. Raises
    StorageFailure."""
    # Not registered with the logging module: several daemons of one process keep apart.
    logger = logging.Logger("walb", logging.DEBUG if debug else logging.INFO)
    logger.addHandler(FileHandler(None if path == STDERR else base_dir / path))
    return Log(logger, repeats)

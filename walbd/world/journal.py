"""Log lines as the journal wants them: `<PRIORITY>text`, without a time of their own (sd-daemon(3))."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import IO

# syslog(3) priorities by the names of levels in our logs.
PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARN": 4, "WARNING": 4, "ERROR": 3}


def is_journal(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Whether what is written to the stream goes to the journal: $JOURNAL_STREAM names it as DEVICE:INODE."""
    named = environment.get("JOURNAL_STREAM")
    if not named:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"


def journal_line(level: str, text: str) -> str:
    """One record. The level stays in the text: scripts search for it."""
    return f"<{PRIORITIES[level]}>{level} {text}"


def print_error(text: str) -> None:
    """The one line on stderr with which a program fails."""
    prefix = f"<{PRIORITIES['ERROR']}>" if is_journal(sys.stderr) else ""
    print(prefix + text, file=sys.stderr, flush=True)

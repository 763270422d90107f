"""walb-archive."""

from __future__ import annotations

import sys

from walbd.archive.daemon import ArchiveDaemon
from walbd.archive.options import ArchiveSettings
from walbd.server.program import run_daemon


def main() -> None:
    """Entry point of the program."""
    sys.exit(run_daemon(ArchiveDaemon, ArchiveSettings))

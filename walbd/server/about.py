"""What a program says about itself: banners, `-h`, the `version` command."""

from __future__ import annotations

import time
from pathlib import Path

import walbd.version
from walbd.version import VERSION, WLOG_VERSION


def build_date() -> str:
    """When this installation was made, `YYYY-MM-DDThh:mm:ss` UTC."""
    made_sec = Path(walbd.version.__file__).stat().st_mtime
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(made_sec))


def banner(kind: str) -> str:
    """`walb KIND server version V build at D (wlog version 2)` (servers.md section 2.2)."""
    return f"walb {kind} server version {VERSION} build at {build_date()} (wlog version {WLOG_VERSION})"


def version_line() -> str:
    """Answer of the `version` command (servers.md section 2.13)."""
    return f"version:{VERSION}\tbuild_date:{build_date()}\tlog_version:{WLOG_VERSION}"

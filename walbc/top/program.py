"""The command: which servers, and whether once or on a screen."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from walbc.connection import Connection, resolve
from walbc.global_options import ONCE
from walbc.options import Request
from walbc.servers import load_servers
from walbc.top.page import Line, page
from walbc.top.watch import Watch
from walbd.model.error import InvalidArgument

_PAGE_COLUMNS = 1000


def run(request: Request) -> list[str]:
    """The lines of one page with --once; else shows the screen until the user ends it. Raises NotFound without a
    servers file, InvalidArgument without a terminal."""
    is_once = ONCE in request.switches
    if not is_once and not (sys.stdout and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"):
        raise InvalidArgument("top needs a terminal", f"top {ONCE} prints one page")
    watch = Watch(connections(request))
    try:
        if is_once:
            watch.wait_for_all()
            return [line.text for line in _page_of(watch)(_PAGE_COLUMNS)]
        from walbc.top.screen import show

        show(_page_of(watch))
        return []
    finally:
        watch.close()


def connections(request: Request) -> list[Connection]:
    """The servers named, else the one of the command line or the environment, else all of the servers file."""
    names = request.parameters
    if not names and request.connection.host:
        return [request.connection]
    names = names or list(load_servers(os.environ))
    if not names:
        raise InvalidArgument("the servers file names no server", "man walb-servers tells how to write it")
    return [resolve({"s": name}, os.environ) for name in names]


def _page_of(watch: Watch) -> Callable[[int], list[Line]]:
    return lambda columns: page(watch.views(), time.strftime("%Y-%m-%dT%H:%M:%S UTC", time.gmtime()), columns)

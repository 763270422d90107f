"""The options all daemons have, and those of the two with a background queue (servers.md section 2.3)."""

from __future__ import annotations

import dataclasses
import socket
from dataclasses import dataclass
from typing import Any, Self

from walbd.model.limits import check_node_id
from walbd.server.options import Kind, Settings, at_least, in_range, option

DEFAULT_BASE = "/var/forest/walb"


def base_option(kind: str) -> Any:
    """The declaration of `-b`, whose default depends on the kind of server."""
    return option("b", Kind.TEXT, f"{DEFAULT_BASE}/{kind}", "base directory of the volumes' metadata", word="PATH")


def _check_id(name: str, value: str) -> None:
    check_node_id(value)


@dataclass(frozen=True, kw_only=True)
class CommonSettings(Settings):
    """What every daemon understands. -kaidle, -kaintvl and -kacnt are checked only with -ka."""

    port: int = option("p", Kind.PORT, 5000, "TCP port to listen on, 0 = a free one")
    bind: str = option("bind", Kind.TEXT, "", "address to listen on, empty = all IPv4 and IPv6", word="ADDR")
    base_dir: str = base_option("")
    log_path: str = option(
        "l", Kind.TEXT, "-", "log file, '-' = stderr, relative = below the base directory", word="PATH"
    )
    debug: bool = option("debug", Kind.SWITCH, False, "log DEBUG lines, too")
    node_id: str = option("id", Kind.TEXT, socket.gethostname(), "node id told to peers", check=_check_id)
    max_connections: int = option("maxconn", Kind.INTEGER, 10, "concurrent data connections", check=at_least(1))
    max_foreground: int = option("fg", Kind.INTEGER, 2, "concurrent foreground tasks", check=at_least(1))
    timeout_sec: int = option(
        "to", Kind.INTEGER, 10, "time-out of connect, read and write, 0 = none", word="SEC", check=in_range(0, 86400)
    )
    keep_alive: bool = option("ka", Kind.SWITCH, False, "TCP keep-alive instead of read and write time-outs")
    keep_idle_sec: int = option("kaidle", Kind.INTEGER, 1800, "idle time before the first keep-alive probe", word="SEC")
    keep_interval_sec: int = option("kaintvl", Kind.INTEGER, 60, "time between keep-alive probes", word="SEC")
    keep_count: int = option("kacnt", Kind.INTEGER, 10, "unanswered keep-alive probes before giving up")
    allow_exec: bool = option(
        "allow-exec", Kind.SWITCH, False, "obey exec: run programs for whoever can reach the port"
    )

    checks_only: bool = option("-check", Kind.SWITCH, False, "tell whether the daemon could start, and end")

    def check(self) -> None:
        super().check()
        if self.keep_alive:
            in_range(0, 86400)("kaidle", self.keep_idle_sec)
            in_range(0, 3600)("kaintvl", self.keep_interval_sec)
            in_range(0, 100)("kacnt", self.keep_count)

    @property
    def io_timeout_sec(self) -> int:
        """Limit of one read or write of a connection; 0 = none."""
        return 0 if self.keep_alive else self.timeout_sec

    def keep_alive_text(self) -> str:
        """The value of the `keepAlive` line of `status` (servers.md section 6.1)."""
        if not self.keep_alive:
            return "OFF"
        return f"ON (idle {self.keep_idle_sec} intvl {self.keep_interval_sec} cnt {self.keep_count})"


@dataclass(frozen=True, kw_only=True)
class BackgroundSettings(CommonSettings):
    """What the daemons with a background queue understand besides."""

    max_background: int = option("bg", Kind.INTEGER, 1, "background workers", check=in_range(1, 1000))
    min_delay_sec: int = option("delay", Kind.INTEGER, 1, "first retry delay", word="SEC", check=at_least(0))
    max_delay_sec: int = option("maxdelay", Kind.INTEGER, 300, "longest retry delay", word="SEC", check=at_least(0))

    def adjusted(self) -> tuple[Self, list[str]]:
        if self.max_delay_sec >= self.min_delay_sec:
            return self, []
        warning = f"-maxdelay {self.max_delay_sec} is smaller than -delay {self.min_delay_sec}, which is used instead"
        return dataclasses.replace(self, max_delay_sec=self.min_delay_sec), [warning]

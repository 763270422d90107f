"""Command line of walb-proxy (servers.md section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from walbd.server.common_options import BackgroundSettings, base_option
from walbd.server.options import Kind, at_least, in_range, option

MAX_WDIFF_SEND_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ProxySettings(BackgroundSettings):
    """What walb-proxy understands."""

    # Historic options that old start scripts still give.
    ignored: ClassVar[Mapping[str, Kind]] = {"wl": Kind.INTEGER}

    base_dir: str = base_option("proxy")
    max_wdiff_send_mib: int = option(
        "wd",
        Kind.INTEGER,
        128,
        "most wdiff data of one transfer",
        word="MIB",
        check=in_range(1, MAX_WDIFF_SEND_MIB),
    )
    max_wdiff_send_files: int = option(
        "wn", Kind.INTEGER, 1000, "most wdiff files merged into one transfer", check=at_least(1)
    )
    retry_timeout_sec: int = option(
        "rto",
        Kind.INTEGER,
        1800,
        "how long an archive may refuse",
        word="SEC",
        check=at_least(1),
    )
    is_stopped: bool = option("stop", Kind.SWITCH, False, "start no volume")

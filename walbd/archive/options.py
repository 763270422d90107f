"""Options of walb-archive (servers.md section 2.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from walbd.model.compression import CompressOpt
from walbd.model.error import InvalidArgument
from walbd.server.common_options import CommonSettings, base_option
from walbd.server.options import Kind, at_least, in_range, option
from walbd.wdiff.apply import Discard

DEFAULT_MAX_OPEN = 200
_LVM_NAME = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,126}", re.ASCII)


def _check_discard(name: str, value: Any) -> None:
    if value not in {kind.name.lower() for kind in Discard}:
        raise InvalidArgument(f"bad value of -{name}:{value}", "use zero, ignore or passdown")


def _check_lvm_name(name: str, value: Any) -> None:
    if value and not _LVM_NAME.fullmatch(value):
        raise InvalidArgument(f"bad value of -{name}:{value[:160]}", "'vgs' and 'lvs' list the names there are")


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings(CommonSettings):
    """What walb-archive understands."""

    ignored: ClassVar[Mapping[str, Kind]] = {
        "wl": Kind.INTEGER,
        "wd": Kind.INTEGER,
        "rto": Kind.INTEGER,
        "delay": Kind.INTEGER,
        "stop": Kind.SWITCH,
    }

    base_dir: str = base_option("archive")
    volume_group: str = option(
        "vg",
        Kind.TEXT,
        "",
        "LVM volume group of the images; else they are files",
        word="NAME",
        check=_check_lvm_name,
    )
    thin_pool: str = option(
        "tp", Kind.TEXT, "", "thin pool of the images in that group", word="NAME", check=_check_lvm_name
    )
    max_wdiffs: int = option(
        "wn", Kind.INTEGER, 1000, "most wdiff files merged into one replication step", check=at_least(1)
    )
    discard: str = option(
        "discard",
        Kind.TEXT,
        "zero",
        "discards are written as: zero, ignore or passdown",
        word="TYPE",
        check=_check_discard,
    )
    sync_interval_bytes: int = option(
        "fi", Kind.INTEGER, 1 << 30, "data written between two syncs", word="SIZE", check=at_least(1)
    )
    auto_resize: bool = option("autoresize", Kind.SWITCH, False, "grow base images when volumes have grown")
    keep_one_cold_snapshot: bool = option(
        "keep-one-cold-snap", Kind.SWITCH, False, "keep only the newest cold snapshot"
    )
    max_open: int = option("maxopen", Kind.INTEGER, 0, "most wdiffs opened in a step of restore or apply, 0 = 200")
    max_open_scan: int = option("maxopen-virt", Kind.INTEGER, 0, "most wdiffs opened for a virtual scan, 0 = no limit")
    apply_sleep_percent: int = option(
        "apply-sleep-pct", Kind.INTEGER, 0, "share of time slept while wdiffs are applied", check=in_range(0, 99)
    )
    compress: CompressOpt = option("sync-cmpr", Kind.COMPRESS, "snappy:0:1", "compression of replication as client")
    allow_debug: bool = option("allow-dbg", Kind.SWITCH, False, "obey the dbg- commands, which change metadata by hand")
    lock_warning_sec: float = option("lock-time-th", Kind.REAL, 10.0, "accepted for compatibility, no effect")

    @property
    def max_open_files(self) -> int:
        """Most wdiffs opened at once by a restore or apply."""
        return self.max_open or DEFAULT_MAX_OPEN

    @property
    def discard_type(self) -> Discard:
        """How discard records are written to images."""
        return Discard[self.discard.upper()]

"""Command line of walb-storage (servers.md section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass

from walbd.device.control import DEFAULT_SOCKET_DIR
from walbd.model.address import Address
from walbd.model.compression import CompressOpt
from walbd.model.limits import LB_BYTES
from walbd.server.common_options import BackgroundSettings, base_option
from walbd.server.options import Kind, at_least, in_range, option

MAX_WLOG_SEND_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class StorageSettings(BackgroundSettings):
    """What walb-storage understands."""

    base_dir: str = base_option("storage")
    archive: Address = option("archive", Kind.ADDRESS, None, "primary archive", must=True)
    proxies: tuple[Address, ...] = option(
        "proxy", Kind.ADDRESS_LIST, None, "proxies, the first has the highest priority", must=True
    )
    max_wlog_send_mib: int = option(
        "wl", Kind.INTEGER, 128, "most log of one transfer", word="MIB", check=in_range(1, MAX_WLOG_SEND_MIB)
    )
    snapshot_interval_sec: int = option(
        "snapintvl", Kind.INTEGER, 10, "interval of implicit snapshots", word="SEC", check=at_least(1)
    )
    full_scan_bytes_per_sec: int = option(
        "fst", Kind.INTEGER, 0, "limit of the scan of full and hash backup, 0 = none", word="BYTES/S", check=at_least(0)
    )
    ts_delta_interval_sec: int = option(
        "tsdintvl", Kind.INTEGER, 60, "period of ts-delta gathering", word="SEC", check=at_least(1)
    )
    sync_compress: CompressOpt = option("sync-cmpr", Kind.COMPRESS, "snappy:0:1", "compression of full and hash backup")
    socket_dir: str = option("s", Kind.TEXT, DEFAULT_SOCKET_DIR, "sockets of user-space walb devices", word="DIR")

    @property
    def full_scan_lb_per_sec(self) -> int:
        """The scan limit in logical blocks, 0 = none."""
        return self.full_scan_bytes_per_sec // LB_BYTES

"""What every part of a running walb-storage shares."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from walbd.net.connection import Timing
from walbd.net.handshake import Identity
from walbd.server.background import BackgroundQueue
from walbd.server.runtime import Runtime
from walbd.server.tasks import WorkTable
from walbd.server.volume_table import VolumeTable
from walbd.storage.options import StorageSettings
from walbd.storage.proxies import ProxyList
from walbd.storage.scan_rate import ScanLimit

if TYPE_CHECKING:
    from walbd.storage.volume import StorageVolume


@dataclass(frozen=True)
class Context:
    """One per daemon."""

    runtime: Runtime
    settings: StorageSettings
    me: Identity
    timing: Timing
    base: Path
    volumes: VolumeTable[StorageVolume]
    works: WorkTable
    proxies: ProxyList
    queue: BackgroundQueue[str]
    scan_limit: ScanLimit
    init_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

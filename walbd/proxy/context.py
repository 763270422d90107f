"""What every part of a running walb-proxy shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from walbd.net.connection import Timing
from walbd.net.handshake import Identity
from walbd.proxy.archives import LostArchives
from walbd.proxy.disk_space import DiskSpace
from walbd.proxy.options import ProxySettings
from walbd.server.background import BackgroundQueue
from walbd.server.runtime import Runtime
from walbd.server.tasks import WorkTable
from walbd.server.volume_table import VolumeTable

if TYPE_CHECKING:
    from walbd.proxy.volume import ProxyVolume


class SendKey(NamedTuple):
    """One background task: the queue of one archive of one volume."""

    volume: str
    archive: str


@dataclass(frozen=True)
class Context:
    """One per daemon."""

    runtime: Runtime
    settings: ProxySettings
    me: Identity
    timing: Timing
    base: Path
    volumes: VolumeTable[ProxyVolume]
    works: WorkTable
    queue: BackgroundQueue[SendKey]
    lost_archives: LostArchives
    disk_space: DiskSpace

"""What the parts of one walb-archive share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from walbd.archive.options import ArchiveSettings
from walbd.archive.volume import ArchiveVolume
from walbd.image.store import ImageStore
from walbd.net.connection import Timing
from walbd.net.handshake import Identity
from walbd.server.log import Log
from walbd.server.runtime import Runtime
from walbd.server.state_machine import CLEAR
from walbd.server.tasks import WorkTable
from walbd.server.volume_table import VolumeTable
from walbd.world.world import World


@dataclass(frozen=True)
class Archive:
    """One archive: its volumes, its images and the work that runs."""

    settings: ArchiveSettings
    runtime: Runtime
    works: WorkTable
    volumes: VolumeTable[ArchiveVolume]
    store: ImageStore
    me: Identity
    timing: Timing

    @property
    def world(self) -> World:
        return self.runtime.world

    @property
    def log(self) -> Log:
        return self.runtime.log

    def new_volume(self, name: str, state: str = CLEAR) -> ArchiveVolume:
        """A volume that is not in the table yet."""
        return ArchiveVolume(name, self.runtime, Path(self.settings.base_dir), self.store, state)

"""Archives whose images lie in a simulated volume group."""

from __future__ import annotations

from pathlib import Path

from tests.archive.archive_testing import RunningArchive
from tests.image.simulated_lvm import POOL, SimulatedLvm
from walbd.archive.daemon import ArchiveDaemon
from walbd.image.lvm.thick import ThickStore
from walbd.image.lvm.thin import ThinStore
from walbd.image.store import ImageStore


def on_thin(lvm: SimulatedLvm) -> type[ArchiveDaemon]:
    """The daemon with images in the thin pool."""

    class ThinArchive(ArchiveDaemon):
        def make_store(self) -> ImageStore:
            return ThinStore(lvm, POOL)

    return ThinArchive


def on_thick(lvm: SimulatedLvm) -> type[ArchiveDaemon]:
    """The daemon with images on thick volumes."""

    class ThickArchive(ArchiveDaemon):
        def make_store(self) -> ImageStore:
            return ThickStore(lvm)

    return ThickArchive


async def restored_image(archive: RunningArchive, gid: int, size_bytes: int, volume: str = "v0") -> bytes:
    """What the restored volume of a gid holds; the device may be larger than the volume."""
    (path,) = await archive.get("restored-path", volume, str(gid))
    return Path(path).read_bytes()[:size_bytes]

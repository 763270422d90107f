"""resize (servers.md section 5.11): the base image grows with the volume; the new part reads as zeros."""

from __future__ import annotations

from walbd.archive.archive import Archive
from walbd.archive.states import RESIZE
from walbd.archive.volume import ArchiveVolume
from walbd.model.error import InvalidArgument
from walbd.model.limits import check_volume_size_lb
from walbd.net.tasks import run_to_end
from walbd.server.log import Log
from walbd.server.tasks import Slots


async def resize(archive: Archive, name: str, size_lb: int) -> None:
    """Raises NotFound when there is no base image yet, InvalidArgument when it would become smaller, BadState."""
    volume = archive.volumes.get(name)
    volume.check("resize")
    check_volume_size_lb(size_lb)
    with (
        archive.works.begin("resize", name, Slots.UNLIMITED, volume.is_cancelled, is_begun=False) as work,
        volume.actions.running(RESIZE),
    ):
        now_lb = await volume.base_size_lb()
        if size_lb < now_lb:
            raise InvalidArgument(
                f"You tried to shrink the volume: {volume.store.base_path(name)}",
                f"it has {now_lb} blocks; a smaller volume needs a new backup",
            )
        work.is_begun = True
        if size_lb > now_lb:
            async with volume.base_lock:
                await run_to_end(archive.world, volume.store.grow_base, name, size_lb)
        archive.log.info(f"resize succeeded:{name}:{now_lb}:{size_lb}")


async def auto_resize(archive: Archive, volume: ArchiveVolume, now_lb: int, wanted_lb: int, log: Log) -> int:
    """With -autoresize the base image, now smaller, gets the size a peer tells of its volume. Returns its size then."""
    if not archive.settings.auto_resize:
        return now_lb
    log.info(f"try to auto-resize:{volume.name}:{now_lb}:{wanted_lb}")
    # A copy of the base that runs meanwhile is not disturbed: it has its size and sees the same blocks.
    await run_to_end(archive.world, archive.store.grow_base, volume.name, wanted_lb)
    return wanted_lb

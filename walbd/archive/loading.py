"""A volume as its folder shows it now, in service or failed: at the start, and after an operator changed the folder."""

from __future__ import annotations

from walbd.archive.archive import Archive
from walbd.archive.recovery import recover
from walbd.archive.states import STOPPED
from walbd.archive.volume import ArchiveVolume
from walbd.model.error import WalbError


async def load_volume(archive: Archive, name: str) -> ArchiveVolume:
    """Puts the volume into the table. A bad volume never stops the others: it is marked failed with the reason."""
    log = archive.log
    volume = archive.new_volume(name)
    try:
        found = await archive.world.run(recover, name, volume.files, archive.store)
    except WalbError as error:
        log.error(f"initArchiveData:start failed:{name}:{error}")
        # Stopped, so that clear-vol and reset-vol find a state to begin from.
        volume = archive.new_volume(name, STOPPED)
        volume.mark_failed(error)
    else:
        for line in found.infos:
            log.info(line)
        for line in found.warnings:
            log.warning(line)
        volume = archive.new_volume(name, found.state)
        volume.content = found.content
    archive.volumes.add(volume)
    return volume

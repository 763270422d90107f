"""init-vol, clear-vol, reset-vol, start (servers.md sections 5.5, 8.6; snapshot-model.md 16.2).

Each can be interrupted at any instruction: the volume is then as before, or SyncReady, or not there.
"""

from __future__ import annotations

from walbd.archive.archive import Archive
from walbd.archive.content import Content
from walbd.archive.states import ARCHIVED, CLEAR_VOL, INIT_VOL, RESET_VOL, START, SYNC_READY
from walbd.archive.volume import ArchiveVolume
from walbd.net.tasks import run_to_end


async def init_volume(archive: Archive, name: str) -> None:
    """Clear to SyncReady."""
    volume = archive.volumes.find(name)
    if volume is not None:
        volume.check("init-vol")
    volume = archive.new_volume(name)
    volume.check("init-vol")
    archive.volumes.add(volume)
    try:
        with volume.machine.begin(INIT_VOL) as change:
            await run_to_end(archive.world, volume.files.create)
            change.commit()
    except BaseException:
        archive.volumes.remove(name)
        raise


async def clear_volume(archive: Archive, name: str) -> None:
    """Removes a volume with its images and diffs; also one that has failed."""
    volume = _erasable(archive, name, "clear-vol")
    with volume.machine.begin(CLEAR_VOL) as change:
        async with volume.base_lock:
            await run_to_end(archive.world, _erase, volume)
            await run_to_end(archive.world, volume.files.destroy)
        change.commit()
    archive.volumes.remove(name)
    archive.works.forget(name)
    archive.destinations.forget(name)


async def reset_volume(archive: Archive, name: str) -> None:
    """Removes images and diffs of a volume and makes it SyncReady; also one that has failed."""
    volume = _erasable(archive, name, "reset-vol")
    with volume.machine.begin(RESET_VOL) as change:
        async with volume.base_lock:
            await run_to_end(archive.world, _erase, volume)
            await run_to_end(archive.world, volume.files.reset)
        volume.content = Content()
        volume.failure = None
        change.commit(SYNC_READY)
    archive.destinations.forget(name)


async def start_volume(archive: Archive, name: str) -> None:
    """Stopped to Archived."""
    volume = archive.volumes.get(name)
    volume.check("start")
    with volume.machine.begin(START) as change:
        await run_to_end(archive.world, volume.files.save_state, ARCHIVED)
        change.commit()


def _erasable(archive: Archive, name: str, command: str) -> ArchiveVolume:
    volume = archive.volumes.get(name)
    if volume.failure is None:
        volume.check(command)
    return volume


def erase_history(volume: ArchiveVolume) -> None:
    """Removes everything but the base image and makes the volume SyncReady. Metadata before images: a crash in between
    leaves images nobody needs. Blocks."""
    volume.files.forget()
    volume.store.sweep(volume.name)
    for gid in volume.store.restored_gids(volume.name):
        volume.store.delete_restored(volume.name, gid)
    if cold := volume.store.cold:
        for gid in cold.gids(volume.name):
            cold.delete(volume.name, gid)


def _erase(volume: ArchiveVolume) -> None:
    erase_history(volume)
    volume.store.delete_base(volume.name)

"""Cold images (servers.md 5.8, 5.9): a restore leaves one, later restores begin with it, an apply makes it the base.

They make things faster and hold nothing else: what goes wrong with one ends no restore and no apply.
"""

from __future__ import annotations

from collections.abc import Iterable

from walbd.archive.archive import Archive
from walbd.archive.cold_recovery import complete_switch, settle_switch
from walbd.archive.volume import ArchiveVolume
from walbd.image.store import ColdImages
from walbd.model.archive_plan import base_for_apply
from walbd.model.changes import ended_by
from walbd.model.error import NotFound, WalbError
from walbd.model.selection import latest_snapshot
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState
from walbd.net.tasks import run_to_end


async def delete_cold(archive: Archive, name: str, gid: int) -> None:
    """Removes the cold image of a gid. Raises NotFound."""
    volume = archive.volumes.get(name)
    volume.check("del-cold")
    kind = archive.store.abilities.name
    hint = f"'get cold {name}' lists what is there" if archive.store.cold else f"there are none on {kind}; see -tp"
    async with volume.base_lock:
        if gid not in volume.content.cold_times:
            raise NotFound(f"volume not found:{name}:{gid}:cold", hint)
        await _delete(archive, volume, gid)
    archive.log.info(f"del-cold succeeded:{name}:{gid}")


async def keep_cold(archive: Archive, volume: ArchiveVolume, state: MetaState) -> None:
    """Keeps the restored volume in the making, which holds `state`, as a cold image too, where the store can and that
    is of use."""
    cold, content, gid = archive.store.cold, volume.content, state.snapshot_begin.gid_begin
    if cold is None or gid in content.cold_times or gid <= content.base.snapshot_begin.gid_begin:
        return
    try:
        await run_to_end(archive.world, _keep, volume, cold, state)
    except WalbError as error:
        archive.log.warning(f"no cold snapshot is kept:{volume.name}:{gid}:{error}")
        return
    content.cold_times[gid] = state.timestamp
    # An apply that went past it meanwhile did not know it.
    await drop_cold_before(archive, volume, content.base.snapshot_begin.gid_begin)


def _keep(volume: ArchiveVolume, cold: ColdImages, state: MetaState) -> None:
    gid = state.snapshot_begin.gid_begin
    cold.keep(volume.name, gid)
    # An image without this file is removed at the next start.
    volume.files.save_cold_time(gid, state.timestamp)


async def keep_newest_cold(archive: Archive, volume: ArchiveVolume) -> None:
    """Removes all cold images but the newest (-keep-one-cold-snap)."""
    await _drop(archive, volume, sorted(volume.content.cold_times)[:-1])


async def drop_cold_before(archive: Archive, volume: ArchiveVolume, gid: int) -> None:
    """Removes the cold images that are not later than the base, which has reached gid."""
    await _drop(archive, volume, [cold for cold in volume.content.cold_times if cold <= gid])


async def _drop(archive: Archive, volume: ArchiveVolume, gids: Iterable[int]) -> None:
    dropped = []
    for gid in sorted(gids):
        try:
            await _delete(archive, volume, gid)
            dropped.append(gid)
        except WalbError as error:
            archive.log.warning(f"cold snapshot cannot be removed:{volume.name}:{gid}:{error}")
    if dropped:
        archive.log.info(f"Removed cold snapshots:{volume.name}:{','.join(map(str, dropped))}")


async def _delete(archive: Archive, volume: ArchiveVolume, gid: int) -> None:
    # Nothing begins with it from now on. The file goes first: an image without one is removed at the next start.
    del volume.content.cold_times[gid]
    await run_to_end(archive.world, volume.files.remove_cold_time, gid)
    if cold := archive.store.cold:
        await run_to_end(archive.world, cold.delete, volume.name, gid)


def cold_for_apply(volume: ArchiveVolume, gid: int) -> int | None:
    """The cold image that becomes the base when a volume is applied up to gid; None when there is none that leads to
    everything the base leads to, or when somebody reads the base, which would go."""
    content = volume.content
    state = base_for_apply(content.base, content.cold_times, gid)
    if state == content.base or volume.diff_use.has_readers:
        return None
    snapshot = state.snapshot_begin
    is_on_the_way = latest_snapshot(content.diffs, snapshot) == content.latest.snapshot_begin
    return snapshot.gid_begin if is_on_the_way else None


async def cold_to_base(archive: Archive, volume: ArchiveVolume, gid: int) -> None:
    """The cold image of gid takes the place of the base image; older diffs and cold images go. Whatever interrupts it,
    `settle` or the next start completes or undoes it. Raises StorageFailure."""
    content, cold = volume.content, archive.store.cold
    assert cold is not None
    archive.log.info(f"make cold image to base: start:{volume.name}:{gid}")
    base = MetaState(Snapshot.clean(gid), None, content.cold_times.pop(gid))
    async with volume.base_lock:
        try:
            await run_to_end(archive.world, cold.begin_switch, volume.name, gid)
            await run_to_end(archive.world, complete_switch, volume.name, volume.files, cold, base)
        except WalbError:
            await _settle(archive, volume)
            raise
        content.base = base
    await _drop_passed(archive, volume)
    archive.log.info(f"make cold image to base: end:{volume.name}:{gid}")


async def settle(archive: Archive, volume: ArchiveVolume) -> None:
    """Completes or undoes a switch that was interrupted."""
    cold = archive.store.cold
    if cold is None or await archive.world.run(cold.switching_gid, volume.name) is None:
        return
    async with volume.base_lock:
        await _settle(archive, volume)
    await _drop_passed(archive, volume)


async def _settle(archive: Archive, volume: ArchiveVolume) -> None:
    """The volume's base_lock is held."""
    told = await run_to_end(archive.world, settle_switch, volume.name, volume.files, archive.store, volume.content)
    archive.log.warning(told or f"cold image did not become the base:{volume.name}")
    volume.content.cold_times = await archive.world.run(_cold_times, volume)


def _cold_times(volume: ArchiveVolume) -> dict[int, int]:
    """Of the images that are there."""
    gids = set(volume.files.cold_gids()) & set(volume.store.cold.gids(volume.name) if volume.store.cold else ())
    return {gid: volume.files.load_cold_time(gid) for gid in sorted(gids)}


async def _drop_passed(archive: Archive, volume: ArchiveVolume) -> None:
    """Removes what the base has passed."""
    gid = volume.content.base.snapshot_begin.gid_begin
    await volume.drop_diffs(ended_by(volume.content.diffs, gid))
    await drop_cold_before(archive, volume, gid)

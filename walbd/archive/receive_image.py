"""A whole image from another archive: full replication and resync as server (servers.md section 5.14)."""

from __future__ import annotations

import os
from functools import partial

from walbd.archive.archive import Archive
from walbd.archive.base_image_sink import BaseImageSink, decompressor, noted_when_cut
from walbd.archive.base_patcher import BasePatcher
from walbd.archive.content import Content
from walbd.archive.states import ARCHIVED, FULL_SYNC, RESET_VOL, RESYNC, STOP, SYNC_READY
from walbd.archive.volume import ArchiveVolume
from walbd.archive.volume_commands import erase_history
from walbd.archive.volume_files import FullReplState
from walbd.model.error import InvalidArgument
from walbd.model.limits import LB_BYTES
from walbd.net.replication import COMMAND, ImageOffer, ReplicationReceiver
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.server.tasks import Work


async def receive_full_image(
    archive: Archive, volume: ArchiveVolume, receiver: ReplicationReceiver, archive_uuid: bytes, work: Work
) -> None:
    """SyncReady to Archived. An image that was cut goes on from where it was last synced; otherwise the volume is
    emptied first."""
    world = archive.world
    with volume.machine.begin(FULL_SYNC) as change:
        offer = await volume.unless_cancelled(receiver.receive_image_offer())
        async with volume.base_lock:
            start = await run_to_end(world, _begin_or_resume, archive, volume, archive_uuid, offer)
            work.total, work.phase = offer.size_lb * LB_BYTES, "full"
            await _receive_from(archive, volume, receiver, offer, start, work)
            await run_to_end(world, _store, volume, offer, archive_uuid)
        volume.content.begin_history(offer.state, archive_uuid, offer.uuid)
        volume.last_sync_sec = world.now()
        change.commit()
    await receiver.confirm()


def _begin_or_resume(archive: Archive, volume: ArchiveVolume, archive_uuid: bytes, offer: ImageOffer) -> int:
    """Prepares the base image; returns the byte to go on from. Blocks."""
    files, name = volume.files, volume.name
    size_lb, before = volume.store.base_size_lb(name), files.load_full_repl_state()
    is_same = (
        before is not None
        and size_lb is not None
        and before.state == offer.state
        and before.progress_lb <= min(size_lb, offer.size_lb)
        and size_lb <= offer.size_lb
        and files.load_archive_uuid() == archive_uuid
    )
    if before is not None and is_same:
        volume.store.grow_base(name, offer.size_lb)
        return before.progress_lb * LB_BYTES
    erase_history(volume)
    volume.store.create_base(name, offer.size_lb)
    files.save_archive_uuid(archive_uuid)
    files.save_full_repl_state(FullReplState(offer.state, 0, archive.world.now()))
    return 0


async def _receive_from(
    archive: Archive, volume: ArchiveVolume, receiver: ReplicationReceiver, offer: ImageOffer, start: int, work: Work
) -> None:
    world = archive.world
    began_sec = world.now()

    def note(done_bytes: int) -> None:
        volume.files.save_full_repl_state(FullReplState(offer.state, done_bytes // LB_BYTES, began_sec))

    async def converse() -> None:
        await receiver.accept(start)
        hooks = Hooks(volume.telling_progress(work), work.is_cancelled)
        await receiver.receive_image(offer, start, sink, decompressor(offer.compress.type), hooks)

    fd = await world.run(volume.store.open_base, volume.name)
    try:
        interval_bytes = archive.settings.sync_interval_bytes
        sink = BaseImageSink(fd, interval_bytes, volume.store.abilities.new_base_reads_zero, start, note)
        async with noted_when_cut(archive, sink):
            await volume.unless_cancelled(converse())
        work.phase = "sync"
        await run_to_end(world, sink.sync)
    finally:
        os.close(fd)


def _store(volume: ArchiveVolume, offer: ImageOffer, archive_uuid: bytes) -> None:
    """Blocks. `state` comes last: until then the volume counts as empty."""
    files = volume.files
    files.save_base(offer.state)
    files.save_uuid(offer.uuid)
    files.save_archive_uuid(archive_uuid)
    files.remove_full_repl_state()
    files.save_state(ARCHIVED)


async def receive_resync(
    archive: Archive, volume: ArchiveVolume, receiver: ReplicationReceiver, archive_uuid: bytes, work: Work
) -> None:
    """To Archived, from SyncReady or Archived: the base image becomes the other archive's where they differ; snapshots
    and diffs go first. Whatever ends it early leaves the volume SyncReady, to be replicated again."""
    world = archive.world
    offer = await volume.unless_cancelled(receiver.receive_image_offer())
    await _check_resync_size(volume, offer.size_lb)
    await volume.until_no_diff_arrives()
    volume.check(COMMAND)
    await _become_sync_ready(volume)
    work.total, work.phase = offer.size_lb * LB_BYTES, "resync"
    with volume.machine.begin(RESYNC) as change:
        async with volume.base_lock:
            await run_to_end(world, volume.store.grow_base, volume.name, offer.size_lb)
            await _patch_base(archive, volume, receiver, offer, work)
            await run_to_end(world, _store, volume, offer, archive_uuid)
        volume.content.begin_history(offer.state, archive_uuid, offer.uuid)
        volume.last_sync_sec = world.now()
        change.commit()
    await receiver.confirm()


async def _check_resync_size(volume: ArchiveVolume, size_lb: int) -> None:
    now_lb = await volume.base_size_lb()
    if now_lb > size_lb:
        raise InvalidArgument(
            f"You tried to shrink the volume: {volume.store.base_path(volume.name)}:{now_lb}:{size_lb}",
            f"'reset-vol {volume.name}' at the destination, and replicate again",
        )


async def _become_sync_ready(volume: ArchiveVolume) -> None:
    """Gives the history of an Archived volume up; the base image stays."""
    if volume.machine.state != ARCHIVED:
        return
    # On the way, not a state to stay in, nor to be stored.
    with volume.machine.begin(STOP) as change:
        change.commit()
    with volume.machine.begin(RESET_VOL) as change:
        async with volume.base_lock:
            await run_to_end(volume.runtime.world, erase_history, volume)
        volume.content = Content()
        change.commit(SYNC_READY)


async def _patch_base(
    archive: Archive, volume: ArchiveVolume, receiver: ReplicationReceiver, offer: ImageOffer, work: Work
) -> None:
    world = archive.world
    fd = await world.run(volume.store.open_base, volume.name)
    patcher = BasePatcher(fd, offer.size_lb, offer.uuid)
    try:

        async def converse() -> None:
            await receiver.accept()
            hooks = Hooks(volume.telling_progress(work), work.is_cancelled)
            await receiver.receive_differences(offer, partial(_read_next, fd), patcher.feed, hooks)

        os.lseek(fd, 0, os.SEEK_SET)
        await volume.unless_cancelled(converse())
        await run_to_end(world, patcher.finish)
    finally:
        patcher.close()
        os.close(fd)


def _read_next(fd: int, memory: memoryview) -> int:
    """Fills the memory from the descriptor's position; returns how much there was. Blocks."""
    done = 0
    while done < len(memory) and (count := os.readv(fd, [memory[done:]])):
        done += count
    return done

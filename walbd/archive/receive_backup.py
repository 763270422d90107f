"""Full backup as its archive sees it (servers.md sections 5.7 and 8.3).

The base image is written while the volume is in FullSync. Whatever ends the backup before its last step leaves the
volume in SyncReady with an image that the next backup empties, or completes: what was durable of it is remembered with
the uuid of the log that goes on since. Whatever changes behind that place in the meantime is in that log.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from walbd.archive.archive import Archive
from walbd.archive.base_image_sink import BaseImageSink, decompressor, noted_when_cut
from walbd.archive.states import ARCHIVED, FULL_SYNC, WITH_IMAGE
from walbd.archive.volume import ArchiveVolume
from walbd.archive.volume_commands import erase_history
from walbd.archive.volume_files import FullBackupState
from walbd.model.error import BadState, Corrupted, Refused
from walbd.model.limits import LB_BYTES
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState
from walbd.model.uuid_text import NIL_UUID, UUID_BYTES
from walbd.net.backup import BackupRequest
from walbd.net.connection import Connection
from walbd.net.full_backup import COMMAND, FullBackupReceiver
from walbd.net.messages import PeerKind
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.server.tasks import Slots, Work


async def receive_full_backup(archive: Archive, connection: Connection) -> None:
    """Serves one `dirty-full-sync3` conversation."""
    receiver = FullBackupReceiver(connection)
    request = await receiver.receive_request()
    if request.host_kind != PeerKind.STORAGE:
        raise Refused(f"bad host type:{request.host_kind}", "only a walb-storage makes full backups")
    volume = archive.volumes.get(request.volume)
    _check_can_begin(volume)
    log = archive.log.of_connection(archive.settings.node_id, connection.peer_id)
    total_bytes = request.size_lb * LB_BYTES
    with (
        archive.works.begin(COMMAND, volume.name, Slots.FOREGROUND, volume.is_cancelled, total_bytes) as work,
        volume.machine.begin(FULL_SYNC) as change,
        volume.counted_progress(),
    ):
        begin_sec = archive.world.monotonic()
        async with volume.base_lock:
            part = await run_to_end(archive.world, _prepare, volume, request, receiver.resumable_uuid)
            log.info(f"{COMMAND}:started:{volume.name}:{request.size_lb}:{request.bulk_bytes // LB_BYTES}")
            uuid, snapshot = await volume.unless_cancelled(_converse(archive, volume, receiver, part, work))
            base = MetaState(snapshot, None, part.timestamp)
            archive_uuid = archive.world.random_bytes(UUID_BYTES)
            await run_to_end(archive.world, _store, volume, base, archive_uuid, uuid)
        volume.content.begin_history(base, archive_uuid, uuid)
        volume.last_sync_sec = archive.world.now()
        change.commit()
        log.info(f"{COMMAND}:succeeded:{volume.name}:elapsed_time {archive.world.monotonic() - begin_sec:.3f} sec")
    await receiver.confirm()


def _check_can_begin(volume: ArchiveVolume) -> None:
    """Raises BadState. A backup whose last answer was lost is complete here and failed at the storage: the refusal of
    its repetition says how to go on (servers.md section 8.3, F4)."""
    try:
        volume.check(COMMAND)
    except BadState as error:
        if volume.failure or volume.machine.state not in WITH_IMAGE:
            raise
        hint = f"it has a backup already; 'stop {volume.name}' and 'reset-vol {volume.name}' at the archive discard it"
        raise BadState(error.message, hint) from error


async def _converse(
    archive: Archive, volume: ArchiveVolume, receiver: FullBackupReceiver, part: FullBackupState, work: Work
) -> tuple[bytes, Snapshot]:
    """Receives the image and makes it durable; returns the log's new uuid and the snapshot the image is."""
    await receiver.accept(part.progress_lb)
    uuid = await receiver.receive_log_uuid()
    if part.progress_lb and uuid != part.uuid:
        raise BadState(f"log was reset before the backup went on:{volume.name}", "repeat the backup")
    await receiver.confirm()
    await _receive_image(archive, volume, receiver, replace(part, uuid=uuid), work)
    await receiver.confirm()
    return uuid, await receiver.receive_snapshot()


async def _receive_image(
    archive: Archive, volume: ArchiveVolume, receiver: FullBackupReceiver, part: FullBackupState, work: Work
) -> None:
    tell = volume.telling_progress(work)

    def note(end_bytes: int) -> None:
        volume.files.save_full_backup_state(replace(part, progress_lb=end_bytes // LB_BYTES))

    fd = await archive.world.run(volume.store.open_base, volume.name)
    try:
        reads_zero = volume.store.abilities.new_base_reads_zero and not part.progress_lb
        sink = BaseImageSink(fd, archive.settings.sync_interval_bytes, reads_zero, part.progress_lb * LB_BYTES, note)
        hooks = Hooks(lambda count: tell(part.progress_lb * LB_BYTES + count), work.is_cancelled)
        async with noted_when_cut(archive, sink):
            await receiver.receive_image(sink, decompressor(receiver.compression), hooks)
        work.phase = "sync"
        await run_to_end(archive.world, sink.sync)
    finally:
        os.close(fd)


def _prepare(volume: ArchiveVolume, request: BackupRequest, resumable_uuid: bytes) -> FullBackupState:
    """What is there of the image already, which the storage can complete; else makes an empty one. What else an
    interrupted backup or clear-vol left must not become part of the new history. Blocks."""
    with suppress(Corrupted):
        part = volume.files.load_full_backup_state()
        if part and (part.uuid, part.size_lb) == (resumable_uuid, request.size_lb):
            found_lb = volume.store.base_size_lb(volume.name)
            if found_lb is not None and part.progress_lb <= part.size_lb <= found_lb:
                return part
    erase_history(volume)
    volume.store.create_base(volume.name, request.size_lb)
    return FullBackupState(NIL_UUID, request.size_lb, request.timestamp, 0)


def _store(volume: ArchiveVolume, base: MetaState, archive_uuid: bytes, uuid: bytes) -> None:
    """Blocks. `state` comes last: until then the volume counts as empty (snapshot-model.md 16.2)."""
    volume.files.save_base(base)
    volume.files.save_archive_uuid(archive_uuid)
    volume.files.save_uuid(uuid)
    volume.files.save_state(ARCHIVED)
    volume.files.remove_full_backup_state()

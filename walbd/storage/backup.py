"""Full and hash backup as client of the archive (servers.md section 3.8)."""

from __future__ import annotations

import os
from dataclasses import dataclass

from walbd.model.error import BadState, Refused
from walbd.model.limits import LB_BYTES
from walbd.model.snapshot import Snapshot
from walbd.model.uuid_text import NIL_UUID
from walbd.net.backup import BackupRequest, BackupSender
from walbd.net.client import connect
from walbd.net.connection import Connection
from walbd.net.control import ControlRequest
from walbd.net.full_backup import FullBackupSender
from walbd.net.hash_backup import HashBackupSender
from walbd.net.messages import PeerKind
from walbd.net.stream import Hooks
from walbd.server.interrupt import unless_cancelled
from walbd.server.tasks import Slots, Work
from walbd.storage.scan_rate import ScanRate
from walbd.storage.states import FULL_SYNC, HASH_SYNC, MONITORED, START_TARGET, STOPPED, TARGET
from walbd.storage.volume import StorageVolume
from walbd.world.reading import reading


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of backup: the control command, the state while it runs, and the conversation."""

    word: str
    during: str
    sender: type[BackupSender]


FULL = Kind("full-bkp", FULL_SYNC, FullBackupSender)
HASH = Kind("hash-bkp", HASH_SYNC, HashBackupSender)


async def back_up(volume: StorageVolume, kind: Kind, request: ControlRequest, bulk_bytes: int) -> None:
    """SyncReady -> FullSync or HashSync -> Stopped -> Target. Accepts the request when the archive has accepted. Any
    failure leaves the volume in SyncReady; the log was reset then. The next full backup goes on where one was cut, as
    long as no log was lost since; every other backup resets the log again."""
    context = volume.context
    volume.check(kind.word)
    try:
        with (
            context.works.begin(kind.word, volume.name, Slots.FOREGROUND, volume.is_cancelled, is_begun=False) as work,
            volume.machine.begin(kind.during) as change,
        ):
            what = f"{volume.name}:{kind.word}"
            steps = _converse(volume, kind, request, bulk_bytes, work)
            archive_id = await unless_cancelled(context.runtime.changes, volume.is_cancelled, what, steps)
            await volume.save_state(STOPPED)
            change.commit(STOPPED)
        await _become_target(volume)
    except BaseException:
        if volume.machine.state not in MONITORED:
            volume.stop_service()
        raise
    context.runtime.log.info(kind.sender.command, "succeeded", volume.name, archive_id)


async def _converse(volume: StorageVolume, kind: Kind, request: ControlRequest, bulk_bytes: int, work: Work) -> str:
    """The conversation with the archive; returns its id when it has recorded the image."""
    context, world = volume.context, volume.runtime.world
    info = await volume.device().info()
    archive, command = context.settings.archive, kind.sender.command
    async with await connect(world, archive, command, context.me, context.timing) as connection:
        backup = BackupRequest(
            PeerKind.STORAGE,
            volume.name,
            info.size_lb,
            world.now(),
            bulk_bytes,
            context.settings.sync_compress,
        )
        sender = kind.sender(connection, backup)
        sender.resumable_uuid = await _resumable_uuid(volume)
        sender.last_gid = volume.records.last_gid
        gid_begin = await _ask(sender, connection)
        work.is_begun = True
        await request.accept()
        await _run(volume, sender, backup, gid_begin, work, request)
        return connection.peer_id


async def _resumable_uuid(volume: StorageVolume) -> bytes:
    """The uuid of the log if all of it since its reset is here or with a proxy: a full backup that was cut may go on.
    Nil otherwise."""
    try:
        info, _ = await volume.check_log()
    except BadState:
        return NIL_UUID
    return NIL_UUID if info.is_overflow else volume.uuid


async def _ask(sender: BackupSender, connection: Connection) -> int:
    try:
        return await sender.ask()
    except Refused as error:
        hint = error.hint and f"at the archive: {error.hint}"
        raise Refused(f"not accepted by archive:{connection.peer_id}:{error.message}", hint) from error


async def _run(
    volume: StorageVolume,
    sender: BackupSender,
    backup: BackupRequest,
    gid_begin: int,
    work: Work,
    request: ControlRequest,
) -> None:
    """From the accepted request until the archive has recorded the image."""
    context = volume.context
    size_bytes = backup.size_lb * LB_BYTES
    work.total = size_bytes
    context.runtime.log.info(
        sender.command, "started", volume.name, context.settings.archive, backup.size_lb, backup.bulk_bytes // LB_BYTES
    )
    if sender.begin_bytes:
        context.runtime.log.info(sender.command, "goes on", volume.name, sender.begin_bytes // LB_BYTES)
    else:
        await volume.reset_log(gid_begin)
    await sender.send_log_uuid(volume.uuid)
    # From here on new writes are shipped while the image is being sent.
    volume.start_service()

    def progress(sent_bytes: int) -> None:
        done_bytes = sender.begin_bytes + sent_bytes
        work.set_done(done_bytes)
        request.progress(done_bytes, size_bytes, "bytes", "image")

    def is_cancelled() -> bool:
        # The image alone is no backup: without the log it would be a mixture of times.
        _check_overflow(volume, volume.monitor.has_overflow)
        return volume.is_cancelled()

    rate = ScanRate(context.runtime.world, lambda: context.scan_limit.bytes_per_sec, is_cancelled)
    hooks = Hooks(progress, is_cancelled, rate.pace)
    fd = volume.device().open_data()
    try:
        await sender.send_image(reading(fd, volume.name), hooks)
    finally:
        os.close(fd)
    info, end_lsid = await volume.durable_log()
    _check_overflow(volume, info.is_overflow)
    record = await volume.records.take(end_lsid, volume.max_pb(info.pbs), is_mergeable=False)
    context.queue.push(volume.name)
    await sender.send_snapshot(Snapshot(gid_begin, record.gid))


def _check_overflow(volume: StorageVolume, is_overflow: bool) -> None:
    if is_overflow:
        raise BadState(f"overflow:{volume.name}:{volume.path}", "make the log device larger and repeat the backup")


async def _become_target(volume: StorageVolume) -> None:
    """Stopped -> Target, without asking the device again: it has been watched since the reset."""
    with volume.machine.begin(START_TARGET) as change:
        await volume.save_state(TARGET)
        change.commit()
    volume.context.queue.push(volume.name)

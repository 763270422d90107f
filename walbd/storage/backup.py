"""Full backup as client of the archive (servers.md section 3.8)."""

from __future__ import annotations

import os
from functools import partial

from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.error import BadState, Refused, StorageFailure
from walbd.model.limits import LB_BYTES
from walbd.model.snapshot import Snapshot
from walbd.net.client import connect
from walbd.net.connection import Connection
from walbd.net.control import ControlRequest
from walbd.net.full_backup import COMMAND, FullBackupRequest, FullBackupSender
from walbd.net.image_chunk import Compress, ReadAt
from walbd.net.messages import PeerKind
from walbd.net.stream import Hooks
from walbd.server.interrupt import unless_cancelled
from walbd.server.tasks import Slots, Work
from walbd.storage.scan_rate import ScanRate
from walbd.storage.states import FULL_SYNC, MONITORED, START_TARGET, STOPPED, TARGET
from walbd.storage.volume import StorageVolume
from walbd.wdiff.codec import compress


async def full_backup(volume: StorageVolume, request: ControlRequest, bulk_bytes: int) -> None:
    """SyncReady -> FullSync -> Stopped -> Target. Accepts the request when the archive has accepted. Any failure leaves
    the volume in SyncReady; the log was reset then, and the next backup resets it again."""
    context = volume.context
    volume.check("full-bkp")
    try:
        with (
            context.works.begin("full-bkp", volume.name, Slots.FOREGROUND, volume.is_cancelled) as work,
            volume.machine.begin(FULL_SYNC) as change,
        ):
            what = f"{volume.name}:full-bkp"
            steps = _converse(volume, request, bulk_bytes, work)
            archive_id = await unless_cancelled(context.runtime.changes, volume.is_cancelled, what, steps)
            await volume.save_state(STOPPED)
            change.commit(STOPPED)
        await _become_target(volume)
    except BaseException:
        if volume.machine.state not in MONITORED:
            volume.stop_service()
        raise
    context.runtime.log.info(COMMAND, "succeeded", volume.name, archive_id)


async def _converse(volume: StorageVolume, request: ControlRequest, bulk_bytes: int, work: Work) -> str:
    """The conversation with the archive; returns its id when it has recorded the image."""
    context, world = volume.context, volume.runtime.world
    info = await volume.device().info()
    async with await connect(world, context.settings.archive, COMMAND, context.me, context.timing) as connection:
        backup = FullBackupRequest(
            PeerKind.STORAGE,
            volume.name,
            info.size_lb,
            world.now(),
            bulk_bytes,
            context.settings.sync_compress,
        )
        sender = FullBackupSender(connection, backup)
        await _ask(sender, connection)
        await request.accept()
        await _run(volume, sender, backup, work, request)
        return connection.peer_id


async def _ask(sender: FullBackupSender, connection: Connection) -> None:
    try:
        await sender.ask()
    except Refused as error:
        raise Refused(f"not accepted by archive:{connection.peer_id}:{error.message}", error.hint) from error


async def _run(
    volume: StorageVolume, sender: FullBackupSender, backup: FullBackupRequest, work: Work, request: ControlRequest
) -> None:
    """From the accepted request until the archive has recorded the image."""
    context = volume.context
    size_bytes = backup.size_lb * LB_BYTES
    work.total = size_bytes
    context.runtime.log.info(
        COMMAND, "started", volume.name, context.settings.archive, backup.size_lb, backup.bulk_bytes // LB_BYTES
    )
    gid_begin = 0
    await volume.reset_log(gid_begin)
    await sender.send_log_uuid(volume.uuid)
    # From here on new writes are shipped while the image is being sent.
    volume.start_service()

    def progress(done_bytes: int) -> None:
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
        await sender.send_image(_reader(fd, volume.name), _compress(backup.compress), hooks)
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


def _reader(fd: int, name: str) -> ReadAt:
    def read_at(offset: int, buffer: memoryview) -> None:
        while buffer:
            try:
                count = os.preadv(fd, [buffer], offset)
            except OSError as error:
                raise StorageFailure(f"cannot read the device of {name} at {offset}: {error.strerror}") from error
            if count == 0:
                raise StorageFailure(f"the device of {name} ends at {offset}", "was it made smaller?")
            buffer = buffer[count:]
            offset += count

    return read_at


def _compress(option: CompressOpt) -> Compress | None:
    return None if option.type is CompressionType.NONE else partial(compress, option.type, option.level)


async def _become_target(volume: StorageVolume) -> None:
    """Stopped -> Target, without asking the device again: it has been watched since the reset."""
    with volume.machine.begin(START_TARGET) as change:
        await volume.save_state(TARGET)
        change.commit()
    volume.context.queue.push(volume.name)

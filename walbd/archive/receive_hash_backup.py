"""Hash backup as its archive sees it (servers.md sections 5.7 and 8.4).

What differs from the latest snapshot becomes a diff. Until it has its name the volume is as before: whatever ends the
backup leaves it Archived with its snapshots, its uuid, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from walbd.archive.archive import Archive
from walbd.archive.received_diff import ReceivedDiff
from walbd.archive.resize import auto_resize
from walbd.archive.scan import Scanned, open_image
from walbd.archive.states import HASH_SYNC
from walbd.archive.volume import ArchiveVolume
from walbd.model.archive_plan import gids_taken, hash_backup_diff
from walbd.model.diff import Diff
from walbd.model.error import BadState, ProtocolViolation, Refused
from walbd.model.limits import LB_BYTES
from walbd.model.snapshot import Snapshot
from walbd.net.backup import BackupRequest
from walbd.net.connection import Connection
from walbd.net.hash_backup import COMMAND, HashBackupReceiver
from walbd.net.messages import PeerKind
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.server.log import Log
from walbd.server.tasks import Slots, Work
from walbd.world.files import NewFile


async def receive_hash_backup(archive: Archive, connection: Connection) -> None:
    """Serves one `dirty-hash-sync2` conversation."""
    receiver = HashBackupReceiver(connection)
    backup = (await receiver.receive_request()).backup
    if backup.host_kind != PeerKind.STORAGE:
        raise Refused(f"bad host type:{backup.host_kind}", "only a walb-storage makes hash backups")
    volume = archive.volumes.get(backup.volume)
    log = archive.log.of_connection(archive.settings.node_id, connection.peer_id)
    await ready_for(archive, volume, COMMAND, backup.size_lb, log)
    total_bytes = backup.size_lb * LB_BYTES
    with (
        archive.works.begin(COMMAND, volume.name, Slots.FOREGROUND, volume.is_cancelled, total_bytes) as work,
        volume.machine.begin(HASH_SYNC) as change,
        volume.counted_progress(),
    ):
        begin_sec = archive.world.monotonic()
        latest = volume.content.latest.snapshot_begin
        async with open_image(archive, volume, COMMAND, latest.gid_begin, backup.size_lb) as scan:
            log.info(f"{COMMAND}:started:{volume.name}:{backup.size_lb}:{backup.bulk_bytes // LB_BYTES}")
            with await archive.world.run(volume.files.new_file) as new:
                step = _HashBackup(archive, scan, receiver, backup, latest, work)
                uuid, diff = await step.run(new)
        await adopt(archive, volume, uuid, diff)
        volume.last_sync_sec = archive.world.now()
        change.commit()
        log.info(f"{COMMAND}:succeeded:{volume.name}:elapsed_time {archive.world.monotonic() - begin_sec:.3f} sec")
    await receiver.confirm()


async def ready_for(archive: Archive, volume: ArchiveVolume, command: str, size_lb: int, log: Log) -> None:
    """Returns when the volume can take a diff of a comparison or replication; nothing is awaited after the last look.
    Raises BadState when it cannot, or the base image is smaller than the volume, which -autoresize prevents."""
    await volume.until_no_diff_arrives()
    volume.check(command)
    await _check_size(archive, volume, size_lb, log)
    await volume.until_no_diff_arrives()
    volume.check(command)


async def _check_size(archive: Archive, volume: ArchiveVolume, size_lb: int, log: Log) -> None:
    now_lb = await volume.base_size_lb()
    if now_lb < size_lb:
        now_lb = await auto_resize(archive, volume, now_lb, size_lb, log)
    if now_lb < size_lb:
        raise BadState(
            f"smaller-lv-size:{volume.name}:{size_lb}:{now_lb}",
            f"'resize {volume.name} {size_lb * LB_BYTES}' at the archive, or start it with -autoresize",
        )
    if now_lb > size_lb:
        log.warning(f"larger lv size:{volume.name}:{size_lb}:{now_lb}")


async def adopt(archive: Archive, volume: ArchiveVolume, uuid: bytes, diff: Diff) -> None:
    """Takes in the diff, which has its name now, and from here on the diffs of the new log."""
    volume.content.add(diff)
    await run_to_end(archive.world, volume.files.save_uuid, uuid)
    volume.content.uuid = uuid


@dataclass(slots=True)
class _HashBackup:
    """One hash backup at work."""

    archive: Archive
    scan: Scanned
    receiver: HashBackupReceiver
    backup: BackupRequest
    latest: Snapshot
    work: Work

    async def run(self, new: NewFile) -> tuple[bytes, Diff]:
        """The uuid of the storage's new log, and the diff, which is durable under its name."""
        volume = self.scan.volume
        taken = gids_taken(volume.content.diffs, self.latest)
        uuid, snapshot, received = await volume.unless_cancelled(self._converse(new, taken))
        if snapshot.gid_begin <= taken.gid_end:
            raise ProtocolViolation(f"{COMMAND}:{volume.name}:snapshot {snapshot} does not follow {taken}")
        diff = hash_backup_diff(self.latest, snapshot, self.backup.timestamp)
        return uuid, await run_to_end(self.archive.world, received.commit, diff)

    async def _converse(self, new: NewFile, taken: Snapshot) -> tuple[bytes, Snapshot, ReceivedDiff]:
        receiver, world = self.receiver, self.archive.world
        await receiver.accept(taken)
        uuid = await receiver.receive_log_uuid()
        await receiver.confirm()
        received = ReceivedDiff(new, uuid, self.archive.settings.sync_interval_bytes)
        hooks = Hooks(self.scan.volume.telling_progress(self.work), self.work.is_cancelled)
        await receiver.receive_differences(self.scan.image.read, received.feed, hooks)
        self.work.phase = "sync"
        await run_to_end(world, received.complete)
        await run_to_end(world, received.sync)
        await receiver.confirm()
        return uuid, await receiver.receive_snapshot(), received

"""The snapshot records of one volume: `done` and `queue` in memory and on disk (servers.md section 3.4).

`done` says up to which lsid and gid everything went to a proxy; the queue holds the snapshots after it. Memory
changes only after the files are durable.
"""

from __future__ import annotations

import asyncio

from walbd.model.limits import INVALID_LSID
from walbd.model.lsid_gid import LsidGid
from walbd.model.snapshot import INVALID_GID
from walbd.model.transfer_plan import Transfer, is_sent, reset_record, take_snapshot
from walbd.net.tasks import run_to_end
from walbd.server.volume_files import VolumeFolder
from walbd.storage.queue_file import MAX_QUEUE_FILE_BYTES, decode_queue, encode_queue
from walbd.world.world import World

DONE = "done"
QUEUE = "queue"
SALT_BYTES = 4


def initial_done(now: int) -> LsidGid:
    """The done record of a volume that was never backed up."""
    return LsidGid(INVALID_LSID, INVALID_GID, is_mergeable=False, timestamp=now)


def save_queue(folder: VolumeFolder, queue: list[LsidGid], salt: int) -> None:
    """Writes the queue file; records oldest first."""
    folder.files.save(folder.path / QUEUE, encode_queue([record.encode() for record in reversed(queue)], salt))


def load_queue(folder: VolumeFolder) -> list[LsidGid]:
    """Records of the queue file, oldest first. Raises Corrupted."""
    path = folder.path / QUEUE
    payloads = decode_queue(folder.files.load(path, MAX_QUEUE_FILE_BYTES), str(path))
    return [LsidGid.decode(payload, str(path)) for payload in reversed(payloads)]


class SnapshotRecords:
    """Changes are serialised by a lock, which is held over file writes only."""

    def __init__(self, world: World, folder: VolumeFolder, done: LsidGid, queue: list[LsidGid]) -> None:
        self._world = world
        self._folder = folder
        self._lock = asyncio.Lock()
        self.done = done
        self.queue = queue

    @classmethod
    def load(cls, world: World, folder: VolumeFolder) -> SnapshotRecords:
        """Reads both files; blocks. Raises StorageFailure and Corrupted."""
        return cls(world, folder, folder.load_record(DONE, LsidGid), load_queue(folder))

    @property
    def newest(self) -> LsidGid:
        """The newest snapshot, or `done` when none waits."""
        return self.queue[-1] if self.queue else self.done

    @property
    def last_gid(self) -> int:
        """The last gid that was given to log of this volume, also to log that is lost since; 0 for none."""
        return 0 if self.newest.gid == INVALID_GID else self.newest.gid

    async def take(self, lsid: int, max_pb: int, *, is_mergeable: bool) -> LsidGid:
        """Takes a snapshot at lsid (the log before it is durable), durable when this returns; at the newest one's place
        when that was taken after lsid had been asked for."""
        async with self._lock:
            lsid = max(lsid, self.newest.lsid)
            record = take_snapshot(self.newest, lsid, max_pb, self._world.now(), is_mergeable=is_mergeable)
            await self._save_queue([*self.queue, record])
            return record

    async def drop_sent(self) -> None:
        """Forgets the records that `done` has reached."""
        async with self._lock:
            await self._drop_sent()

    async def drop_lost(self, latest_lsid: int, newest_gid: int) -> list[LsidGid]:
        """Forgets the records up to newest_gid that lie behind the end of the log; returns them."""
        async with self._lock:
            lost = [record for record in self.queue if record.lsid > latest_lsid and record.gid <= newest_gid]
            await self._save_queue([record for record in self.queue if record not in lost])
            return lost

    async def advance(self, transfer: Transfer, end_lsid: int) -> None:
        """After the acknowledgement of a transfer that ended at end_lsid. Raises BadState when a reset came between."""
        async with self._lock:
            transfer.check_unchanged(self.done, self.queue)
            done = transfer.next_done(end_lsid)
            await run_to_end(self._world, self._folder.save_record, DONE, done)
            self.done = done
            await self._drop_sent()

    async def reset(self, gid: int) -> None:
        """The log was cleared: lsids begin at 0 again, with this gid."""
        async with self._lock:
            done = reset_record(gid, self._world.now())
            await run_to_end(self._world, self._folder.save_record, DONE, done)
            self.done = done
            await self._save_queue([])

    async def _drop_sent(self) -> None:
        left = [record for record in self.queue if not is_sent(record, self.done)]
        if len(left) != len(self.queue):
            await self._save_queue(left)

    async def _save_queue(self, queue: list[LsidGid]) -> None:
        salt = int.from_bytes(self._world.random_bytes(SALT_BYTES), "little")
        await run_to_end(self._world, save_queue, self._folder, queue, salt)
        self.queue = queue

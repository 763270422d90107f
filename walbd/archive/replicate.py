"""replicate (servers.md section 5.14): brings the volume of another archive up to this one's."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from walbd.archive.archive import Archive
from walbd.archive.asker import Asker
from walbd.archive.scan import Scanned, open_image
from walbd.archive.states import REPL_SYNC_AS_CLIENT
from walbd.archive.volume import ArchiveVolume
from walbd.model.address import Address
from walbd.model.algebra import merge_all
from walbd.model.archive_plan import ReplicationStep, hash_replication, replication_step
from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.diff import Diff
from walbd.model.limits import LB_BYTES
from walbd.model.selection import applicable_and_mergeable, by_size, oldest_state, total_size_bytes
from walbd.model.snapshot import Snapshot
from walbd.net.client import connect
from walbd.net.connection import Connection
from walbd.net.replication import COMMAND, DiffOffer, ImageOffer, ReplicationRequest, ReplicationSender, Way
from walbd.net.request_fields import HASH_KEY_BYTES
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.server.tasks import Slots, Work
from walbd.wdiff.merge import Merger
from walbd.wdiff.reader import of_one_log
from walbd.world.reading import reading

AS_STORED = CompressOpt(CompressionType.NONE, 0, 1)


@dataclass(frozen=True, slots=True)
class Replication:
    """What to replicate, and how. Diffs are sent while the destination lacks more than more_than_bytes of them (0:
    until it has all), or, when below_gid is given, while the next one begins below it."""

    server: Address
    more_than_bytes: int
    below_gid: int | None
    is_resync: bool
    is_merged: bool
    compress: CompressOpt
    max_merge_bytes: int
    bulk_bytes: int


async def replicate(archive: Archive, name: str, wanted: Replication, asker: Asker) -> None:
    """Accepted when the destination has agreed. What was sent before a failure stays; the same command goes on there.
    Raises BadState, Refused with the destination's reason, PeerUnreachable, Cancelled, StorageFailure, Corrupted."""
    volume = archive.volumes.get(name)
    volume.check("replicate")
    with (
        archive.works.begin("replicate", name, Slots.FOREGROUND, volume.is_cancelled, is_begun=False) as work,
        volume.actions.running(REPL_SYNC_AS_CLIENT),
    ):
        begin_sec = archive.world.monotonic()
        await volume.unless_cancelled(_converse(archive, volume, wanted, work, asker))
        elapsed_sec = archive.world.monotonic() - begin_sec
        archive.log.info(f"replication as client succeeded:{name}:{wanted.server}:elapsed_time {elapsed_sec:.3f} sec")


async def _converse(archive: Archive, volume: ArchiveVolume, wanted: Replication, work: Work, asker: Asker) -> None:
    async with await connect(archive.world, wanted.server, COMMAND, archive.me, archive.timing) as connection:
        sender = ReplicationSender(connection)
        way = await sender.ask(ReplicationRequest(volume.name, volume.content.archive_uuid, wanted.is_resync))
        work.is_begun = True
        await asker.accept()
        archive.log.info(f"replication as client started:{volume.name}:{wanted.server}:{way}")
        await _Client(archive, volume, wanted, work, asker, sender, connection).run(way)


@dataclass(slots=True)
class _Client:
    """One replication at work."""

    archive: Archive
    volume: ArchiveVolume
    wanted: Replication
    work: Work
    asker: Asker
    sender: ReplicationSender
    connection: Connection

    async def run(self, way: Way) -> None:
        match way:
            case Way.FULL:
                await self._send_full()
            case Way.RESYNC:
                await self._resync()
        while True:
            latest = await self.sender.receive_latest()
            self.archive.destinations.note(self.volume, self.connection.peer_id, latest)
            content = self.volume.content
            wanted = self.wanted
            step = replication_step(
                content.diffs,
                content.base,
                latest,
                more_than_bytes=wanted.more_than_bytes,
                below_gid=wanted.below_gid,
            )
            match step:
                case ReplicationStep.NOTHING:
                    return await self.sender.end()
                case ReplicationStep.HASH:
                    await self._send_hash_diff(latest)
                case ReplicationStep.DIFF:
                    await self._send_diff(latest)

    async def _send_full(self) -> None:
        """The base image as it is; an apply cannot run meanwhile."""
        volume, base = self.volume, self.volume.content.base
        volume.content.check_not_applying(volume.name)
        size_lb = await volume.base_size_lb()
        offer = ImageOffer(
            size_lb, self.wanted.bulk_bytes, base, volume.content.uuid, self._image_compress, bytes(HASH_KEY_BYTES)
        )
        fd = await self.archive.world.run(volume.store.open_base, volume.name)
        try:
            await self.sender.send_image(offer, reading(fd, volume.name), self._hooks("full", size_lb * LB_BYTES))
        finally:
            os.close(fd)

    async def _resync(self) -> None:
        volume = self.volume
        state = oldest_state(volume.content.diffs, volume.content.base)
        async with self._image(state.snapshot_begin.gid_begin) as scan:
            offer = ImageOffer(
                scan.size_lb, self.wanted.bulk_bytes, state, volume.content.uuid, self._image_compress, self._key()
            )
            hooks = self._hooks("resync", scan.size_lb * LB_BYTES)
            await self.sender.resync(offer, partial(_read_next, scan), hooks)

    async def _send_hash_diff(self, latest: Snapshot) -> None:
        """What differs between the server's latest snapshot and our oldest clean one: the diffs between are gone."""
        volume = self.volume
        target, diff = hash_replication(volume.content.diffs, volume.content.base, latest)
        async with self._image(target.snapshot_begin.gid_begin) as scan:
            offer = DiffOffer(scan.size_lb, diff, volume.content.uuid, self.wanted.bulk_bytes, self._key())
            hooks = self._hooks("hash", scan.size_lb * LB_BYTES)
            await self.sender.send_hash_diff(offer, partial(_read_next, scan), self._image_compress, hooks)

    async def _send_diff(self, latest: Snapshot) -> None:
        """The next diffs, merged as far as that is wanted and they can be."""
        volume, archive, wanted = self.volume, self.archive, self.wanted
        most = archive.settings.max_wdiffs if wanted.is_merged else 1
        chosen = by_size(islice(applicable_and_mergeable(volume.content.diffs, latest), most), wanted.max_merge_bytes)
        size_bytes = total_size_bytes(chosen)
        gid = chosen[-1].end.gid_begin
        async with volume.reading("replicate", gid, chosen):
            size_lb = await volume.base_size_lb()
            paths = [volume.files.diff_path(diff) for diff in chosen]
            count, uuid = await archive.world.run(of_one_log, paths)
            merged: Diff = replace(merge_all(chosen[:count]), size_bytes=size_bytes)
            compress = wanted.compress if wanted.is_merged else AS_STORED
            merger = await run_to_end(archive.world, Merger, paths[:count], compress)
            try:
                offer = DiffOffer(size_lb, merged, uuid, wanted.bulk_bytes, self._key())
                await self.sender.send_diff(offer, merger.read, self._hooks(f"diff {merged}", size_bytes))
            finally:
                await run_to_end(archive.world, merger.close)

    def _image(self, gid: int) -> AbstractAsyncContextManager[Scanned]:
        return open_image(self.archive, self.volume, "replicate", gid, 0)

    def _key(self) -> bytes:
        return self.archive.world.random_bytes(HASH_KEY_BYTES)

    @property
    def _image_compress(self) -> CompressOpt:
        return self.archive.settings.compress

    def _hooks(self, phase: str, total_bytes: int) -> Hooks:
        """Tells how far a step has come."""
        work = self.work
        work.done, work.total, work.phase = 0, total_bytes, phase

        def progress(done_bytes: int) -> None:
            work.done = min(done_bytes, total_bytes) if total_bytes else done_bytes
            self.asker.progress(work.done, work.total, work.unit, work.phase)

        return Hooks(progress, work.is_cancelled)


def _read_next(scan: Scanned, _: int, memory: memoryview) -> None:
    """Fills the memory with what comes next. Blocks."""
    scan.image.read(memory)

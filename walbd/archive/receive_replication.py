"""Replication as its server (servers.md sections 5.14 and 8.6): another archive brings a volume up to its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from walbd.archive.archive import Archive
from walbd.archive.receive_hash_backup import adopt, ready_for
from walbd.archive.receive_image import receive_full_image, receive_resync
from walbd.archive.received_diff import ReceivedDiff
from walbd.archive.scan import open_image
from walbd.archive.states import ARCHIVED, REPL_SYNC_AS_SERVER, SYNC_READY
from walbd.archive.volume import ArchiveVolume
from walbd.model.algebra import Relation, relation
from walbd.model.changes import covered_by
from walbd.model.diff import Diff
from walbd.model.error import BadState, Refused
from walbd.model.limits import LB_BYTES
from walbd.net.connection import Connection
from walbd.net.messages import PeerKind
from walbd.net.replication import COMMAND, DiffOffer, ReplicationReceiver, ReplicationRequest, Step, Way
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.server.log import Log
from walbd.server.tasks import Slots, Work


async def receive_replication(archive: Archive, connection: Connection) -> None:
    """Serves one `repl-sync3` conversation."""
    receiver = ReplicationReceiver(connection)
    request = await receiver.receive_request()
    if connection.peer_kind != PeerKind.ARCHIVE:
        raise Refused(f"bad host type:{connection.peer_kind}", "only a walb-archive replicates")
    volume = archive.volumes.get(request.volume)
    await volume.until_no_diff_arrives()
    volume.check(COMMAND)
    log = archive.log.of_connection(archive.settings.node_id, connection.peer_id)
    with (
        archive.works.begin(COMMAND, volume.name, Slots.FOREGROUND, volume.is_cancelled) as work,
        volume.counted_progress(),
    ):
        way = await _choose_way(volume, request)
        log.info(f"replication as server started:{volume.name}:{way}")
        await receiver.answer(way)
        match way:
            case Way.FULL:
                await receive_full_image(archive, volume, receiver, request.archive_uuid, work)
            case Way.RESYNC:
                await receive_resync(archive, volume, receiver, request.archive_uuid, work)
        await _Following(archive, volume, receiver, work, log).run()
        log.info(f"replication as server succeeded:{volume.name}")
    await receiver.confirm()


async def _choose_way(volume: ArchiveVolume, request: ReplicationRequest) -> Way:
    """Raises BadState when only a resync would help and is not allowed."""
    if volume.machine.state == SYNC_READY:
        has_base = await volume.runtime.world.run(volume.store.base_size_lb, volume.name) is not None
        return Way.RESYNC if has_base and request.is_resync else Way.FULL
    if request.is_resync:
        return Way.RESYNC
    if request.archive_uuid != volume.content.archive_uuid:
        raise BadState(
            f"resync is required but not allowed:{volume.name}",
            "both archives have histories of their own; a resync discards the one of the destination",
        )
    return Way.FOLLOW


@dataclass(slots=True)
class _Following:
    """The rounds in which the volume gets diffs; between them it is Archived and takes those of proxies as well."""

    archive: Archive
    volume: ArchiveVolume
    receiver: ReplicationReceiver
    work: Work
    log: Log

    async def run(self) -> None:
        """Until the client has nothing more."""
        volume, receiver = self.volume, self.receiver
        while True:
            latest = volume.content.latest.snapshot_begin
            step = await volume.unless_cancelled(receiver.send_latest(latest))
            if step is Step.END:
                return
            offer = await volume.unless_cancelled(receiver.receive_diff_offer())
            await ready_for(self.archive, volume, COMMAND, offer.size_lb, self.log)
            self._check_applicable(offer.diff, step)
            with volume.machine.begin(REPL_SYNC_AS_SERVER, ARCHIVED) as change:
                await (self._receive_hash(offer) if step is Step.HASH else self._receive_diff(offer))
                volume.last_sync_sec = self.archive.world.now()
                change.commit()
            await receiver.confirm()

    def _check_applicable(self, diff: Diff, step: Step) -> None:
        latest = self.volume.content.latest.snapshot_begin
        is_wrong = step is Step.HASH and diff.begin != latest
        if is_wrong or relation(latest, diff) is not Relation.APPLICABLE:
            raise BadState(
                f"diff is not applicable:{self.volume.name}:{latest}:{diff}",
                "it was brought up to date by somebody else meanwhile; replicate again",
            )

    async def _receive_hash(self, offer: DiffOffer) -> None:
        """What differs from our latest snapshot."""
        volume, world, receiver = self.volume, self.archive.world, self.receiver
        gid = offer.diff.begin.gid_begin
        self.work.total, self.work.phase = offer.size_lb * LB_BYTES, Step.HASH
        async with open_image(self.archive, volume, COMMAND, gid, offer.size_lb) as scan:
            with await world.run(volume.files.new_file) as new:
                received = ReceivedDiff(new, offer.uuid, self.archive.settings.sync_interval_bytes)

                async def converse() -> None:
                    await receiver.accept()
                    await receiver.receive_differences(offer, scan.image.read, received.feed, self._hooks())

                await volume.unless_cancelled(converse())
                diff = await self._store(received, offer.diff)
        await adopt(self.archive, volume, offer.uuid, diff)

    async def _receive_diff(self, offer: DiffOffer) -> None:
        """A diff as it is; it takes the place of those within its range."""
        volume, world, receiver = self.volume, self.archive.world, self.receiver
        self.work.total, self.work.phase = offer.diff.size_bytes, Step.DIFF
        with await world.run(volume.files.new_file) as new:
            received = ReceivedDiff(new, offer.uuid, self.archive.settings.sync_interval_bytes)

            async def converse() -> None:
                await receiver.accept()
                await receiver.receive_packs(received.feed, Hooks(self.work.set_done, self.work.is_cancelled))

            await volume.unless_cancelled(converse())
            diff = await self._store(received, offer.diff)
        volume.content.add(diff)
        await volume.drop_diffs(covered_by(volume.content.diffs, diff))

    async def _store(self, received: ReceivedDiff, diff: Diff) -> Diff:
        world = self.archive.world
        await run_to_end(world, received.complete)
        return await run_to_end(world, received.commit, replace(diff, size_bytes=0))

    def _hooks(self) -> Hooks:
        return Hooks(self.volume.telling_progress(self.work), self.work.is_cancelled)

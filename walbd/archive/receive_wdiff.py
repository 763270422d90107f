"""Receiving a diff (servers.md section 5.6): durable before it is acknowledged, never held up by a restore."""

from __future__ import annotations

from walbd.archive.archive import Archive
from walbd.archive.received_diff import ReceivedDiff
from walbd.archive.resize import auto_resize
from walbd.archive.states import ARCHIVED, FULL_SYNC, HASH_SYNC, START, STOPPED, WDIFF_RECV
from walbd.archive.volume import ArchiveVolume
from walbd.model.algebra import Relation, relation
from walbd.model.diff import Diff
from walbd.model.error import BadState, Refused
from walbd.model.snapshot import Snapshot
from walbd.net.connection import Connection
from walbd.net.messages import PeerKind
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.net.wdiff_transfer import COMMAND, Answer, WdiffReceiver, WdiffRequest
from walbd.server.log import Log
from walbd.server.tasks import Slots, Work

_ANSWERS_OF_STATES = {
    STOPPED: Answer.STOPPED,
    START: Answer.STOPPED,
    FULL_SYNC: Answer.SYNCING,
    HASH_SYNC: Answer.SYNCING,
    WDIFF_RECV: Answer.WDIFF_RECV,
}


async def receive_wdiff(archive: Archive, connection: Connection) -> None:
    """Serves one `wdiff-transfer` conversation."""
    receiver = WdiffReceiver(connection)
    request = await receiver.receive_request()
    if request.host_kind not in (PeerKind.PROXY, PeerKind.ARCHIVE):
        raise Refused(f"bad host type:{request.host_kind}", "only a walb-proxy or walb-archive sends diffs")
    volume = archive.volumes.get(request.volume)
    log = archive.log.of_connection(archive.settings.node_id, connection.peer_id)
    answer = await _judge(archive, volume, request, log)
    if answer is not Answer.ACCEPT:
        log.info(f"p2aWdiffTransferServer:rejected due to:{answer}:{volume.name}:{request.diff.verbose()}")
        await receiver.answer(answer)
        return
    with (
        archive.works.begin(COMMAND, volume.name, Slots.RECEIVE, volume.is_cancelled) as work,
        volume.machine.begin(WDIFF_RECV, ARCHIVED) as change,
    ):
        await receiver.answer(answer)
        diff = await _receive(archive, volume, receiver, request, work)
        volume.content.add(diff)
        volume.last_wdiff_sec = archive.world.now()
        change.commit()
    await receiver.confirm()


async def _judge(archive: Archive, volume: ArchiveVolume, request: WdiffRequest, log: Log) -> Answer:
    """What speaks against the diff. Nothing is awaited after the last look at the volume."""
    if answer := _answer_of_state(volume):
        return answer
    size_lb = await volume.base_size_lb()
    if size_lb < request.size_lb and _has_uuid(volume, request):
        size_lb = await auto_resize(archive, volume, size_lb, request.size_lb, log)
    if answer := _answer_of_state(volume):
        return answer
    if not _has_uuid(volume, request):
        return Answer.DIFFERENT_UUID
    if size_lb < request.size_lb:
        log.error(f"smaller-lv-size:{volume.name}:{request.size_lb}:{size_lb}")
        return Answer.SMALLER_LV_SIZE
    if size_lb > request.size_lb:
        log.warning(f"larger lv size:{volume.name}:{request.size_lb}:{size_lb}")
    return _answer_of_relation(volume.content.latest.snapshot_begin, request.diff)


def _has_uuid(volume: ArchiveVolume, request: WdiffRequest) -> bool:
    """Diffs of a proxy must come from the log generation that the last backup began."""
    return request.host_kind != PeerKind.PROXY or request.uuid == volume.content.uuid


def _answer_of_state(volume: ArchiveVolume) -> Answer | None:
    """None: the volume can take a diff. Raises BadState where the reference has no word for it."""
    try:
        volume.check(COMMAND)
    except BadState:
        answer = None if volume.failure else _ANSWERS_OF_STATES.get(volume.machine.state)
        if answer is None:
            raise
        return answer
    return None


def _answer_of_relation(latest: Snapshot, diff: Diff) -> Answer:
    match relation(latest, diff):
        case Relation.APPLICABLE:
            return Answer.ACCEPT
        case Relation.TOO_OLD:
            return Answer.TOO_OLD_DIFF
        case Relation.TOO_NEW:
            return Answer.TOO_NEW_DIFF
    # A compared diff of another gid fits never; the sender may forget it only when its end is contained already.
    return Answer.TOO_OLD_DIFF if diff.end.gid_begin <= latest.gid_begin else Answer.TOO_NEW_DIFF


async def _receive(
    archive: Archive, volume: ArchiveVolume, receiver: WdiffReceiver, request: WdiffRequest, work: Work
) -> Diff:
    """Stores the diff under its name, durably; returns it with the size of its file."""
    world = archive.world
    with await world.run(volume.files.new_file) as new:
        received = ReceivedDiff(new, request.uuid, archive.settings.sync_interval_bytes)
        hooks = Hooks(work.set_done, work.is_cancelled)
        await volume.unless_cancelled(receiver.receive_packs(received.feed, hooks))
        await run_to_end(world, received.complete)
        return await run_to_end(world, received.commit, request.diff)

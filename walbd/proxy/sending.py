"""Sending wdiffs to an archive: one background task per volume and archive (servers.md sections 4.5, 4.6)."""

from __future__ import annotations

import asyncio

from walbd.model.algebra import merge_all
from walbd.model.diff import Diff
from walbd.model.error import BadState, Corrupted, NotFound, PeerUnreachable, Refused, WalbError
from walbd.model.limits import MIB_BYTES
from walbd.model.selection import to_send
from walbd.net.client import connect
from walbd.net.connection import Connection, Timing
from walbd.net.messages import PeerKind
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.net.wdiff_transfer import COMMAND, Answer, WdiffRequest, WdiffSender
from walbd.proxy.context import Context, SendKey
from walbd.proxy.queue import ArchiveQueue
from walbd.proxy.states import SENDING
from walbd.proxy.volume import ProxyVolume
from walbd.server.background import STUCK_SEC, Again, Outcome, Retry
from walbd.server.interrupt import unless_cancelled
from walbd.server.stop_state import StopState
from walbd.wdiff.merge import Merger
from walbd.wdiff.reader import of_one_log

# How long a task waits for a stop to succeed or fail.
STOPPING_SEC = 1.0
# How long an archive may be silent until it has answered an offer, and how long it may take for the answer in all: a
# healthy one answers at once, one that first enlarges its image (-autoresize) shows meanwhile that it lives.
SILENT_SEC = 3.0
ANSWER_SEC = 10.0
# A diff has no use for the archive any more: forget it and go on.
OBSOLETE = (Answer.TOO_OLD_DIFF, Answer.DIFFERENT_UUID)
# The archive will take the diff some day: never give up.
PATIENT = (Answer.TOO_NEW_DIFF, Answer.SYNCING)
# Only an operator can help.
HOPELESS = (Answer.SMALLER_LV_SIZE, Answer.ARCHIVE_NOT_FOUND)


async def run_task(context: Context, key: SendKey) -> Outcome:
    """What the background queue runs. Raises for a failed attempt, which is repeated with growing delay."""
    volume = context.volumes.find(key.volume)
    if volume is None or volume.failure or key.archive not in volume.queues:
        return None
    if volume.stop_state not in (StopState.NOT_STOPPING, StopState.WAITING_FOR_EMPTY):
        # A stop that succeeds drops this task; one that fails must not leave the queue without it.
        return Again(STOPPING_SEC)
    if volume.machine.state not in SENDING:
        return None
    queue = volume.queues[key.archive]
    with volume.actions.running(queue.name):
        try:
            return await _send_next(volume, queue)
        except WalbError as error:
            if isinstance(error, Corrupted) and not error.hint:
                error.hint = (
                    f"stop {volume.name}, remove that file from {queue.folder.path}, start it again; "
                    "then a hash backup brings the archive up to date"
                )
            if isinstance(error, PeerUnreachable):
                queue.refused_since = None  # an archive that is away does not refuse
            queue.trouble = str(error)
            raise


def note_stuck(context: Context, key: SendKey) -> None:
    """A task of the queue does not move. It goes on waiting, other queues do not."""
    volume = context.volumes.find(key.volume)
    if volume is not None and key.archive in volume.queues:
        reason = f"sending has not moved for {STUCK_SEC:g} s:{key.volume}:{key.archive}"
        hint = "do the archive and its disk answer? other queues go on"
        volume.queues[key.archive].trouble = f"{reason} (hint: {hint})"
        context.runtime.log.warning(volume.queues[key.archive].trouble)


async def _send_next(volume: ProxyVolume, queue: ArchiveQueue) -> Outcome:
    settings, runtime = volume.context.settings, volume.runtime
    chosen = to_send(queue.folder.diffs, settings.max_wdiff_send_mib * MIB_BYTES, settings.max_wdiff_send_files)
    if not chosen:
        return None
    volume.context.lost_archives.check_reachable(queue.info.address)
    try:
        count, uuid = await runtime.world.run(of_one_log, [queue.folder.file(diff) for diff in chosen])
    except NotFound:
        missing = await runtime.world.run(queue.folder.missing, chosen)
        if not queue.folder.forget_sent(missing):
            raise
        runtime.log.error("wdiffs are gone from the queue", volume.name, queue.name, *(d.file_name for d in missing))
        return Again()
    diffs = chosen[:count]
    merged = merge_all(diffs)
    offer = _offer(volume, queue, diffs, merged, uuid)
    answer = await unless_cancelled(runtime.changes, volume.is_cancelled, f"{volume.name}:{queue.name}", offer)
    if answer is Answer.ACCEPT or answer in OBSOLETE:
        queue.trouble = _dropped(volume, queue, answer, merged) if answer in OBSOLETE else ""
        queue.refused_since = None
        async with queue.files_lock:
            await run_to_end(runtime.world, queue.folder.unlink_files, queue.folder.forget_sent(diffs))
        return Again()
    queue.trouble = str(answer)
    return _after_refusal(volume, queue, answer, merged)


def _dropped(volume: ProxyVolume, queue: ArchiveQueue, answer: Answer | str, merged: Diff) -> str:
    """Logs that a diff was dropped; returns what an operator should know of it beyond that."""
    text = f"{answer}:{volume.name}:{merged}"
    if answer is not Answer.DIFFERENT_UUID:
        volume.runtime.log.info("transferWdiffIfNecessary", text)
        return ""
    # Of a log that was begun anew since, or the archive is not that of this volume.
    hint = (
        "diffs of another log than the archive's were dropped; after a backup, which begins the log anew, nothing is "
        f"missing; otherwise check 'archive-info get {volume.name} {queue.name}', then hash-bkp at the storage"
    )
    volume.runtime.log.warning("transferWdiffIfNecessary", text, f"{queue.name} (hint: {hint})")
    return f"{answer}:{merged} (hint: {hint})"


async def _offer(
    volume: ProxyVolume, queue: ArchiveQueue, diffs: list[Diff], merged: Diff, uuid: bytes
) -> Answer | str:
    """Offers the merged diff, and sends it when it is wanted. Returns the archive's answer or its reason to refuse."""
    world, moved = volume.runtime.world, volume.context.queue.moved
    key = SendKey(volume.name, queue.name)
    request = WdiffRequest(PeerKind.PROXY, volume.name, uuid, max(volume.size_lb, 1), merged)
    try:
        connection, answer = await _ask(volume.context, queue, request)
        async with connection:
            if answer is Answer.ACCEPT:
                paths = [queue.folder.file(diff) for diff in diffs]
                merger = await run_to_end(world, Merger, paths, queue.info.compress)
                try:
                    if merger.uuid != uuid:
                        raise BadState(f"diffs of {volume.name} were replaced before they were sent to {queue.name}")
                    sender = WdiffSender(connection)
                    await sender.send_packs(merger.read, Hooks(lambda _: moved(key), volume.is_cancelled))
                finally:
                    await run_to_end(world, merger.close)
                queue.last_sent = world.now()
            return answer
    except Refused as error:
        return str(error)


async def _ask(context: Context, queue: ArchiveQueue, request: WdiffRequest) -> tuple[Connection, Answer]:
    """The archive's answer to an offer. An archive that is silent is lost for all queues; one that lives, but takes its
    time, is left for now: other queues wait for the worker."""
    address, timeout_sec = queue.info.address, context.timing.timeout_sec
    silence = Timing(min(SILENT_SEC, timeout_sec or SILENT_SEC))
    connection: Connection | None = None
    try:
        async with asyncio.timeout(ANSWER_SEC):
            connection = await connect(context.runtime.world, address, COMMAND, context.me, silence)
            answer = await WdiffSender(connection).ask(request)
            connection.set_timing(context.timing)
            return connection, answer
    except BaseException as error:
        if connection:
            connection.close()
        if isinstance(error, TimeoutError):
            raise PeerUnreachable(f"archive {address} did not answer an offer within {ANSWER_SEC:g} s") from error
        if isinstance(error, PeerUnreachable):
            context.lost_archives.add(address)
        raise


def _after_refusal(volume: ProxyVolume, queue: ArchiveQueue, answer: Answer | str, merged: Diff) -> Outcome:
    log, now = volume.runtime.log, volume.runtime.world.monotonic()
    if answer in HOPELESS:
        log.error(f"transferWdiffIfNecessary:{answer}", volume.name, queue.name)
        return _give_up(volume, queue)
    if answer in PATIENT:
        queue.refused_since = None
    else:
        queue.refused_since = now if queue.refused_since is None else queue.refused_since
        timeout_sec = volume.context.settings.retry_timeout_sec
        if now - queue.refused_since > timeout_sec:
            log.error("transferWdiffIfNecessary:reached retryTimeout", timeout_sec, volume.name, merged)
            return _give_up(volume, queue)
    log.info("transferWdiffIfNecessary", answer, volume.name, queue.name, merged)
    return Retry()


def _give_up(volume: ProxyVolume, queue: ArchiveQueue) -> Outcome:
    """Waits for an operator's `kick`, a `start`, or new log."""
    queue.is_send_error = True
    volume.runtime.log.error("SEND_ERROR_NO_MORE_RETRY", volume.name, queue.name)
    return None

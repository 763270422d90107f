"""Receiving a storage's log as a wdiff (servers.md section 4.4)."""

from __future__ import annotations

from walbd.model.diff import Diff
from walbd.model.error import Corrupted, WalbError
from walbd.net.connection import Connection
from walbd.net.stream import Hooks
from walbd.net.tasks import run_to_end
from walbd.net.wlog_transfer import WlogEnd, WlogReceiver, WlogRequest
from walbd.proxy.context import Context
from walbd.proxy.states import STARTED, WLOG_RECV
from walbd.proxy.volume import ProxyVolume
from walbd.server.interrupt import unless_cancelled
from walbd.server.stop_state import StopState
from walbd.server.tasks import Slots, Work
from walbd.wdiff.indexed import LogToIndexedWdiff
from walbd.world.files import NewFile

KIND = "wlog-transfer"


async def serve_wlog_transfer(context: Context, connection: Connection) -> None:
    """The conversation `wlog-transfer`: Started -> WlogRecv -> Started. The storage is told only when the diff is
    durable in every queue."""
    receiver = WlogReceiver(connection)
    request = await receiver.receive_request()
    volume = context.volumes.get(request.volume)
    volume.check("wlog-transfer")
    volume.check_has_archives()
    world = context.runtime.world
    with (
        context.works.begin(KIND, volume.name, Slots.RECEIVE, volume.is_cancelled, request.max_log_bytes) as work,
        volume.machine.begin(WLOG_RECV) as change,
    ):
        await context.disk_space.check_room(_bytes_to_come(context))
        await receiver.accept()
        new = await run_to_end(world, volume.folder.files.new_file, volume.received.path)
        try:
            end = await unless_cancelled(
                context.runtime.changes,
                volume.is_cancelled,
                f"{volume.name}:{KIND}",
                _receive(volume, receiver, request, new, work),
            )
            await _commit(volume, new, end.diff)
            await volume.take_received(end.diff)
        finally:
            await run_to_end(world, new.discard)
        await volume.grow(request.size_lb)
        volume.last_wlog_received = world.now()
        # Before the acknowledgement, so that the storage's next transfer does not meet WlogRecv.
        change.commit(STARTED)
    for queue in volume.queues.values():
        queue.retry_for_new_log()
    volume.push_tasks(honours_delay=volume.stop_state is not StopState.WAITING_FOR_EMPTY)
    await receiver.confirm()


async def _receive(
    volume: ProxyVolume, receiver: WlogReceiver, request: WlogRequest, new: NewFile, work: Work
) -> WlogEnd:
    """The log as a complete wdiff in the new file, not yet durable."""
    world, folder = volume.runtime.world, volume.received.path
    log = request.uuid, request.pbs, request.salt, request.begin_lsid
    with await run_to_end(world, LogToIndexedWdiff, new.fd, *log, folder) as converter:
        end = await receiver.receive_log(converter.feed, Hooks(work.set_done, volume.is_cancelled))
        await run_to_end(world, _finish, volume, converter, end)
    return end


async def _commit(volume: ProxyVolume, new: NewFile, diff: Diff) -> None:
    """Makes the new file a diff in `received`, or nothing. What an earlier failure has left there of the same range,
    perhaps under the same name, was not acknowledged either: it goes as well."""
    world, received = volume.runtime.world, volume.received
    try:
        await run_to_end(world, new.commit, diff.file_name)
    except WalbError:
        left = received.forget([diff])
        await run_to_end(world, received.unlink_files, [diff, *left])
        raise


def _bytes_to_come(context: Context) -> int:
    """What the transfers that run may still bring."""
    return sum(max(0, work.total - work.done) for work in context.works.running() if work.kind == KIND)


def _finish(volume: ProxyVolume, converter: LogToIndexedWdiff, end: WlogEnd) -> None:
    converted = converter.finish()
    if converted.end_lsid != end.end_lsid:
        raise Corrupted(
            f"log of {volume.name} ends at lsid {converted.end_lsid} instead of {end.end_lsid}", "it will be sent again"
        )

"""Receiving a storage's log as a wdiff (servers.md section 4.4)."""

from __future__ import annotations

import os

from walbd.model.error import BadState, Corrupted
from walbd.net.connection import Connection
from walbd.net.stream import Hooks
from walbd.net.wlog_transfer import WlogEnd, WlogReceiver, WlogRequest
from walbd.proxy.context import Context
from walbd.proxy.states import STARTED, WLOG_RECV
from walbd.proxy.volume import ProxyVolume
from walbd.server.tasks import Slots
from walbd.wdiff.indexed import LogToIndexedWdiff

MIB_BYTES = 1 << 20


async def serve_wlog_transfer(context: Context, connection: Connection) -> None:
    """The conversation `wlog-transfer`: Started -> WlogRecv -> Started. The storage is told only when the diff is
    durable in every queue."""
    receiver = WlogReceiver(connection)
    request = await receiver.receive_request()
    volume = context.volumes.get(request.volume)
    volume.check("wlog-transfer")
    world = context.runtime.world
    await world.run(check_space, volume, request)
    with (
        context.works.begin("wlog-transfer", volume.name, Slots.RECEIVE, volume.is_cancelled) as work,
        volume.machine.begin(WLOG_RECV) as change,
    ):
        await receiver.accept()
        new = await world.run(volume.folder.files.new_file, volume.received.path)
        try:
            converter = LogToIndexedWdiff(new.fd, request.uuid, request.pbs, request.salt, request.begin_lsid)
            hooks = Hooks(work.set_done, volume.is_cancelled)
            end = await receiver.receive_log(converter.feed, hooks)
            await world.run(_finish, volume, converter, end)
            await world.run(new.commit, end.diff.file_name)
            await volume.take_received(end.diff)
        finally:
            await world.run(new.discard)
        await volume.grow(request.size_lb)
        volume.last_wlog_received = world.now()
        # Before the acknowledgement, so that the storage's next transfer does not meet WlogRecv.
        change.commit(STARTED)
    for queue in volume.queues.values():
        queue.clear_error()
    volume.push_tasks(honours_delay=True)
    await receiver.confirm()


def check_space(volume: ProxyVolume, request: WlogRequest) -> None:
    """Refuses a log that the file system may have no room for; the storage then asks its next proxy."""
    stat = os.statvfs(volume.folder.path)
    available_mib = stat.f_bavail * stat.f_frsize // MIB_BYTES
    needed_mib = request.max_log_bytes // MIB_BYTES + 1
    if available_mib < needed_mib:
        raise BadState(
            f"Not enough available disk space:{available_mib}:{needed_mib}", f"make room in {volume.folder.path}"
        )


def _finish(volume: ProxyVolume, converter: LogToIndexedWdiff, end: WlogEnd) -> None:
    converted = converter.finish()
    if converted.end_lsid != end.end_lsid:
        raise Corrupted(
            f"log of {volume.name} ends at lsid {converted.end_lsid} instead of {end.end_lsid}", "it will be sent again"
        )

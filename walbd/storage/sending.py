"""One background task of a volume: sending its log to a proxy, and giving log free (servers.md sections 3.6, 3.7)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from walbd.device.device import DeviceInfo, LsidSet
from walbd.model.error import (
    BadState,
    Cancelled,
    Corrupted,
    PeerUnreachable,
    ProtocolViolation,
    Refused,
    StorageFailure,
    WalbError,
)
from walbd.model.transfer_plan import (
    Transfer,
    has_work,
    plan_transfer,
    remaining_mib,
    removable_lsid,
    wait_ms,
    wants_implicit_snapshot,
)
from walbd.model.uuid_text import NIL_UUID
from walbd.net.client import connect
from walbd.net.connection import Connection
from walbd.net.stream import Hooks
from walbd.net.wlog_transfer import COMMAND, WlogEnd, WlogRequest, WlogSender
from walbd.server.background import STUCK_SEC, Again, Outcome
from walbd.server.interrupt import unless_cancelled
from walbd.server.stop_state import StopState
from walbd.storage.context import Context
from walbd.storage.proxies import Proxy
from walbd.storage.states import MONITORED, STANDBY, START_STANDBY, START_TARGET, WLOG_REMOVE, WLOG_SEND
from walbd.storage.volume import StorageVolume
from walbd.wlog.source import LogSource
from walbd.wlog.super_sector import SuperSector, read_super_sector

T = TypeVar("T")
# How long a task waits for a state change that is under way.
CHANGING_SEC = 0.1
# How long a proxy may take until it agrees to take log (a transfer itself may be silent for as long as -to says).
ASK_SEC = 3.0
# How long a proxy may take nothing of a transfer, nor acknowledge it, while another one could: its disk may hang. The
# last one is waited for as long as it lives: its disk may only be slow.
STALLED_SEC = 30.0
# How long a device may take to say what its lsids are, or to give log free.
DEVICE_SEC = 5.0


async def run_task(context: Context, name: str) -> Outcome:
    """What the background queue runs for a volume. Raises for a failed attempt; it is repeated with growing delay."""
    volume = context.volumes.find(name)
    if volume is None or volume.failure or volume.machine.state not in (*MONITORED, START_STANDBY, START_TARGET):
        return None
    try:
        outcome = await _run(volume)
    except Cancelled:
        raise
    except WalbError as error:
        volume.trouble = error
        raise
    # An overflow, which this or the monitor has found meanwhile, stays told.
    if volume.machine.state in MONITORED:
        volume.trouble = None
    return outcome


def note_stuck(context: Context, name: str) -> None:
    """A task of the volume does not move. It goes on waiting, other volumes do not."""
    volume = context.volumes.find(name)
    if volume is not None:
        volume.trouble = StorageFailure(
            f"sending log has not moved for {STUCK_SEC:g} s:{name}",
            "do its log device, the proxy and the proxy's disk answer? other volumes go on",
        )
        context.runtime.log.warning(volume.trouble)


async def _run(volume: StorageVolume) -> Outcome:
    state = volume.machine.state
    # A stop that succeeds drops this task; one that fails must not leave the volume without it.
    if state in (START_STANDBY, START_TARGET) or volume.stop_state is not StopState.NOT_STOPPING:
        return Again(CHANGING_SEC)
    if state == STANDBY:
        return await _remove_standby_log(volume)
    return await _send(volume)


async def _remove_standby_log(volume: StorageVolume) -> Outcome:
    """A standby volume sends nothing: what the data device holds durably is given free. When its log has overflowed,
    nothing is lost that anybody wants: it begins anew."""
    with volume.actions.running(WLOG_REMOVE):
        await _unless_ended(volume, _remove_written(volume))
    return None


async def _remove_written(volume: StorageVolume) -> None:
    info = await _answer(volume, volume.device().info())
    lsids = await _answer(volume, volume.device().lsids())
    # Standby volumes of walb-tools know no uuid.
    if volume.uuid != NIL_UUID:
        volume.check_uuid(info, f"'stop {volume.name}' and 'start {volume.name} standby' take it as it is")
    if info.is_overflow:
        volume.runtime.log.warning("overflow of a standby volume, its log is cleared", volume.name, volume.path)
        await volume.clear_log(volume.records.last_gid)
    elif lsids.oldest < lsids.prev_written:
        await _answer(volume, volume.device().set_oldest(lsids.prev_written))


async def _unless_ended(volume: StorageVolume, step: Coroutine[Any, Any, T]) -> T:
    """A step that waits for the device or a proxy; a forced stop ends it."""
    return await unless_cancelled(volume.runtime.changes, volume.is_send_cancelled, f"{volume.name}:{COMMAND}", step)


async def _answer(volume: StorageVolume, step: Coroutine[Any, Any, T]) -> T:
    """What the device answers; one that hangs must not hold up the other volumes."""
    try:
        async with asyncio.timeout(DEVICE_SEC):
            return await _unless_ended(volume, step)
    except TimeoutError as error:
        raise StorageFailure(
            f"{volume.path} does not answer within {DEVICE_SEC:g} s:{volume.name}", "see its messages"
        ) from error


async def _send(volume: StorageVolume) -> Outcome:
    with volume.actions.running(WLOG_SEND):
        info, lsids = await _answer(volume, volume.check_log())
        if not info.is_overflow:
            return await _send_next(volume, info, lsids)
    await volume.stop_for_overflow()
    return None


async def _send_next(volume: StorageVolume, info: DeviceInfo, lsids: LsidSet) -> Outcome:
    """Sends one range of the log and says when the next may follow. A device that says nothing more leaves the next
    task to its monitor."""
    records, settings, world = volume.records, volume.context.settings, volume.runtime.world
    await _give_free(volume, lsids)
    await records.drop_sent()
    if not has_work(records.done, lsids.permanent, len(records.queue)):
        return Again(_wait_sec(volume, lsids, info)) if records.done.lsid < lsids.latest else None
    newest = records.queue[-1] if records.queue else None
    max_pb = volume.max_pb(info.pbs)
    # Not at the end of the log: what is not durable yet may be another log after a power failure.
    if wants_implicit_snapshot(newest, lsids.permanent, settings.snapshot_interval_sec, world.now()):
        await records.take(lsids.permanent, max_pb, is_mergeable=True)
    transfer = plan_transfer(records.done, records.queue, lsids.permanent, max_pb)
    if transfer is None:
        return Again(_wait_sec(volume, lsids, info))
    if transfer.is_over_size:
        volume.runtime.log.warning("MaxWlogSendPb is too small", max_pb, transfer.limit_lsid - records.done.lsid)
    end_lsid = await _unless_ended(volume, _send_to_some_proxy(volume, info, transfer))
    await records.advance(transfer, end_lsid)
    _, lsids = await _answer(volume, volume.check_log())
    await _give_free(volume, lsids)
    if records.queue:
        return Again()
    return Again(_wait_sec(volume, lsids, info)) if records.done.lsid < lsids.latest else None


def _wait_sec(volume: StorageVolume, lsids: LsidSet, info: DeviceInfo) -> float:
    remaining = remaining_mib(volume.records.done, lsids.latest, info.pbs)
    return wait_ms(remaining, volume.context.settings.max_wlog_send_mib) / 1000


async def _give_free(volume: StorageVolume, lsids: LsidSet) -> None:
    """Lets the device reuse what has been sent and is on its data device. What a checkpoint still holds back follows
    when the device tells of the checkpoint."""
    lsid = removable_lsid(volume.records.done, lsids.prev_written)
    if lsids.oldest < lsid:
        await _answer(volume, volume.device().set_oldest(lsid))


async def _send_to_some_proxy(volume: StorageVolume, info: DeviceInfo, transfer: Transfer) -> int:
    """Tries the available proxies in their order; returns the lsid that was reached and acknowledged. Raises
    PeerUnreachable when none takes the log, Corrupted when the log cannot be read."""
    log, proxies = volume.runtime.log, volume.context.proxies
    available = proxies.available()
    for proxy in available:
        limit_sec = None if proxy is available[-1] else STALLED_SEC
        try:
            return await _send_to(volume, info, transfer, proxy, limit_sec)
        except Refused as error:
            log.warning("extractAndSendAndDeleteWlog", volume.name, proxy.address, error)
        except (PeerUnreachable, ProtocolViolation) as error:
            proxies.mark_failed(proxy, error)
    raise PeerUnreachable(
        f"extractAndSendAndDeleteWlog:There is no available proxy:{volume.name}",
        "are the proxies running, and the volume started there?",
    )


async def _send_to(
    volume: StorageVolume, info: DeviceInfo, transfer: Transfer, proxy: Proxy, limit_sec: float | None
) -> int:
    context, world = volume.context, volume.runtime.world
    begin_lsid = transfer.done.lsid
    request = WlogRequest(
        volume.name,
        volume.uuid,
        info.pbs,
        info.salt,
        info.size_lb,
        begin_lsid,
        max(1, transfer.limit_lsid - begin_lsid),
    )
    async with await _ask(context, proxy, request) as connection:
        fd = volume.device().open_log()
        try:
            super_sector = await world.run(read_super_sector, fd, info.pbs)
            _check_same_log(volume, info, super_sector)
            source = LogSource(fd, super_sector, begin_lsid)
            return await _send_log(volume, WlogSender(connection), source, transfer, limit_sec)
        finally:
            os.close(fd)


async def _ask(context: Context, proxy: Proxy, request: WlogRequest) -> Connection:
    """A connection to a proxy that takes the log. One that answers nothing for ASK_SEC is given up: others wait."""
    connection: Connection | None = None
    try:
        async with asyncio.timeout(ASK_SEC):
            connection = await connect(context.runtime.world, proxy.address, COMMAND, context.me, context.timing)
            await WlogSender(connection).ask(request)
            return connection
    except BaseException as error:
        if connection:
            connection.close()
        if isinstance(error, TimeoutError):
            raise PeerUnreachable(f"proxy {proxy.address} did not answer within {ASK_SEC:g} s") from error
        if isinstance(error, Corrupted):
            raise _damaged_answer(error) from error
        raise


def _damaged_answer(error: Corrupted) -> PeerUnreachable:
    """What a proxy sends arrives damaged: another proxy may be reached undamaged."""
    return PeerUnreachable(error.message, error.hint)


async def _send_log(
    volume: StorageVolume, sender: WlogSender, source: LogSource, transfer: Transfer, limit_sec: float | None
) -> int:
    """Returns the lsid that was reached and acknowledged. Raises PeerUnreachable when nothing moves for limit_sec."""
    is_log_damaged = False
    clock = asyncio.get_running_loop().time

    def read(buffer: memoryview) -> int:
        nonlocal is_log_damaged
        try:
            return source.read(buffer, transfer.limit_lsid)
        except Corrupted:
            is_log_damaged = True
            raise

    def end() -> WlogEnd:
        return WlogEnd(source.end_lsid, transfer.diff(source.end_lsid))

    def moved(_: int) -> None:
        volume.context.queue.moved(volume.name)
        if limit_sec is not None:
            limit.reschedule(clock() + limit_sec)

    try:
        async with asyncio.timeout(limit_sec) as limit:
            await sender.send_log(read, end, Hooks(moved, volume.is_send_cancelled))
    except TimeoutError as error:
        raise PeerUnreachable(
            f"the transfer has not moved for {limit_sec:g} s", "does the proxy's disk answer?"
        ) from error
    except Corrupted as error:
        if not is_log_damaged:
            raise _damaged_answer(error) from error
        if source.bad_header is not None:
            path = volume.folder.path / f"logpackheader-{source.end_lsid}"
            await volume.runtime.world.run(volume.folder.files.save, path, source.bad_header)
        raise
    return source.end_lsid


def _check_same_log(volume: StorageVolume, info: DeviceInfo, super_sector: SuperSector) -> None:
    """The log may have been cleared since the device was asked."""
    found = super_sector.uuid, super_sector.salt, super_sector.ring_size_pb
    if found != (volume.uuid, info.salt, info.ring_size_pb):
        raise BadState(f"log of {volume.path} was cleared meanwhile:{volume.name}", "the transfer will be repeated")

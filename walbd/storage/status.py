"""Output of `status` on a storage (servers.md sections 6.1, 6.2)."""

from __future__ import annotations

import asyncio

from walbd.model.error import WalbError
from walbd.model.limits import LB_BYTES
from walbd.model.size import format_size
from walbd.model.uuid_text import uuid_hex
from walbd.server.state_machine import CLEAR
from walbd.storage.context import Context
from walbd.storage.volume import StorageVolume

# A device that hangs must not hide the others.
DEVICE_SEC = 3.0


async def global_status(context: Context) -> list[str]:
    """The whole server."""
    settings = context.settings
    archive = settings.archive
    lines = [
        "-----StorageGlobal-----",
        f"nodeId {settings.node_id}",
        f"baseDir {settings.base_dir}",
        f"maxWlogSendMb {settings.max_wlog_send_mib}",
        f"minDelaySecForRetry {settings.min_delay_sec}",
        f"maxDelaySecForRetry {settings.max_delay_sec}",
        f"maxConnections {settings.max_connections}",
        f"maxForegroundTasks {settings.max_foreground}",
        f"maxBackgroundTasks {settings.max_background}",
        f"socketTimeout {settings.timeout_sec}",
        f"keepAlive {settings.keep_alive_text()}",
        f"fullScanLbPerSec {settings.full_scan_lb_per_sec}",
        "-----Archive-----",
        f"host {archive}:{archive.port}",
        "-----Proxy-----",
    ]
    for proxy in context.proxies.proxies:
        lines.append(
            f"host {proxy.address}:{proxy.address.port} isAvailable {int(proxy.is_available)} "
            f"timeToNextCheck {context.proxies.seconds_to_check(proxy)}"
        )
    lines.append("-----TaskQueue-----")
    lines += [f"volume {name} timeDiffMs {due_ms}" for name, due_ms in context.queue.queued()]
    lines.append("-----Volume-----")
    return lines + await asyncio.gather(*(_volume_line(volume) for volume in context.volumes))


async def _volume_line(volume: StorageVolume) -> str:
    """One line per volume; a device that does not answer costs its own line only (W31)."""
    head = f"volume {volume.name} state {volume.state}"
    if volume.failure:
        return f"{head} {volume.failure}"
    records = volume.records
    try:
        async with asyncio.timeout(DEVICE_SEC):
            info, lsids = await volume.device().info(), await volume.device().lsids()
    except (WalbError, TimeoutError) as error:
        return f"{head} {str(error) or 'its device does not answer'}"
    line = (
        f"{head} logUsagePb {info.log_usage_pb} logCapacityPb {info.ring_size_pb} oldestGid {records.done.gid} "
        f"latestGid {records.newest.gid} oldestLsid {lsids.oldest} permanentLsid {lsids.permanent}"
    )
    overflow = " isOverflow 1" if info.is_overflow else ""
    return line + overflow + (f" lastFailure {volume.trouble}" if volume.trouble else "")


async def volume_status(context: Context, name: str) -> list[str]:
    """One volume; three lines for a name that does not exist."""
    volume = context.volumes.find(name)
    head = ["hostType storage", f"volId {name}", f"state {volume.state if volume else CLEAR}"]
    if volume is None:
        return head
    if volume.failure:
        return [*head, f"failure {volume.failure}"]
    lines = [
        *head,
        f"action {volume.actions.line()}",
        f"stopState {volume.stop_state.text}",
        f"isUnderMonitoring {int(volume.monitor.is_running)}",
        f"wdevPath {volume.path}",
    ]
    try:
        async with asyncio.timeout(DEVICE_SEC):
            lines += await _device_lines(volume)
    except (WalbError, TimeoutError) as error:
        lines.append(f"device {str(error) or 'does not answer'}")
    if volume.trouble:
        lines.append(f"lastFailure {volume.trouble}")
    lines += ["-----DoneFile-----", volume.records.done.status_text(), "-----QueueFile-----"]
    return lines + [record.status_text() for record in reversed(volume.records.queue)]


async def _device_lines(volume: StorageVolume) -> list[str]:
    info = await volume.device().info()
    return [
        f"sizeLb {info.size_lb}",
        f"size {format_size(info.size_lb * LB_BYTES)}",
        f"isOverflow {int(info.is_overflow)}",
        f"logUsagePb {info.log_usage_pb}",
        f"logCapacityPb {info.ring_size_pb}",
        f"uuid {uuid_hex(volume.uuid)}",
        f"pbs {info.pbs}",
        f"salt {info.salt:x}",
    ]

"""Output of `status` on a proxy (servers.md section 6.3)."""

from __future__ import annotations

from walbd.model.limits import LB_BYTES
from walbd.model.selection import min_gid, newest, total_size_bytes
from walbd.model.size import format_size
from walbd.model.timetext import pretty
from walbd.proxy.context import Context
from walbd.proxy.queue import ArchiveQueue
from walbd.proxy.volume import ProxyVolume
from walbd.server.state_machine import CLEAR


async def global_status(context: Context) -> list[str]:
    """The whole server."""
    settings = context.settings
    queued = context.queue.queued()
    lines = [
        "-----ProxyGlobal-----",
        f"nodeId {settings.node_id}",
        f"baseDir {settings.base_dir}",
        f"maxWdiffSendMb {settings.max_wdiff_send_mib}",
        f"minDelaySecForRetry {settings.min_delay_sec}",
        f"maxDelaySecForRetry {settings.max_delay_sec}",
        f"retryTimeout {settings.retry_timeout_sec}",
        f"maxConnections {settings.max_connections}",
        f"maxForegroundTasks {settings.max_foreground}",
        f"maxBackgroundTasks {settings.max_background}",
        f"socketTimeout {settings.timeout_sec}",
        f"keepAlive {settings.keep_alive_text()}",
        f"diskSpace {await context.disk_space.status_text()}",
        f"-----TaskQueue {len(queued)}-----",
    ]
    lines += [f"volume {key.volume} archive {key.archive} timeDiffMs {due_ms}" for key, due_ms in queued]
    lines.append("-----Volume-----")
    for volume in context.volumes:
        lines += _volume_lines(volume)
    return lines


def _volume_lines(volume: ProxyVolume) -> list[str]:
    if volume.failure:
        return [f"volume {volume.name} state {volume.state} {volume.failure}"]
    received = volume.received.diffs
    lines = [
        f"volume {volume.name} state {volume.state} numDiff {len(received)} "
        f"totalSize {format_size(total_size_bytes(received))} timestamp {pretty(volume.last_wlog_received)}"
    ]
    for queue in volume.queues.values():
        diffs = queue.folder.diffs
        last = newest(diffs)
        lines.append(
            f"  archive {queue.name} action {_action(volume, queue)} numDiff {len(diffs)} "
            f"totalSize {format_size(total_size_bytes(diffs))} minGid {min_gid(diffs)} "
            f"maxGid {last.end.gid_begin if last else 0} {pretty(queue.last_sent)}"
        )
    return lines


def volume_status(context: Context, name: str) -> list[str]:
    """One volume; three lines for a name that does not exist."""
    volume = context.volumes.find(name)
    lines = ["hostType proxy", f"volume {name}", f"state {volume.state if volume else CLEAR}"]
    if volume is None:
        return lines
    if volume.failure:
        return [*lines, f"failure {volume.failure}"]
    received = volume.received.diffs
    lines += [
        f"sizeLb {volume.size_lb}",
        f"size {format_size(volume.size_lb * LB_BYTES)}",
        f"numDiff {len(received)}",
        f"totalSize {format_size(total_size_bytes(received))}",
        f"lastWlogReceivedTime {pretty(volume.last_wlog_received)}",
        f"totalNumAction {volume.actions.total}",
        "-----Archive-----",
    ]
    for queue in volume.queues.values():
        lines += _archive_lines(volume, queue)
    return lines


def _archive_lines(volume: ProxyVolume, queue: ArchiveQueue) -> list[str]:
    diffs = list(queue.folder.diffs)
    oldest = min((diff.timestamp for diff in diffs), default=0)
    age_sec = max(0, volume.runtime.world.now() - oldest) if diffs else 0
    return [
        f"  archive {queue.name}",
        f"  host {queue.info.address}",
        f"  compression {queue.info.compress}",
        f"  wdiffSendDelay {queue.info.delay_sec}",
        f"  action {_action(volume, queue)}",
        f"  numDiff {len(diffs)}",
        f"  lastWdiffSentTime {pretty(queue.last_sent)}",
        f"  isWdiffSendError {int(queue.is_send_error)}",
        f"  wdiffTotalSize {total_size_bytes(diffs)}",
        f"  wdiffSendDelayMeasured {age_sec}",
        *([f"  lastFailure {queue.trouble}"] if queue.trouble else []),
    ]


def _action(volume: ProxyVolume, queue: ArchiveQueue) -> str:
    return "WdiffSend" if volume.actions.count(queue.name) else "None"

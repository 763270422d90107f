"""Lines of `status` (servers.md section 6.4). Scripts use `get`; the lines stay as they are nevertheless."""

from __future__ import annotations

from walbd.archive.archive import Archive
from walbd.archive.states import WITH_IMAGE
from walbd.archive.volume import ArchiveVolume
from walbd.model.limits import LB_BYTES
from walbd.model.selection import restorable, state_at, total_size_bytes
from walbd.model.size import format_size
from walbd.model.timetext import pretty
from walbd.model.uuid_text import uuid_hex
from walbd.server.state_machine import CLEAR


async def status_lines(archive: Archive, params: list[str]) -> list[str]:
    """`status [VOL]`."""
    return await _volume_lines(archive, params[0]) if params else await _server_lines(archive)


async def _server_lines(archive: Archive) -> list[str]:
    settings = archive.settings
    abilities = archive.store.abilities
    sizes = await archive.world.run(
        lambda names: {name: archive.store.base_size_lb(name) for name in names}, archive.volumes.names()
    )
    return [
        "-----ArchiveGlobal-----",
        f"nodeId {settings.node_id}",
        f"baseDir {settings.base_dir}",
        f"volumeGroup {abilities.volume_group}",
        *([f"thinpool {abilities.thin_pool}"] if abilities.thin_pool else []),
        f"maxConnections {settings.max_connections}",
        f"maxForegroundTasks {settings.max_foreground}",
        f"socketTimeout {settings.timeout_sec}",
        f"keepAlive {settings.keep_alive_text()}",
        f"doAutoResize {int(settings.auto_resize)}",
        f"keepOneColdSnapshot {int(settings.keep_one_cold_snapshot)}",
        "-----Volume-----",
        *(_summary(volume, sizes.get(volume.name)) for volume in archive.volumes),
    ]


def _summary(volume: ArchiveVolume, size_lb: int | None) -> str:
    line = (
        f"volume {volume.name} state {volume.state} totalNumAction {volume.actions.total}"
        f" stopState {volume.stop_state.text} lastSyncTime {pretty(volume.last_sync_sec)}"
        f" lastWdiffReceivedTime {pretty(volume.last_wdiff_sec)} numDiff {len(volume.content.diffs)}"
    )
    if size_lb is None:
        return f"{line} baseLv NOT FOUND"
    return f"{line} latestSnapshot {_latest(volume)} size {format_size(size_lb * LB_BYTES)}"


async def _volume_lines(archive: Archive, name: str) -> list[str]:
    """Fails for no volume: of a failed one it tells the reason."""
    volume = archive.volumes.find(name)
    head = ["hostType archive", f"volume {name}", f"state {volume.state if volume else CLEAR}"]
    if volume is None:
        return head
    if volume.failure:
        return [*head, f"reason {volume.failure}"]
    lines = [
        *head,
        f"action {volume.actions.line()}",
        f"stopState {volume.stop_state.text}",
        f"lastSyncTime {pretty(volume.last_sync_sec)}",
        f"lastWdiffReceivedTime {pretty(volume.last_wdiff_sec)}",
        f"progressLb {volume.progress_lb}",
    ]
    size_lb = await archive.world.run(archive.store.base_size_lb, name)
    if size_lb is None:
        return [*lines, "baseLv NOT FOUND"]
    return lines + await _image_lines(archive, volume, size_lb)


async def _image_lines(archive: Archive, volume: ArchiveVolume, size_lb: int) -> list[str]:
    gids = await archive.world.run(archive.store.restored_gids, volume.name)
    full_repl_state = await archive.world.run(volume.files.load_full_repl_state)
    content = volume.content
    return [
        f"sizeLb {size_lb}",
        f"size {format_size(size_lb * LB_BYTES)}",
        f"uuid {uuid_hex(content.uuid)}",
        f"archiveUuid {uuid_hex(content.archive_uuid)}",
        f"base {content.base}",
        f"latest {_latest(volume)}",
        f"numCold {len(content.cold_times)}",
        f"numRestored {len(gids)}",
        f"numRestorable {len(restorable(content.diffs, content.base))}",
        f"numRestorableAll {len(restorable(content.diffs, content.base, all_clean=True))}",
        f"numDiff {len(content.diffs)}",
        f"wdiffTotalSize {total_size_bytes(content.diffs)}",
        f"fullReplState {full_repl_state}",
    ]


def _latest(volume: ArchiveVolume) -> str:
    content = volume.content
    if volume.machine.state in WITH_IMAGE:
        return str(content.latest.snapshot_begin)
    return str(state_at(content.diffs, content.base).snapshot_begin)

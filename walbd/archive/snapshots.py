"""enable-snapshot, disable-snapshot, gc-diff (servers.md section 5.10)."""

from __future__ import annotations

from collections.abc import Sequence

from walbd.archive.archive import Archive
from walbd.archive.volume import ArchiveVolume
from walbd.model.changes import stranded, superseded, with_flag
from walbd.model.diff import Diff
from walbd.model.error import NotFound
from walbd.net.tasks import run_to_end


async def change_snapshots(archive: Archive, name: str, gids: Sequence[int], *, is_enabled: bool) -> None:
    """Makes snapshots explicit (is_enabled) or implicit: merges keep the former. Nothing is changed unless all can be.
    Raises NotFound when no diff begins at a gid or the snapshot is so already, BadState."""
    volume = archive.volumes.get(name)
    volume.check("enable-snapshot" if is_enabled else "disable-snapshot")
    changes: dict[Diff, Diff] = {}
    for gid in gids:
        changes.update(_changes(volume, gid, is_enabled))
    with volume.diff_use.renaming(changes.keys()):
        for old, new in changes.items():
            await run_to_end(archive.world, volume.files.rename_diff, old, new)
            volume.content.diffs.replace(new)
    word = "enable" if is_enabled else "disable"
    archive.log.info(f"{word}-snapshot succeeded:{name}:{','.join(map(str, gids))}")


def _changes(volume: ArchiveVolume, gid: int, is_enabled: bool) -> list[tuple[Diff, Diff]]:
    """The diffs that begin at gid as they are and as they shall be."""
    failed = f"change snapshot failed:{volume.name}:{int(is_enabled)}:{gid}"
    try:
        found = with_flag(volume.content.diffs, gid, is_mergeable=not is_enabled)
    except NotFound as error:
        raise NotFound(failed, error.hint) from error
    if not found:
        raise NotFound(failed, f"it is {'explicit' if is_enabled else 'implicit'} already")
    return found


async def collect_garbage(archive: Archive, name: str) -> None:
    """Removes the diffs that are contained in the base image or in the chain after it; what cannot be reached because
    a diff before it is missing is kept and reported."""
    volume = archive.volumes.get(name)
    volume.check("gc-diff")
    content = volume.content
    gone = superseded(content.diffs, content.base)
    behind = stranded(content.diffs, content.base)
    await volume.drop_diffs(gone)
    archive.log.info(f"gc-diff:garbage collected wdiff files:{name}:{len(gone)}")
    if behind:
        archive.log.warning(f"gc-diff:{name}:{len(behind)} wdiffs behind a gap are kept:{behind[0]}")

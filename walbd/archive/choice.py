"""Which snapshot a user means (servers.md section 5.8)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from walbd.archive.volume import ArchiveVolume
from walbd.model.archive_plan import base_for_restore
from walbd.model.diff import Diff
from walbd.model.error import NotFound
from walbd.model.selection import Restorable, restorable, to_restore
from walbd.model.state import MetaState
from walbd.model.timetext import pretty


def diffs_to_restore(volume: ArchiveVolume, gid: int) -> list[Diff]:
    """The diffs that lead from the base to the clean snapshot gid. Raises NotFound, naming the nearest that there
    are."""
    try:
        return to_restore(volume.content.diffs, volume.content.base, gid)
    except NotFound as error:
        raise NotFound(f"bad gid to restore:{volume.name}:{gid}", _nearest(volume, gid)) from error


@dataclass(frozen=True, slots=True)
class Start:
    """What a restore can begin with, the base image or a cold one, and the diffs that lead from there to its gid."""

    state: MetaState
    diffs: list[Diff]
    cold_gid: int | None = None


def starts_of_restore(volume: ArchiveVolume, gid: int) -> list[Start]:
    """The best first; the last is the base. Raises NotFound: a cold image makes no other gid restorable than the base
    does."""
    content = volume.content
    starts = [Start(content.base, diffs_to_restore(volume, gid))]
    state = base_for_restore(content.base, content.cold_times, gid)
    if state != content.base:
        with contextlib.suppress(NotFound):
            starts.insert(0, Start(state, to_restore(content.diffs, state, gid), state.snapshot_begin.gid_begin))
    return starts


def snapshot_at(volume: ArchiveVolume, timestamp: int) -> Restorable:
    """The newest clean snapshot that is not later than a time. Raises NotFound, naming the oldest there is."""
    found = _restorable(volume)
    earlier = [snapshot for snapshot in found if snapshot.timestamp <= timestamp]
    if not earlier:
        oldest = f"the oldest is gid {found[0].gid} of {pretty(found[0].timestamp)}" if found else "there is none yet"
        raise NotFound(f"no restorable snapshot at {pretty(timestamp)}:{volume.name}", oldest)
    return max(earlier, key=lambda snapshot: snapshot.gid)


def _restorable(volume: ArchiveVolume) -> list[Restorable]:
    return restorable(volume.content.diffs, volume.content.base, all_clean=True)


def _nearest(volume: ArchiveVolume, gid: int) -> str:
    gids = [snapshot.gid for snapshot in _restorable(volume)]
    near = [max((g for g in gids if g < gid), default=None), min((g for g in gids if g > gid), default=None)]
    texts = [str(g) for g in near if g is not None]
    if not texts:
        return f"nothing of {volume.name} can be restored yet"
    return f"the nearest that can be restored: {' and '.join(texts)}; 'get restorable {volume.name} all' lists them"

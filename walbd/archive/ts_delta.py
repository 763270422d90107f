"""How far destinations of replication are behind: `get ts-delta` (servers.md section 5.14). Since the start of the
server; a merge by walb-worker never swallows a gid that a destination has reached."""

from __future__ import annotations

from dataclasses import dataclass

from walbd.archive.volume import ArchiveVolume
from walbd.model.selection import state_at
from walbd.model.snapshot import Snapshot
from walbd.model.timetext import pretty
from walbd.net.messages import PeerKind


@dataclass(frozen=True, slots=True)
class _Reached:
    gid: int
    timestamp: int


class Destinations:
    """What each destination has reached, by volume and node id."""

    def __init__(self) -> None:
        self._reached: dict[tuple[str, str], _Reached] = {}

    def note(self, volume: ArchiveVolume, node_id: str, latest: Snapshot) -> None:
        """A destination has this snapshot as its latest."""
        content, gid = volume.content, latest.gid_begin
        state = state_at(content.diffs, content.base, gid)
        self._reached[volume.name, node_id] = _Reached(gid, state.timestamp)

    def forget(self, volume: str) -> None:
        """The history of the volume is no more."""
        self._reached = {key: reached for key, reached in self._reached.items() if key[0] != volume}

    def lines(self, volumes: list[ArchiveVolume]) -> list[str]:
        """One per volume that is there and destination."""
        by_name = {volume.name: volume for volume in volumes}
        return [
            _line(by_name[name], node_id, reached)
            for (name, node_id), reached in sorted(self._reached.items(), key=lambda item: item[0])
            if name in by_name
        ]


def _line(volume: ArchiveVolume, node_id: str, reached: _Reached) -> str:
    latest = volume.content.latest
    fields = {
        "name": volume.name,
        "dest": node_id,
        "kind": PeerKind.ARCHIVE,
        "dest_kind": PeerKind.ARCHIVE,
        "gid": latest.snapshot_begin.gid_begin,
        "ts": pretty(latest.timestamp),
        "dest_gid": reached.gid,
        "dest_ts": pretty(reached.timestamp),
        "ts_delta": latest.timestamp - reached.timestamp,
    }
    return "\t".join(f"{key}:{value}" for key, value in fields.items())

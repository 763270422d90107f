"""How far the ring is free of blocks that a later redo could take for a continuation of the log (wlog-format.md 16.5).

A start searches one window behind the end of the log, however large the ring is. The rest is searched, a step at a
time, before the log gets there: no pack may end where the next block has not been looked at. So it does not matter how
much was in flight at a crash, or which program had the pair then.
"""

from __future__ import annotations

from walbd.model.limits import INVALID_LSID
from walbd.wlog.super_sector import SuperSector

WINDOW_BYTES = 64 << 20


def window_pb(sector: SuperSector) -> int:
    """What a start searches."""
    return max(WINDOW_BYTES // sector.pbs, 2)


class LookAhead:
    """For a log that now ends at written_lsid, with a window behind it searched."""

    def __init__(self, sector: SuperSector) -> None:
        self._end_lsid = sector.written_lsid + sector.ring_size_pb
        self._window_pb = window_pb(sector)
        self._searched_lsid = 0
        self.searched(sector.written_lsid + self._window_pb)

    @property
    def limit_lsid(self) -> int:
        """The log must end here at the latest; no limit when all that was there at the start is searched."""
        return INVALID_LSID if self._searched_lsid == self._end_lsid else self._searched_lsid - 1

    def next_step(self, latest_lsid: int, is_wanted: bool) -> tuple[int, int] | None:
        """The lsids to be searched now (begin, end); None while the log is far away and does not wait for it."""
        is_far = latest_lsid + self._window_pb // 2 < self._searched_lsid
        if self._searched_lsid == self._end_lsid or (is_far and not is_wanted):
            return None
        return self._searched_lsid, min(self._searched_lsid + self._window_pb // 2, self._end_lsid)

    def searched(self, end_lsid: int) -> None:
        """Everything below is searched, durably."""
        self._searched_lsid = min(end_lsid, self._end_lsid)

    def finish(self) -> None:
        """There is nothing to be found: the log has another salt than before."""
        self._searched_lsid = self._end_lsid

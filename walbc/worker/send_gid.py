"""Up to which gid to replicate at once (python-library.md section 12.5). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from walbc.library.values import Diff

_LEAST_DIFFS = 2


def choose_send_gid(diffs: Sequence[Diff], reached_gid: int, max_send_size: int) -> int | None:
    """The gid at which about max_send_size bytes have been sent to a destination that has reached a gid; it overshoots
    by one wdiff and sends at least two. None for everything there is (max_send_size 0, few wdiffs)."""
    if max_send_size == 0 or len(diffs) < _LEAST_DIFFS:
        return None
    begin = next((i for i, diff in enumerate(diffs[1:]) if diff.B.gidB > reached_gid), None)
    if begin is None:
        return None
    total = 0
    for index, diff in enumerate(diffs[begin:]):
        total += diff.dataSize
        if total > max_send_size and index + 1 >= _LEAST_DIFFS:
            return diff.E.gidB
    return diffs[-1].E.gidB

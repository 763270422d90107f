"""Histories of a volume by the two rules of snapshot-model.md section 8: P1 to P14 hold for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import strategies as st

from walbd.model.algebra import apply, merge_all
from walbd.model.diff import Diff
from walbd.model.snapshot import Snapshot


@dataclass(frozen=True)
class History:
    """snapshots[i + 1] is snapshots[i] after diffs[i]."""

    snapshots: list[Snapshot]
    diffs: list[Diff]

    def merged(self, i: int, j: int) -> Diff:
        return merge_all(self.diffs[i:j])

    def slices(self) -> Iterator[tuple[int, int]]:
        n = len(self.diffs)
        return ((i, j) for i in range(n) for j in range(i + 1, n + 1))


# (False, a): a log step of a gids. (True, a, b): a comparison a gids behind the end, b gids wide.
Step = tuple[bool, int, int]
ALL_STEPS: list[Step] = [(False, a, 0) for a in (1, 2, 3)] + [(True, a, b) for a in (1, 2) for b in range(4)]


def history(width: int, steps: list[Step], flags: list[bool] | None = None) -> History:
    snapshots, diffs = [Snapshot(0, width)], list[Diff]()
    for i, (is_compare, a, b) in enumerate(steps):
        last = snapshots[-1]
        if is_compare:
            begin, end = last, Snapshot(last.gid_end + a, last.gid_end + a + b)
        else:
            begin, end = Snapshot.clean(last.gid_begin), Snapshot.clean(last.gid_begin + a)
        diff = Diff(begin, end, is_mergeable=flags[i] if flags else True, timestamp=100 + i, size_bytes=100)
        diffs.append(diff)
        snapshots.append(apply(last, diff))
    return History(snapshots, diffs)


def histories(max_steps: int, *, all_mergeable: bool = True) -> st.SearchStrategy[History]:
    steps = st.lists(st.sampled_from(ALL_STEPS), min_size=1, max_size=max_steps)
    flags = st.none() if all_mergeable else st.lists(st.booleans(), min_size=max_steps, max_size=max_steps)
    return st.builds(history, st.integers(0, 4), steps, flags)

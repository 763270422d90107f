"""Which wdiffs to merge (python-library.md section 12.4). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from walbc.library.values import Diff

MIN_RUN = 2
GidRange = tuple[int, int]


def choose_merge_range(
    diffs: Sequence[Diff], max_size: int, max_nr: int, protected: Collection[int] = ()
) -> GidRange | None:
    """(first, last gid) of the run with the smallest wdiffs, the earlier of equal ones; None when there is none.

    A run begins anywhere and goes on with mergeable wdiffs up to max_size bytes and max_nr + 1 files. Gids in
    `protected`, which destinations have reached, are never swallowed. The run at the end of the list still grows: it is
    taken only when there is no other."""
    best: tuple[int, GidRange] | None = None
    run: list[Diff] = []
    for diff in diffs:
        if run and _goes_on(run, diff, max_size, max_nr, protected):
            run.append(diff)
            continue
        if len(run) >= MIN_RUN:
            weight = (_size(run) + diff.dataSize) // len(run)
            if best is None or weight < best[0]:
                best = weight, (run[0].B.gidB, run[-1].E.gidB)
        run = [diff] if not diff.isCompDiff and diff.dataSize <= max_size else []
    if best:
        return best[1]
    return (run[0].B.gidB, run[-1].E.gidB) if len(run) >= MIN_RUN else None


def _goes_on(run: Sequence[Diff], diff: Diff, max_size: int, max_nr: int, protected: Collection[int]) -> bool:
    return (
        diff.isMergeable
        and not diff.isCompDiff
        and _size(run) + diff.dataSize <= max_size
        and len(run) <= max_nr
        and diff.B.gidB not in protected
    )


def _size(run: Sequence[Diff]) -> int:
    return sum(diff.dataSize for diff in run)

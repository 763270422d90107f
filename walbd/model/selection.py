"""Which diffs of a volume serve which purpose (snapshot-model.md sections 7.4, 10.2 to 10.4).

The lists are chosen greedily: a longer diff hides the shorter ones it overlaps. A limit of 0 diffs or files means none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile

from walbd.model.algebra import (
    Relation,
    apply_state,
    begin_applying,
    can_merge,
    merge,
    relation,
    result_of,
    spoils,
)
from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import BadState, InvalidArgument, NotFound
from walbd.model.snapshot import INVALID_GID, Snapshot
from walbd.model.state import MetaState
from walbd.model.timetext import pretty


def _preference(diff: Diff) -> tuple[int, int, int, bool, int, int]:
    """Smallest is chosen: the furthest end, the latest begin, then the tie rule of W3, so that the choice never depends
    on the order in which a directory was read."""
    begin, end = diff.begin, diff.end
    return -end.gid_begin, -begin.gid_begin, end.gid_end, diff.is_compared, -diff.timestamp, begin.gid_end


def furthest(diffs: Iterable[Diff]) -> Diff | None:
    """The max-progress choice (7.4)."""
    return min(diffs, key=_preference, default=None)


def next_of(diffs: DiffSet, snapshot: Snapshot) -> Diff | None:
    """The max-progress diff applicable to the snapshot."""
    return furthest(d for d in diffs.candidates(snapshot.gid_begin) if relation(snapshot, d) is Relation.APPLICABLE)


def _walk(diffs: DiffSet, state: MetaState) -> Iterator[tuple[Diff, Snapshot]]:
    """The chain of a base and the snapshot after each diff."""
    snapshot = state.snapshot_begin
    while True:
        gid = snapshot.gid_begin
        # A candidate covers gid, so it is applicable unless it is a compared one from elsewhere.
        fitting = [
            d
            for d in diffs.candidates(gid)
            if not d.is_compared or (d.begin.gid_begin == gid and not spoils(state, gid, d))
        ]
        if not fitting:
            return
        diff = fitting[0] if len(fitting) == 1 else min(fitting, key=_preference)
        snapshot = result_of(snapshot, diff)
        yield diff, snapshot


def _walk_to_gid(diffs: DiffSet, state: MetaState, gid: int) -> Iterator[tuple[Diff, Snapshot]]:
    return takewhile(lambda step: step[1].gid_begin <= gid, _walk(diffs, state))


def chain(diffs: DiffSet, snapshot: Snapshot) -> list[Diff]:
    """Max-progress diffs from the snapshot on, as far as they lead."""
    return chain_to_gid(diffs, MetaState(snapshot))


def chain_to_gid(diffs: DiffSet, state: MetaState, gid: int = INVALID_GID) -> list[Diff]:
    """The chain of a base, which may be applying, as long as it does not pass over gid."""
    return [diff for diff, _ in _walk_to_gid(diffs, state, gid)]


def minimal(diffs: DiffSet, state: MetaState) -> list[Diff]:
    """The diffs that finish an interrupted apply: the shortest beginning of the chain that reaches the state's end (a
    later merge may carry it further). Empty when the state is not applying.

    Raises BadState when they are not there: the base holds no snapshot at all then (W9).
    """
    end = state.snapshot_end
    if end is None:
        return []
    chosen: list[Diff] = []
    for diff, snapshot in _walk(diffs, state):
        chosen.append(diff)
        if snapshot.gid_begin >= end.gid_begin:
            return chosen
    raise BadState(
        f"base image is half applied and the diffs that complete it are missing:{state}",
        "bring the missing wdiff files back, or back the volume up anew",
    )


def by_size(diffs: Iterable[Diff], max_bytes: int) -> list[Diff]:
    """The first diffs whose sizes add up to at most max_bytes, and the very first in any case."""
    chosen: list[Diff] = []
    total_bytes = 0
    for diff in diffs:
        total_bytes += diff.size_bytes
        if chosen and total_bytes > max_bytes:
            break
        chosen.append(diff)
    return chosen


def by_count(diffs: Iterable[Diff], max_diffs: int) -> list[Diff]:
    """The first diffs, at most max_diffs (0: not even one)."""
    return list(islice(diffs, max_diffs))


def mergeable_from(diffs: DiffSet, gid: int) -> Iterator[Diff]:
    """The diffs that can be merged with each other, beginning with the first at or after gid, which need not be
    mergeable itself. Chosen one by one: the set must not change meanwhile."""
    first_gid = diffs.first_begin(gid)
    diff = None if first_gid is None else furthest(diffs.beginning_at(first_gid))
    merged = diff
    while merged is not None and diff is not None:
        yield diff
        last = merged
        diff = furthest(d for d in diffs.candidates(last.end.gid_begin) if can_merge(last, d))
        merged = None if diff is None else merge(last, diff)


def applicable_and_mergeable(diffs: DiffSet, snapshot: Snapshot) -> Iterator[Diff]:
    """The chain of a snapshot as long as its diffs can be merged (diff replication). Chosen one by one."""
    merged: Diff | None = None
    for diff, _ in _walk(diffs, MetaState(snapshot)):
        if merged is not None and not can_merge(merged, diff):
            return
        merged = diff if merged is None else merge(merged, diff)
        yield diff


def to_merge_up_to(diffs: DiffSet, gid_begin: int, gid_end: int) -> list[Diff]:
    """The mergeable diffs from gid_begin that begin below gid_end; the last may end beyond it (K9)."""
    return list(takewhile(lambda diff: diff.begin.gid_begin < gid_end, mergeable_from(diffs, gid_begin)))


def to_send(diffs: DiffSet, max_bytes: int, max_diffs: int) -> list[Diff]:
    """What a proxy sends to an archive at once; the caller cuts it where the uuid in the files' headers changes."""
    return by_size(islice(mergeable_from(diffs, 0), max_diffs), max_bytes)


def to_apply(diffs: DiffSet, state: MetaState, gid: int, max_diffs: int = 0) -> list[Diff]:
    """The diffs to apply up to gid, at most max_diffs at once; an interrupted apply is completed in any case (K12)."""
    wanted = (diff for diff, _ in _walk_to_gid(diffs, state, gid))
    chosen = list(islice(wanted, max_diffs) if max_diffs else wanted)
    completing = minimal(diffs, state)
    return completing if len(completing) > len(chosen) else chosen


def materialise(diffs: DiffSet, state: MetaState, gid: int) -> tuple[list[Diff], Snapshot]:
    """The diffs that lead a base to gid, and the snapshot there. Raises NotFound when no diff ends there."""
    steps = list(_walk_to_gid(diffs, state, gid))
    snapshot = steps[-1][1] if steps else state.snapshot_begin
    if len(minimal(diffs, state)) > len(steps) or snapshot.gid_begin != gid:
        raise NotFound(
            f"no snapshot of gid {gid} can be made from base {state}", "choose one of `get restorable VOL all`"
        )
    return [diff for diff, _ in steps], snapshot


def to_restore(diffs: DiffSet, state: MetaState, gid: int, max_diffs: int = 0) -> list[Diff]:
    """The diffs that lead a base to the clean snapshot gid, at most max_diffs at once (the caller goes on with the
    state they lead to), but as many as an interrupted apply needs. Raises NotFound."""
    chosen, snapshot = materialise(diffs, state, gid)
    if not snapshot.is_clean:
        raise NotFound(f"snapshot {snapshot} is not clean", "choose one of `get restorable VOL all`")
    return chosen[: max(max_diffs, len(minimal(diffs, state)))] if max_diffs else chosen


def to_scan(diffs: DiffSet, state: MetaState, gid: int, max_files: int = 0) -> list[Diff]:
    """The diffs of a virtual image of snapshot gid, clean or dirty. Raises NotFound; BadState when there are more than
    max_files."""
    chosen, _ = materialise(diffs, state, gid)
    if max_files and len(chosen) > max_files:
        raise BadState(
            f"{len(chosen)} diffs are needed for gid {gid}, at most {max_files} may be open",
            "apply or merge some first",
        )
    return chosen


def latest_snapshot(diffs: DiffSet, snapshot: Snapshot) -> Snapshot:
    """The snapshot the chain leads to."""
    for _, after in _walk(diffs, MetaState(snapshot)):
        snapshot = after
    return snapshot


def state_at(diffs: DiffSet, state: MetaState, gid: int = INVALID_GID, *, is_applying: bool = False) -> MetaState:
    """The state of a base after (is_applying: while) its chain up to gid is applied."""
    chosen = chain_to_gid(diffs, state, gid)
    return begin_applying(state, chosen) if is_applying else apply_state(state, chosen)


def latest_state(diffs: DiffSet, state: MetaState) -> MetaState:
    """The newest state, never an applying one. Raises BadState when an interrupted apply cannot be completed."""
    minimal(diffs, state)
    return state_at(diffs, state)


def oldest_state(diffs: DiffSet, state: MetaState) -> MetaState:
    """The oldest state that is not applying. Raises BadState."""
    return apply_state(state, minimal(diffs, state))


def oldest_clean(diffs: DiffSet, state: MetaState, at_least: int = 0) -> MetaState:
    """The oldest state with a clean snapshot, of gid at_least or later. Raises NotFound when there is none."""
    state = oldest_state(diffs, state)
    while not state.snapshot_begin.is_clean or state.snapshot_begin.gid_begin < at_least:
        diff = next_of(diffs, state.snapshot_begin)
        if diff is None:
            raise NotFound(f"no clean snapshot follows {state.snapshot_begin}", "wait until more log has arrived")
        state = apply_state(state, [diff])
    return state


@dataclass(frozen=True, slots=True)
class Restorable:
    """A clean snapshot that can be restored."""

    gid: int
    timestamp: int
    is_explicit: bool

    def __str__(self) -> str:
        return f"{self.gid} {pretty(self.timestamp)} {int(self.is_explicit)}"


def restorable(diffs: DiffSet, state: MetaState, *, all_clean: bool = False) -> list[Restorable]:
    """The base (always shown as implicit), then the explicit snapshots after it, or all clean ones (10.4). Raises
    BadState when an interrupted apply cannot be completed."""
    steps = list(_walk(diffs, state))
    n_completing = len(minimal(diffs, state))
    snapshot, timestamp = state.snapshot_begin, state.timestamp
    if n_completing:
        diff, snapshot = steps[n_completing - 1]
        timestamp = diff.timestamp
    found = [Restorable(snapshot.gid_begin, timestamp, False)] if snapshot.is_clean else []
    for i, (diff, snapshot) in enumerate(steps[n_completing:], n_completing + 1):
        is_explicit = i == len(steps) or not steps[i][0].is_mergeable
        if snapshot.is_clean and (is_explicit or all_clean):
            found.append(Restorable(snapshot.gid_begin, diff.timestamp, is_explicit))
    return found


def in_range(diffs: DiffSet, gid_begin: int = 0, gid_end: int = INVALID_GID) -> list[Diff]:
    """The diffs with gid_begin <= b0 < gid_end. Raises InvalidArgument for an empty range."""
    if gid_begin >= gid_end:
        raise InvalidArgument(f"bad gid range:{gid_begin}:{gid_end}", "the second gid must be larger")
    return list(diffs.between(gid_begin, gid_end))


def min_gid(diffs: DiffSet) -> int:
    """The smallest begin gid, 0 when there is no diff."""
    return diffs.first_begin(0) or 0


def newest(diffs: DiffSet) -> Diff | None:
    """The diff that ends last (W18)."""
    return furthest(diffs)


def total_size_bytes(diffs: Iterable[Diff]) -> int:
    return sum(diff.size_bytes for diff in diffs)

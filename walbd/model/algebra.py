"""Computing with snapshots, diffs and states (snapshot-model.md section 7).

Every function checks its preconditions and raises InvalidArgument; nothing is computed from operands that do not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from walbd.model.diff import Diff
from walbd.model.error import InvalidArgument
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState


class Relation(Enum):
    """How a diff lies to a snapshot; only begin gids take part (K10)."""

    APPLICABLE = auto()
    TOO_OLD = auto()
    """The snapshot contains the diff already."""
    TOO_NEW = auto()
    """A gap lies between the snapshot and the diff."""
    NOT_APPLICABLE = auto()
    """A compared diff of another starting gid."""


def relation(snapshot: Snapshot, diff: Diff) -> Relation:
    """How the diff lies to the snapshot (7.1)."""
    gid = snapshot.gid_begin
    if diff.is_compared:
        return Relation.APPLICABLE if diff.begin.gid_begin == gid else Relation.NOT_APPLICABLE
    if diff.begin.gid_begin > gid:
        return Relation.TOO_NEW
    if diff.end.gid_begin <= gid:
        return Relation.TOO_OLD
    return Relation.APPLICABLE


def apply(snapshot: Snapshot, diff: Diff) -> Snapshot:
    """The snapshot after the diff, which must be applicable (7.1)."""
    if relation(snapshot, diff) is not Relation.APPLICABLE:
        raise InvalidArgument(f"diff is not applicable:{snapshot}:{diff.verbose()}")
    return result_of(snapshot, diff)


def result_of(snapshot: Snapshot, diff: Diff) -> Snapshot:
    """The snapshot after a diff that is known to be applicable."""
    end = diff.end
    # A clean diff only takes its share of the snapshot's interval away; a dirty one sets the upper end anew.
    if snapshot.gid_end > end.gid_begin and diff.is_clean:
        return Snapshot(end.gid_begin, snapshot.gid_end)
    return end


def apply_all(snapshot: Snapshot, diffs: Iterable[Diff]) -> Snapshot:
    """The snapshot after the diffs, left to right."""
    for diff in diffs:
        snapshot = apply(snapshot, diff)
    return snapshot


def _end_of_merge(first: Diff, second: Diff) -> Snapshot:
    end = second.end
    if second.is_clean and first.end.gid_end > end.gid_begin:
        return Snapshot(end.gid_begin, first.end.gid_end)
    return end


def can_merge(first: Diff, second: Diff) -> bool:
    """Whether `second` can be appended to `first`, and gives a valid diff (7.2, section 9)."""
    return (
        second.is_mergeable
        and not first.is_compared
        and not second.is_compared
        and first.begin.gid_begin <= second.begin.gid_begin <= first.end.gid_begin < second.end.gid_begin
        and first.begin.gid_end <= _end_of_merge(first, second).gid_end
    )


def merge(first: Diff, second: Diff) -> Diff:
    """The diff with the effect of both; its size is 0, not known (7.2)."""
    if not can_merge(first, second):
        raise InvalidArgument(f"diffs cannot be merged:{first.verbose()}:{second.verbose()}")
    return Diff(first.begin, _end_of_merge(first, second), is_mergeable=first.is_mergeable, timestamp=second.timestamp)


def merge_all(diffs: Sequence[Diff]) -> Diff:
    """The merge of a list that is not empty; one diff is its own merge (7.2)."""
    if not diffs:
        raise InvalidArgument("no diffs to merge")
    merged = diffs[0]
    for diff in diffs[1:]:
        merged = merge(merged, diff)
    return merged


def spoils(state: MetaState, at_gid: int, diff: Diff) -> bool:
    """Whether a compared diff applied to an interrupted base at `at_gid` would pass over the gid where the base was
    interrupted: blocks that changed there and back are not in it, so they would keep wrong data (W21)."""
    end = state.snapshot_end
    return diff.is_compared and end is not None and at_gid < end.gid_begin < diff.end.gid_begin


def _target(state: MetaState, diffs: Sequence[Diff]) -> Snapshot | None:
    """The snapshot the diffs lead the state to, None when they cannot be applied."""
    snapshot = state.snapshot_begin
    for diff in diffs:
        if relation(snapshot, diff) is not Relation.APPLICABLE or spoils(state, snapshot.gid_begin, diff):
            return None
        snapshot = result_of(snapshot, diff)
    end = state.snapshot_end
    return snapshot if end is None or end.gid_begin <= snapshot.gid_begin else None


def can_apply(state: MetaState, diffs: Sequence[Diff]) -> bool:
    """Whether the diffs, left to right, fit the state and, when it is applying, reach its end (7.3)."""
    return _target(state, diffs) is not None


def begin_applying(state: MetaState, diffs: Sequence[Diff]) -> MetaState:
    """The state to write before data is touched; without diffs the state itself (7.3)."""
    return MetaState(state.snapshot_begin, _checked_target(state, diffs), diffs[-1].timestamp) if diffs else state


def end_applying(state: MetaState, diffs: Sequence[Diff]) -> MetaState:
    """The state to write when the data of the diffs is durable; without diffs the state itself (7.3)."""
    return MetaState(_checked_target(state, diffs), None, diffs[-1].timestamp) if diffs else state


apply_state = end_applying


def _checked_target(state: MetaState, diffs: Sequence[Diff]) -> Snapshot:
    target = _target(state, diffs)
    if target is None:
        raise InvalidArgument(f"diffs cannot be applied to the base:{state}:{diffs[0]}:...:{diffs[-1]}")
    return target


def contains(outer: Diff, inner: Diff) -> bool:
    """Whether `inner` is redundant next to `outer`, for diffs of one chain and `outer` not compared (7.4)."""
    return outer.begin.gid_begin <= inner.begin.gid_begin and inner.end.gid_begin <= outer.end.gid_begin

"""Which diffs a change of a volume removes or renames (snapshot-model.md section 10.6)."""

from __future__ import annotations

from dataclasses import replace

from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import NotFound
from walbd.model.selection import chain_to_gid
from walbd.model.state import MetaState


def _outside_chain(diffs: DiffSet, state: MetaState) -> tuple[int, list[Diff]]:
    """The last gid of a base's chain, and the diffs that are not in the chain."""
    kept = chain_to_gid(diffs, state)
    in_chain = set(kept)
    last_gid = kept[-1].end.gid_begin if kept else state.snapshot_begin.gid_begin
    return last_gid, [diff for diff in diffs if diff not in in_chain]


def superseded(diffs: DiffSet, state: MetaState) -> list[Diff]:
    """What garbage collection removes: the diffs the base contains already and those within its chain."""
    last_gid, outside = _outside_chain(diffs, state)
    return [diff for diff in outside if diff.end.gid_begin <= last_gid]


def stranded(diffs: DiffSet, state: MetaState) -> list[Diff]:
    """The diffs that cannot be reached, because one before them is missing: to be reported and kept (W2)."""
    last_gid, outside = _outside_chain(diffs, state)
    return [diff for diff in outside if diff.end.gid_begin > last_gid]


def ended_by(diffs: DiffSet, gid: int) -> list[Diff]:
    """What is removed after the base has advanced to gid: the diffs that end there or before."""
    return [diff for diff in diffs.between(0, gid) if diff.end.gid_begin <= gid]


def covered_by(diffs: DiffSet, diff: Diff) -> list[Diff]:
    """What is removed after a replicated diff has been received: the other diffs within its range."""
    first, last = diff.begin.gid_begin, diff.end.gid_begin
    return [
        other
        for other in diffs.between(first, last)
        if other.end.gid_begin <= last and (other.begin.gid_begin, other.end.gid_begin) != (first, last)
    ]


def with_flag(diffs: DiffSet, gid: int, *, is_mergeable: bool) -> list[tuple[Diff, Diff]]:
    """The diffs (as they are, as they shall be) whose files are to be renamed to disable (is_mergeable) or enable the
    snapshot gid; after each durable rename DiffSet.replace takes the second (W7). Raises NotFound when no diff begins
    at gid."""
    found = diffs.beginning_at(gid)
    if not found:
        raise NotFound(
            f"change snapshot failed: no diff begins at gid {gid}", "the newest and merged snapshots cannot be changed"
        )
    return [(diff, replace(diff, is_mergeable=is_mergeable)) for diff in found if diff.is_mergeable != is_mergeable]

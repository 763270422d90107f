"""What an archive decides from its diffs (snapshot-model.md section 11)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import BadState, InvalidArgument
from walbd.model.selection import chain, latest_snapshot, oldest_clean, total_size_bytes
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState


def base_for_restore(base: MetaState, cold_times: Mapping[int, int], gid: int) -> MetaState:
    """Where a restore of gid starts: the newest cold snapshot (gid -> UNIX time) between the base and gid, else the
    base."""
    usable = [cold for cold in cold_times if base.snapshot_begin.gid_begin < cold <= gid]
    if not usable:
        return base
    cold = max(usable)
    return MetaState(Snapshot.clean(cold), None, cold_times[cold])


def base_for_apply(base: MetaState, cold_times: Mapping[int, int], gid: int) -> MetaState:
    """As base_for_restore, but an applying base is never bypassed."""
    return base if base.is_applying else base_for_restore(base, cold_times, gid)


def base_after_full_backup(gid_end: int, started_at: int) -> MetaState:
    """What the base image holds after a full backup that ended with snapshot gid_end."""
    return MetaState(Snapshot(0, gid_end), None, started_at)


def gids_taken(diffs: DiffSet, latest: Snapshot) -> Snapshot:
    """The latest snapshot, widened to the last gid that any diff has, also one behind a gap: gids that begin after it
    can never be taken for those of an earlier log."""
    last = max((max(diff.begin.gid_end, diff.end.gid_end) for diff in diffs), default=0)
    return Snapshot(latest.gid_begin, max(latest.gid_end, last))


def hash_backup_diff(latest: Snapshot, result: Snapshot, started_at: int) -> Diff:
    """The diff of a hash backup. A clean latest snapshot was restorable and must stay so, hence no mergeable flag then;
    nothing lies between the ends, hence no compared flag (K8)."""
    if result.gid_begin <= latest.gid_end:
        raise InvalidArgument(f"a backup made after {latest} cannot end as {result}")
    return Diff(latest, result, is_mergeable=not latest.is_clean, timestamp=started_at)


class ReplicationStep(Enum):
    """What the client of a replication does next."""

    NOTHING = auto()
    """The server has all of it, or not enough has come together."""
    HASH = auto()
    """Compare images: the server is older than this archive's base."""
    DIFF = auto()
    """Send diffs that are applicable to the server's latest snapshot."""


def replication_step(
    diffs: DiffSet,
    base: MetaState,
    server_latest: Snapshot,
    *,
    more_than_bytes: int = 0,
    below_gid: int | None = None,
) -> ReplicationStep:
    """The next round of a replication. Diffs are sent once those the server lacks are larger than more_than_bytes (0:
    always); or, when below_gid is given, while the first of them begins below it. Raises BadState when only a resync
    helps."""
    latest = latest_snapshot(diffs, base.snapshot_begin)
    if server_latest.gid_begin >= latest.gid_begin:
        return ReplicationStep.NOTHING
    if server_latest.gid_begin < base.snapshot_begin.gid_begin:
        return ReplicationStep.HASH
    lacking = chain(diffs, server_latest)
    if not lacking or lacking[-1].end.gid_begin != latest.gid_begin:
        raise BadState(f"no diffs lead from {server_latest} to {latest}", "replicate with resync")
    if below_gid is not None:
        is_due = lacking[0].begin.gid_begin < below_gid
    else:
        is_due = more_than_bytes == 0 or total_size_bytes(lacking) > more_than_bytes
    return ReplicationStep.DIFF if is_due else ReplicationStep.NOTHING


def hash_replication(diffs: DiffSet, base: MetaState, server_latest: Snapshot) -> tuple[MetaState, Diff]:
    """The state whose image is compared with the server's latest snapshot, and the diff that is the result. Raises
    BadState or NotFound when there is no such state."""
    # A target inside the server's dirty interval would make a diff that goes backward (W17).
    target = oldest_clean(diffs, base, at_least=server_latest.gid_end)
    diff = Diff(server_latest, target.snapshot_begin, is_mergeable=True, is_compared=True, timestamp=target.timestamp)
    return target, diff

"""Which gids storage issues and which log range one transfer sends (snapshot-model.md section 12, servers.md 3.4, 3.7).

lsids and lengths are in physical blocks (pb). Only the arithmetic; reading log, saving and sending are storage's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from walbd.model.diff import Diff
from walbd.model.error import BadState
from walbd.model.limits import MIB_BYTES
from walbd.model.lsid_gid import LsidGid
from walbd.model.snapshot import Snapshot

_SHORTEST_WAIT_MS = 100
_LONGEST_WAIT_MS = 1000


def max_transfer_pb(max_wlog_send_mib: int, pbs: int) -> int:
    """The most log of one transfer, also the unit in which gids are reserved."""
    return max_wlog_send_mib * MIB_BYTES // pbs


def reset_record(gid: int, now: int) -> LsidGid:
    """The done record after the log was cleared: lsids begin at 0 again, and the first diff will not be mergeable."""
    return LsidGid(0, gid, is_mergeable=False, timestamp=now)


def check_log_follows(record: LsidGid, latest_lsid: int) -> None:
    """Raises BadState when the device's log ends before the record: it has been cleared or replaced since, and nothing
    would be sent until its lsids have caught up (section 14.2)."""
    if record.lsid > latest_lsid:
        raise BadState(
            f"log ends at lsid {latest_lsid}, before the last snapshot:{record.status_text()}",
            "the log device was cleared or replaced; reset the volume",
        )


def check_log_kept(done: LsidGid, oldest_lsid: int) -> None:
    """Raises BadState when the device gave log free that was not sent: what lies at done.lsid may be other log."""
    if done.lsid < oldest_lsid:
        raise BadState(
            f"log before lsid {oldest_lsid} is gone, it was sent up to:{done.status_text()}",
            "something else has moved the oldest lsid: stop and reset-vol the volume, then back it up anew",
        )


def take_snapshot(previous: LsidGid, latest_lsid: int, max_pb: int, now: int, *, is_mergeable: bool) -> LsidGid:
    """The record of a snapshot at latest_lsid, after the newest record (the done record when the queue is empty).
    is_mergeable: implicit.

    A gid more is reserved for each max_pb of log between, so that it can be sent in pieces with gids of their own.
    Raises BadState when the log has been cleared since.
    """
    check_log_follows(previous, latest_lsid)
    gid = previous.gid + 1 + (latest_lsid - previous.lsid) // max_pb
    return LsidGid(latest_lsid, gid, is_mergeable, now)


def is_sent(record: LsidGid, done: LsidGid) -> bool:
    """Whether a queue record lies at or before the done record, so that it is dropped from the old end of the queue."""
    return (record.lsid, record.gid) <= (done.lsid, done.gid)


def wants_implicit_snapshot(newest: LsidGid | None, latest_lsid: int, interval_sec: int, now: int) -> bool:
    """Whether a transfer takes a snapshot first; newest: of the queue, None when it is empty. A clock that was set back
    since does not put it off."""
    return newest is None or (newest.lsid < latest_lsid and not 0 <= now - newest.timestamp < interval_sec)


def has_work(done: LsidGid, permanent_lsid: int, n_queued: int) -> bool:
    """Whether a transfer should be attempted."""
    return done.lsid < permanent_lsid or n_queued > 0


def removable_lsid(done: LsidGid, prev_written_lsid: int) -> int:
    """The log before this lsid may be erased from the device."""
    return min(done.lsid, prev_written_lsid)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer: whole packs from done.lsid on, as long as they end at or before limit_lsid.

    is_over_size: the range is longer than a transfer should be, but cannot be cut for want of a gid.
    """

    done: LsidGid
    end: LsidGid
    limit_lsid: int
    is_over_size: bool

    def diff(self, end_lsid: int) -> Diff:
        """The diff made of the log up to end_lsid, which was reached."""
        gid = self._end_gid(end_lsid)
        return Diff(
            Snapshot.clean(self.done.gid),
            Snapshot.clean(gid),
            is_mergeable=self.done.is_mergeable,
            timestamp=self.end.timestamp,
        )

    def next_done(self, end_lsid: int) -> LsidGid:
        """The done record to save after the log up to end_lsid has been acknowledged. After a partial transfer it keeps
        the old time (K6)."""
        gid = self._end_gid(end_lsid)
        return self.end if end_lsid == self.end.lsid else LsidGid(end_lsid, gid, True, self.done.timestamp)

    def check_unchanged(self, done: LsidGid, queue: Sequence[LsidGid]) -> None:
        """Raises BadState unless done and queue are still those the transfer was planned with, so that a reset
        meanwhile is not overwritten (W4)."""
        if done != self.done or self.end not in queue:
            raise BadState(f"records changed during a transfer:{done.status_text()}", "the transfer will be repeated")

    def _end_gid(self, end_lsid: int) -> int:
        if end_lsid == self.end.lsid:
            return self.end.gid
        gid = self.done.gid + 1
        if not self.done.lsid < end_lsid <= self.limit_lsid or gid >= self.end.gid:
            raise BadState(
                f"log was read up to lsid {end_lsid} instead of {self.limit_lsid}, after {self.done.status_text()}",
                "a log pack is larger than the size of one transfer: raise -wl",
            )
        return gid


def plan_transfer(done: LsidGid, queue: Sequence[LsidGid], permanent_lsid: int, max_pb: int) -> Transfer | None:
    """The next transfer; queue: oldest first, not empty, without sent records. None while the log up to its limit is
    not permanent yet.

    Implicit snapshots are joined as far as one transfer reaches; explicit ones are never passed over.
    """
    end = queue[0]
    for record in queue[1:]:
        if not end.is_mergeable or record.lsid > min(done.lsid + max_pb, permanent_lsid):
            break
        end = record
    is_one_piece = end is queue[0] and end.gid == done.gid + 1
    limit_lsid = end.lsid if is_one_piece else min(done.lsid + max_pb, end.lsid)
    if permanent_lsid < limit_lsid:
        return None
    return Transfer(done, end, limit_lsid, is_over_size=limit_lsid > done.lsid + max_pb)


def remaining_mib(done: LsidGid, latest_lsid: int, pbs: int) -> int:
    """Log still to be sent, in MiB, as reported; at least 1."""
    return (latest_lsid - done.lsid) * pbs // MIB_BYTES + 1


def wait_ms(remaining: int, max_wlog_send_mib: int) -> int:
    """How long to wait when nothing can be sent yet: the more MiB remain, the shorter (servers.md 3.7 step 7)."""
    if 2 * remaining >= max_wlog_send_mib:
        return _SHORTEST_WAIT_MS
    if 10 * remaining <= max_wlog_send_mib:
        return _LONGEST_WAIT_MS
    return 1000 - 900 * (10 * remaining - max_wlog_send_mib) // (4 * max_wlog_send_mib)

"""gids storage issues, and what one transfer sends (snapshot-model.md section 12)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.error import BadState
from walbd.model.lsid_gid import LsidGid
from walbd.model.transfer_plan import (
    Transfer,
    check_log_follows,
    has_work,
    is_sent,
    max_transfer_pb,
    plan_transfer,
    remaining_mib,
    removable_lsid,
    reset_record,
    take_snapshot,
    wait_ms,
    wants_implicit_snapshot,
)

MAX_PB = 2048
NOW = 1700000000


def record(lsid: int, gid: int, flag: str = "M", timestamp: int = 0) -> LsidGid:
    return LsidGid(lsid, gid, flag == "M", timestamp or 1000 + gid)


def planned(done: LsidGid, queue: list[LsidGid], permanent: int = 10**9) -> Transfer:
    plan = plan_transfer(done, queue, permanent, MAX_PB)
    assert plan is not None
    return plan


@pytest.mark.parametrize(
    ("previous", "latest", "gid"),
    [((0, 0), 0, 1), ((0, 1), 405, 2), ((405, 2), 638, 3), ((638, 3), 5866, 6), ((0, 0), 2047, 1), ((0, 0), 2048, 2)],
)
def test_a_snapshot_reserves_a_gid_more_for_each_full_transfer(
    previous: tuple[int, int], latest: int, gid: int
) -> None:
    taken = take_snapshot(record(*previous), latest, MAX_PB, NOW, is_mergeable=False)
    assert taken == LsidGid(latest, gid, False, NOW)


def test_a_long_log_is_sent_in_pieces_with_the_gids_reserved_for_them() -> None:
    taken = take_snapshot(record(36, 2), 36 + 8256, max_transfer_pb(1, 512), NOW, is_mergeable=False)
    assert (taken.lsid, taken.gid) == (8292, 7)
    done, sent = record(36, 2, "-"), []
    while done != taken:
        plan = planned(done, [taken])
        sent.append(str(plan.diff(plan.limit_lsid)))
        done = plan.next_done(plan.limit_lsid)
    assert sent == ["|2|-->|3|", "|3|-->|4|", "|4|-->|5|", "|5|-->|6|", "|6|-->|7|"]


def test_a_snapshot_after_the_log_was_cleared_is_refused() -> None:
    with pytest.raises(BadState, match="log ends at lsid 4"):
        take_snapshot(record(5, 1), 4, MAX_PB, NOW, is_mergeable=True)
    with pytest.raises(BadState):
        check_log_follows(LsidGid(), 100)
    check_log_follows(record(5, 1), 5)


def test_after_a_reset_the_first_diff_is_not_mergeable() -> None:
    done = reset_record(14, NOW)
    assert done == LsidGid(0, 14, False, NOW)
    plan = planned(done, [record(100, 15)])
    assert plan.diff(100).flags == "--"


def test_the_worked_example() -> None:
    done = record(0, 0, "-")
    queue = [record(0, 1, "-"), record(903, 2), record(2019, 3), record(2109, 4), record(4484, 6)]
    # For each transfer: where the last fitting pack ends, and what is sent.
    expected = [
        (0, 0, "|0|-->|1| --", 1001),
        (2019, 2019, "|1|-->|3| --", 1003),
        (2109, 2109, "|3|-->|4| M-", 1004),
        (4157, 4086, "|4|-->|5| M-", 1006),
        (4484, 4484, "|5|-->|6| M-", 1006),
    ]
    for limit, end_lsid, text, timestamp in expected:
        queue = [r for r in queue if not is_sent(r, done)]
        plan = planned(done, queue)
        diff = plan.diff(end_lsid)
        assert (plan.limit_lsid, f"{diff} {diff.flags}", diff.timestamp) == (limit, text, timestamp)
        assert not plan.is_over_size
        plan.check_unchanged(done, queue)
        done = plan.next_done(end_lsid)
    assert done == record(4484, 6)
    assert [r for r in queue if not is_sent(r, done)] == []


def test_the_done_record_of_a_partial_transfer_keeps_the_old_time_with_a_mergeable_flag() -> None:
    plan = planned(record(2109, 4, "-", 77), [record(4484, 6)])
    assert plan.next_done(4086) == LsidGid(4086, 5, True, 77)


def test_explicit_snapshots_are_never_passed_over() -> None:
    plan = planned(record(0, 0), [record(10, 1, "-"), record(20, 2)])
    assert (plan.end.gid, plan.limit_lsid) == (1, 10)
    plan = planned(record(0, 0), [record(10, 1), record(20, 2, "-"), record(30, 3)])
    assert plan.end.gid == 2


def test_implicit_snapshots_are_joined_as_far_as_the_log_is_permanent() -> None:
    queue = [record(10, 1), record(20, 2), record(30, 3)]
    assert planned(record(0, 0), queue, permanent=25).end.gid == 2
    assert plan_transfer(record(0, 0), queue, 9, MAX_PB) is None


def test_an_uncuttable_range_is_sent_whole_although_it_is_too_long() -> None:
    plan = planned(record(0, 0), [record(5000, 1)])
    assert (plan.limit_lsid, plan.is_over_size) == (5000, True)
    assert str(plan.diff(5000)) == "|0|-->|1|"


@pytest.mark.parametrize(("gid", "end_lsid"), [(1, 4000), (3, 0), (3, 2049), (3, 6000)])
def test_an_end_that_gives_no_gid_is_refused(gid: int, end_lsid: int) -> None:
    plan = planned(record(0, 0), [record(5000, gid)])
    for function in (plan.diff, plan.next_done):
        with pytest.raises(BadState, match="log was read up to lsid"):
            function(end_lsid)


def test_a_change_of_the_records_during_a_transfer_is_noticed() -> None:
    done, queue = record(0, 0), [record(10, 1), record(20, 2)]
    plan = planned(done, queue)
    plan.check_unchanged(done, [*queue, record(30, 3)])
    for other_done, other_queue in ((replace(done, lsid=1), queue), (done, queue[:1]), (done, [])):
        with pytest.raises(BadState, match="records changed"):
            plan.check_unchanged(other_done, other_queue)


def test_records_up_to_the_done_record_are_sent() -> None:
    done = record(10, 5)
    assert [is_sent(record(*r), done) for r in ((9, 9), (10, 4), (10, 5), (10, 6), (11, 1))] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_an_implicit_snapshot_is_taken_when_none_is_queued_or_the_newest_is_old() -> None:
    assert wants_implicit_snapshot(None, 0, 10, NOW)
    newest = record(5, 1, timestamp=NOW)
    assert not wants_implicit_snapshot(newest, 9, 10, NOW + 9)
    assert wants_implicit_snapshot(newest, 9, 10, NOW + 10)
    assert not wants_implicit_snapshot(newest, 5, 10, NOW + 10)


def test_a_clock_that_was_set_back_does_not_put_implicit_snapshots_off() -> None:
    newest = record(5, 1, timestamp=NOW)
    assert wants_implicit_snapshot(newest, 9, 10, NOW - 1)
    assert not wants_implicit_snapshot(newest, 5, 10, NOW - 1)


def test_a_transfer_is_attempted_when_log_or_a_record_is_left() -> None:
    done = record(10, 1)
    assert [has_work(done, 10, 0), has_work(done, 11, 0), has_work(done, 10, 1)] == [False, True, True]
    assert (removable_lsid(done, 7), removable_lsid(done, 20)) == (7, 10)


def test_the_wait_is_shorter_the_more_log_remains() -> None:
    assert remaining_mib(record(100, 1), 100, 512) == 1
    assert remaining_mib(record(0, 0), 4096, 512) == 3
    assert [wait_ms(r, 100) for r in (1, 10, 11, 30, 49, 50, 1000)] == [1000, 1000, 978, 550, 123, 100, 100]


@given(
    st.lists(st.tuples(st.integers(0, 6000), st.booleans()), min_size=1, max_size=8),
    st.integers(1, 700),
)
def test_any_backlog_is_sent_without_a_gap_and_stops_at_each_explicit_snapshot(
    steps: list[tuple[int, bool]], pack_pb: int
) -> None:
    done = reset_record(0, NOW)
    queue: list[LsidGid] = []
    for length, is_mergeable in steps:
        previous = queue[-1] if queue else done
        queue.append(take_snapshot(previous, previous.lsid + length, MAX_PB, NOW, is_mergeable=is_mergeable))
    explicit, latest, ends = {r.gid for r in queue if not r.is_mergeable}, queue[-1], [0]
    boundaries = sorted({r.lsid for r in queue} | set(range(0, latest.lsid, pack_pb)))
    while done != latest:
        queue = [r for r in queue if not is_sent(r, done)]
        plan = planned(done, queue, latest.lsid)
        end_lsid = max(lsid for lsid in boundaries if lsid <= plan.limit_lsid)
        diff = plan.diff(end_lsid)
        assert diff.begin.gid_begin == ends[-1]
        assert diff.is_mergeable is (ends[-1] not in explicit and ends[-1] != 0)
        ends.append(diff.end.gid_begin)
        done = plan.next_done(end_lsid)
        assert done.gid == ends[-1]
    assert explicit <= set(ends)

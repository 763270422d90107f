"""The set of a volume's diffs (snapshot-model.md section 10.1)."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.notation import diff, diff_set, diffs, names
from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.error import AlreadyExists, NotFound
from walbd.model.limits import UINT64_MAX
from walbd.model.selection import chain, to_send
from walbd.model.snapshot import Snapshot
from walbd.model.sorted_gids import SortedGids

GIDS = st.integers(0, 12) | st.integers(2**32 - 3, 2**32 + 3) | st.integers(UINT64_MAX - 5, UINT64_MAX)
RANGES = st.tuples(GIDS, GIDS).filter(lambda r: r[0] != r[1]).map(sorted)


def clean(begin: int, end: int) -> Diff:
    return Diff(Snapshot.clean(begin), Snapshot.clean(end), size_bytes=100)


@given(st.lists(RANGES, max_size=30), st.data())
@settings(deadline=None)
def test_the_set_answers_like_a_plain_list(ranges: list[list[int]], data: st.DataObject) -> None:
    ours, model = DiffSet(), list[Diff]()
    for begin, end in ranges:
        value = clean(begin, end)
        if value in model:
            assert value in ours
            ours.remove(value)
            model.remove(value)
        else:
            ours.add(value)
            model.append(value)
    assert len(ours) == len(model)
    assert list(ours) == sorted(model, key=lambda d: d.begin.gid_begin)
    gid, other = data.draw(GIDS), data.draw(GIDS)
    assert ours.candidates(gid) == [d for d in model if d.begin.gid_begin <= gid < d.end.gid_begin]
    assert ours.beginning_at(gid) == [d for d in model if d.begin.gid_begin == gid]
    assert ours.first_begin(gid) == min((d.begin.gid_begin for d in model if d.begin.gid_begin >= gid), default=None)
    assert list(ours.between(gid, other)) == [d for d in ours if gid <= d.begin.gid_begin < other]


def test_a_diff_with_the_same_ends_is_refused_whatever_its_flags() -> None:
    ours = diff_set("0-->1 M")
    with pytest.raises(AlreadyExists, match="MetaDiffManager::add:already exists"):
        ours.add(diff("0-->1 C", 5))
    assert len(ours) == 1


def test_removing_an_absent_diff_does_nothing() -> None:
    ours = diff_set("0-->1")
    ours.remove(diff("0-->2"))
    assert names(ours) == ["0-->1"]


def test_the_diff_of_the_set_is_found_by_its_ends() -> None:
    ours = DiffSet([diff("0-->1 M", 5, 6)])
    found = ours.get(diff("0-->1"))
    assert found is not None
    assert (found.flags, found.timestamp, found.size_bytes) == ("M-", 5, 6)
    assert ours.get(diff("0-->2")) is None
    assert ours.get(diff("3-->4")) is None


def test_a_replaced_diff_keeps_its_place() -> None:
    ours = diff_set("0-->1", "0-->2", "0-->3")
    ours.replace(diff("0-->2 M", 7))
    assert names(ours) == ["0-->1", "0-->2", "0-->3"]
    assert [d.flags for d in ours] == ["--", "M-", "--"]
    assert [d.flags for d in ours.candidates(0)] == ["--", "M-", "--"]
    with pytest.raises(NotFound):
        ours.replace(diff("0-->4"))


def test_dirty_and_compared_diffs_lie_by_their_begin_gids() -> None:
    ours = diff_set("|0,9|-->|5,10|", "0-->5 C", "|3,4|-->7")
    assert names(ours.candidates(4)) == ["|0,9|-->|5,10|", "0-->5", "|3,4|-->7"]
    assert names(ours.candidates(5)) == ["|3,4|-->7"]


@given(st.sets(st.integers(0, 5000), max_size=3000), st.integers(0, 5000))
@settings(max_examples=20, deadline=None)
def test_sorted_gids_stay_sorted_through_additions_and_removals(gids: set[int], start: int) -> None:
    ours = SortedGids()
    order = random.Random(start).sample(sorted(gids), len(gids))
    for gid in order:
        ours.add(gid)
    for gid in order[::3]:
        ours.remove(gid)
    left = gids - set(order[::3])
    assert list(ours.from_gid(start)) == sorted(g for g in left if g >= start)
    for gid in left:
        ours.remove(gid)
    assert list(ours.from_gid(0)) == []


def cost_of(n: int) -> float:
    """CPU seconds for a shuffled load, the whole chain, a candidate lookup each and one batch to send."""
    values = [replace(clean(i, i + 1), is_mergeable=True) for i in range(n)]
    random.Random(n).shuffle(values)
    start = time.process_time()
    ours = DiffSet(values)
    assert len(chain(ours, Snapshot.clean(0))) == n
    for i in range(n):
        assert len(ours.candidates(i)) == 1
    assert len(to_send(ours, 1 << 60, 1000)) == min(n, 1000)
    return time.process_time() - start


def test_the_cost_grows_hardly_faster_than_the_number_of_diffs() -> None:
    small = min(cost_of(2_000) for _ in range(3))
    assert cost_of(40_000) < 20 * 4 * small


@pytest.mark.long
def test_a_hundred_thousand_diffs_cost_hardly_more_each_than_two_thousand() -> None:
    small = min(cost_of(2_000) for _ in range(3))
    assert cost_of(100_000) < 50 * 4 * small


def test_nested_diffs_are_found_without_looking_at_all_of_them() -> None:
    n = 20_000
    ours = DiffSet(clean(i, 2 * n - i) for i in range(n))
    assert names(ours.candidates(2)) == [f"{i}-->{2 * n - i}" for i in range(3)]
    assert names(ours.candidates(2 * n - 2)) == [f"{i}-->{2 * n - i}" for i in range(2)]
    assert len(ours.candidates(n)) == n


def test_an_iteration_may_go_over_what_was_added_in_any_order() -> None:
    ours = DiffSet(diffs("5-->6", "0-->9", "0-->1", "2-->3"))
    assert names(ours) == ["0-->9", "0-->1", "2-->3", "5-->6"]

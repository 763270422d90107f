"""Properties P1 to P17 of snapshot-model.md section 9 (P15 is in test_values.py)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.chains import ALL_STEPS, History, histories, history
from walbd.model.algebra import (
    Relation,
    apply,
    apply_state,
    begin_applying,
    can_apply,
    can_merge,
    contains,
    end_applying,
    merge,
    relation,
)
from walbd.model.changes import superseded
from walbd.model.diff import Diff
from walbd.model.diff_set import DiffSet
from walbd.model.selection import latest_snapshot, restorable
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState


def is_applicable(snapshot: Snapshot, diff: Diff) -> bool:
    return relation(snapshot, diff) is Relation.APPLICABLE


def check_steps(h: History) -> None:
    n = len(h.diffs)
    for i in range(n):
        before, after = h.snapshots[i], h.snapshots[i + 1]
        assert before.gid_begin < after.gid_begin  # P3
        assert before.gid_end <= after.gid_end
        for j in range(n):
            assert is_applicable(h.snapshots[i], h.diffs[j]) == (i == j)  # P1
            assert can_merge(h.diffs[i], h.diffs[j]) == (j == i + 1)  # P2


def check_merges(h: History) -> None:
    merged = {(i, j): h.merged(i, j) for i, j in h.slices()}
    for (i, j), (k, end) in product(merged, merged):
        fits = i <= k <= j < end
        assert can_merge(merged[i, j], merged[k, end]) == fits  # P4
        if fits:
            both = merge(merged[i, j], merged[k, end])
            assert (both, both.timestamp) == (merged[i, end], merged[i, end].timestamp)  # P5
        assert contains(merged[i, j], merged[k, end]) == (i <= k and end <= j)  # P10
    for (k, end), i in product(merged, range(len(h.snapshots))):
        fits = k <= i < end
        assert is_applicable(h.snapshots[i], merged[k, end]) == fits  # P6
        if fits:
            assert apply(h.snapshots[i], merged[k, end]) == h.snapshots[end]  # P7


def check_states(h: History) -> None:
    for (i, j), (k, end) in product(h.slices(), h.slices()):
        state = MetaState(h.snapshots[i], h.snapshots[j])
        one = [h.merged(k, end)]
        fits = k <= i and j <= end
        assert can_apply(state, one) == fits  # P8
        if fits:  # P9
            begun = begin_applying(state, one)
            assert begun == MetaState(h.snapshots[i], h.snapshots[end])
            assert begin_applying(begun, one) == begun
            assert end_applying(state, one) == MetaState(h.snapshots[end])
            assert end_applying(begun, one) == apply_state(state, one) == MetaState(h.snapshots[end])  # P11
            assert apply_state(state, one).timestamp == one[-1].timestamp


def check_compared(h: History) -> None:  # P12
    for i, j in h.slices():
        compared = replace(h.merged(i, j), is_compared=True)
        for k, snapshot in enumerate(h.snapshots):
            assert is_applicable(snapshot, compared) == (k == i)
        assert apply(h.snapshots[i], compared) == h.snapshots[j]
        for diff in h.diffs:
            assert not can_merge(compared, diff)
            assert not can_merge(diff, compared)


def check_all(h: History) -> None:
    check_steps(h)
    check_merges(h)
    check_states(h)
    check_compared(h)


@pytest.mark.parametrize("width", range(5))
def test_the_laws_hold_for_every_short_history(width: int) -> None:
    for n in (1, 2):
        for steps in product(ALL_STEPS, repeat=n):
            check_all(history(width, list(steps)))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("width", range(5))
@pytest.mark.parametrize("n", [3, 4])
def test_the_laws_hold_for_every_history_of_up_to_four_steps(n: int, width: int) -> None:
    for steps in product(ALL_STEPS, repeat=n):
        check_all(history(width, list(steps)))


@given(histories(7))
@settings(max_examples=150, deadline=None)
def test_the_laws_hold_for_longer_histories(h: History) -> None:
    check_all(h)


@given(histories(7), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_replacing_diffs_by_their_merges_strands_no_image(h: History, random: st.random.Random) -> None:  # P13
    remaining = list(h.diffs)
    states = [MetaState(s) for s in h.snapshots[:-1]]
    states += [MetaState(h.snapshots[i], h.snapshots[j]) for i, j in h.slices()]
    while True:
        for state in states:
            first = next((k for k, d in enumerate(remaining) if is_applicable(state.snapshot_begin, d)), None)
            assert first is not None
            tails = (remaining[first:end] for end in range(first + 1, len(remaining) + 1))
            assert any(can_apply(state, tail) for tail in tails)
        if len(remaining) < 2:
            return
        i = random.randrange(len(remaining) - 1)
        remaining[i : i + 2] = [merge(remaining[i], remaining[i + 1])]


@given(histories(7, all_mergeable=False), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_garbage_collection_keeps_the_latest_and_the_explicit_snapshots(
    h: History, random: st.random.Random
) -> None:  # P14
    base = MetaState(h.snapshots[0])
    diffs = DiffSet(random.sample(h.diffs, len(h.diffs)))
    latest, explicit = latest_snapshot(diffs, h.snapshots[0]), restorable(diffs, base)
    before = restorable(diffs, base, all_clean=True)
    assert latest == h.snapshots[-1]
    for i, j in h.slices():
        is_mergeable = all(d.is_mergeable for d in h.diffs[i + 1 : j])
        if is_mergeable and random.random() < 0.5 and h.merged(i, j) not in diffs:
            diffs.add(h.merged(i, j))
    for diff in superseded(diffs, base):
        diffs.remove(diff)
    assert latest_snapshot(diffs, h.snapshots[0]) == latest
    after = restorable(diffs, base, all_clean=True)
    assert restorable(diffs, base) == explicit
    assert {r.gid for r in after} <= {r.gid for r in before}


SMALL_SNAPSHOTS = [Snapshot(b, e) for b in range(6) for e in range(b, 6)]


def test_a_diff_is_applicable_or_too_old_or_too_new() -> None:  # P16
    for snapshot, begin, end in product(SMALL_SNAPSHOTS, repeat=3):
        if begin.gid_begin < end.gid_begin and begin.gid_end <= end.gid_end:
            gid = snapshot.gid_begin
            too_new, too_old = begin.gid_begin > gid, end.gid_begin <= gid
            assert not (too_new and too_old)
            expected = Relation.TOO_NEW if too_new else Relation.TOO_OLD if too_old else Relation.APPLICABLE
            assert relation(snapshot, Diff(begin, end)) is expected


def test_clean_diffs_merge_and_apply_alike() -> None:  # P17
    clean = [Diff(Snapshot.clean(b), Snapshot.clean(e), is_mergeable=True) for b in range(6) for e in range(b + 1, 6)]
    for snapshot, first, second in product(SMALL_SNAPSHOTS, clean, clean):
        if can_merge(first, second) and is_applicable(snapshot, first):
            assert apply(apply(snapshot, first), second) == apply(snapshot, merge(first, second))

"""The worked examples of snapshot-model.md section 10.5 and the lists of 10.3."""

from __future__ import annotations

import pytest

from tests.model.notation import diff_set, names, snap, state
from walbd.model.changes import superseded
from walbd.model.diff_set import DiffSet
from walbd.model.error import BadState, InvalidArgument, NotFound
from walbd.model.selection import (
    applicable_and_mergeable,
    by_count,
    by_size,
    chain,
    chain_to_gid,
    in_range,
    latest_snapshot,
    latest_state,
    mergeable_from,
    min_gid,
    minimal,
    newest,
    next_of,
    oldest_clean,
    oldest_state,
    restorable,
    state_at,
    to_apply,
    to_merge_up_to,
    to_restore,
    to_scan,
    to_send,
    total_size_bytes,
)
from walbd.model.state import NO_BASE, MetaState


def listed(diffs: DiffSet, base: MetaState, *, all_clean: bool = False) -> list[str]:
    return [f"{r.gid}({int(r.is_explicit)})" for r in restorable(diffs, base, all_clean=all_clean)]


class TestExplicitAndImplicitSnapshots:
    base = state("<|0|>")
    diffs = diff_set("0-->1", "1-->2 M", "2-->3 M", "3-->4", "4-->5 M")

    def test_the_restorable_list_shows_explicit_ones_or_all(self) -> None:
        assert listed(self.diffs, self.base) == ["0(0)", "3(1)", "5(1)"]
        assert listed(self.diffs, self.base, all_clean=True) == ["0(0)", "1(0)", "2(0)", "3(1)", "4(0)", "5(1)"]

    def test_each_line_has_the_time_of_the_diff_that_ends_there(self) -> None:
        assert [str(r) for r in restorable(self.diffs, self.base)] == [
            "0 1970-01-01T00:01:39 0",
            "3 1970-01-01T00:01:42 1",
            "5 1970-01-01T00:01:44 1",
        ]

    @pytest.mark.parametrize(
        ("gid", "expected"),
        [
            (0, ["0-->1", "1-->2", "2-->3"]),
            (1, ["1-->2", "2-->3"]),
            (3, ["3-->4", "4-->5"]),
            (4, ["4-->5"]),
            (5, []),
        ],
    )
    def test_an_explicit_snapshot_ends_a_merge(self, gid: int, expected: list[str]) -> None:
        assert names(mergeable_from(self.diffs, gid)) == expected

    def test_apply_and_restore_lead_up_to_their_gid(self) -> None:
        assert names(to_apply(self.diffs, self.base, 2)) == ["0-->1", "1-->2"]
        assert names(to_apply(self.diffs, self.base, 5, 2)) == ["0-->1", "1-->2"]
        assert names(to_restore(self.diffs, self.base, 2)) == ["0-->1", "1-->2"]
        assert names(to_restore(self.diffs, self.base, 4, 3)) == ["0-->1", "1-->2", "2-->3"]
        with pytest.raises(NotFound, match="no snapshot of gid 6"):
            to_restore(self.diffs, self.base, 6)

    def test_a_merge_up_to_a_gid_may_overshoot(self) -> None:
        assert names(to_merge_up_to(self.diffs, 0, 2)) == ["0-->1", "1-->2"]
        assert names(to_merge_up_to(diff_set("0-->3", "3-->9 M"), 0, 4)) == ["0-->3", "3-->9"]
        assert names(to_merge_up_to(diff_set("5-->6"), 0, 4)) == []


class TestDirtyBase:
    base = state("<|0,10|>")
    diffs = diff_set("0-->5", "|5,10|-->|15,20|", "15-->20", "20-->25")
    everything = ("0-->5", "|5,10|-->|15,20|", "15-->20", "20-->25")

    def test_a_dirty_base_becomes_clean_along_the_chain(self) -> None:
        assert names(chain_to_gid(self.diffs, self.base)) == list(self.everything)
        assert str(oldest_clean(self.diffs, self.base)) == "<|20|>"
        assert listed(self.diffs, self.base) == ["20(1)", "25(1)"]
        assert names(to_apply(self.diffs, self.base, 10)) == ["0-->5"]

    @pytest.mark.parametrize("gid", [5, 10, 15])
    def test_a_dirty_snapshot_is_not_restored(self, gid: int) -> None:
        with pytest.raises(NotFound):
            to_restore(self.diffs, self.base, gid)

    def test_a_dirty_snapshot_is_scanned_when_a_diff_ends_there(self) -> None:
        assert names(to_scan(self.diffs, self.base, 5)) == ["0-->5"]
        assert names(to_scan(self.diffs, self.base, 15)) == ["0-->5", "|5,10|-->|15,20|"]
        with pytest.raises(NotFound):
            to_scan(self.diffs, self.base, 10)
        assert names(to_restore(self.diffs, self.base, 20)) == list(self.everything[:3])

    def test_an_interrupted_base_is_completed_first(self) -> None:
        base = state("<|0,10|-->|25|>")
        assert names(minimal(self.diffs, base)) == list(self.everything)
        for gid in (0, 5, 20):
            assert names(to_apply(self.diffs, base, gid)) == list(self.everything)
            assert names(to_apply(self.diffs, base, gid, 1)) == list(self.everything)
            for choose in (to_restore, to_scan):
                with pytest.raises(NotFound):
                    choose(self.diffs, base, gid)
        assert names(to_restore(self.diffs, base, 25, 1)) == list(self.everything)
        assert names(to_scan(self.diffs, base, 25)) == list(self.everything)
        assert listed(self.diffs, base) == ["25(0)"]
        assert str(latest_state(self.diffs, base)) == str(oldest_state(self.diffs, base)) == "<|25|>"

    def test_a_base_interrupted_on_the_way_to_a_dirty_snapshot(self) -> None:
        base = state("<|0,10|-->|5,10|>")
        assert names(minimal(self.diffs, base)) == ["0-->5"]
        with pytest.raises(NotFound):
            to_restore(self.diffs, base, 5)
        assert names(to_scan(self.diffs, base, 5)) == ["0-->5"]
        assert names(to_restore(self.diffs, base, 20)) == list(self.everything[:3])
        assert listed(self.diffs, base) == ["20(1)", "25(1)"]


def test_a_longer_diff_hides_the_shorter_ones() -> None:
    base, diffs = state("<|0|>"), diff_set("0-->1 M", "1-->2 M", "2-->3 M", "0-->2 M", "1-->3 M")
    assert names(chain(diffs, snap(0))) == ["0-->2", "2-->3"]
    assert listed(diffs, base, all_clean=True) == ["0(0)", "2(0)", "3(1)"]
    with pytest.raises(NotFound):
        to_restore(diffs, base, 1)
    assert names(chain_to_gid(diffs, base, 1)) == []
    assert names(mergeable_from(diffs, 1)) == ["1-->3"]
    assert names(superseded(diffs, base)) == ["0-->1", "1-->2", "1-->3"]


def test_a_chain_ends_at_a_gap() -> None:
    base, diffs = state("<|0|>"), diff_set("0-->1 M", "1-->2 M", "4-->5 M", "5-->6 M")
    assert latest_snapshot(diffs, snap(0)) == snap(2)
    with pytest.raises(NotFound):
        to_restore(diffs, base, 4)
    assert names(mergeable_from(diffs, 3)) == ["4-->5", "5-->6"]


def test_a_compared_diff_fits_one_gid_and_is_not_merged() -> None:
    diffs = diff_set("0-->5 M", "5-->10 MC", "10-->12 M")
    assert names(chain(diffs, snap(0))) == ["0-->5", "5-->10", "10-->12"]
    assert names(mergeable_from(diffs, 0)) == ["0-->5"]
    assert names(mergeable_from(diffs, 5)) == ["5-->10"]
    assert names(chain(diffs, snap(7))) == []
    assert latest_snapshot(diffs, snap(7)) == snap(7)
    assert names(applicable_and_mergeable(diffs, snap(0))) == ["0-->5"]


def test_a_chain_may_begin_inside_a_diff() -> None:
    assert names(chain(diff_set("0-->3", "3-->6", "6-->9"), snap(4))) == ["3-->6", "6-->9"]


def test_a_longer_compared_diff_wins() -> None:
    assert names(chain(diff_set("0-->5", "5-->9", "0-->8 MC"), snap(0))) == ["0-->8", "5-->9"]


def test_a_dirty_base_without_diffs_can_only_be_scanned() -> None:
    base, diffs = state("<|3,5|>"), DiffSet()
    assert restorable(diffs, base) == []
    with pytest.raises(NotFound, match="no clean snapshot"):
        oldest_clean(diffs, base)
    assert to_scan(diffs, base, 3) == []


def test_an_interrupted_base_is_completed_by_a_diff_that_goes_further() -> None:
    base, diffs = state("<|0|-->|5|>"), diff_set("0-->7")
    assert names(minimal(diffs, base)) == ["0-->7"]
    assert names(to_apply(diffs, base, 7)) == names(to_apply(diffs, base, 5)) == ["0-->7"]
    assert listed(diffs, base) == ["7(0)"]
    with pytest.raises(NotFound):
        to_restore(diffs, base, 0)


@pytest.mark.parametrize("texts", [(), ("0-->4",), ("5-->9",), ("0-->7 C",)])
def test_an_interrupted_base_that_cannot_be_completed_gives_nothing(texts: tuple[str, ...]) -> None:
    base, diffs = state("<|0|-->|5|>"), diff_set(*texts)
    for choose in (minimal, restorable, latest_state, oldest_state, oldest_clean):
        with pytest.raises(BadState, match="half applied"):
            choose(diffs, base)
    for choose_gid in (to_restore, to_scan, to_apply):
        with pytest.raises(BadState, match="half applied"):
            choose_gid(diffs, base, 0)


def test_an_interrupted_base_avoids_a_compared_diff_that_passes_over_its_end() -> None:
    base, diffs = state("<|3|-->|5|>"), diff_set("3-->9 C", "3-->5", "5-->6")
    assert names(chain_to_gid(diffs, base)) == ["3-->5", "5-->6"]
    assert names(chain(diffs, snap(3))) == ["3-->9"]


@pytest.mark.parametrize(
    ("max_bytes", "count"), [(0, 1), (199, 1), (200, 2), (299, 2), (300, 3), (399, 3), (400, 4), (1000, 4)]
)
def test_a_size_limit_keeps_at_least_one_diff(max_bytes: int, count: int) -> None:
    diffs = diff_set("0-->1 M", "1-->2 M", "2-->3 M", "3-->4 M", size_bytes=100)
    assert len(by_size(mergeable_from(diffs, 0), max_bytes)) == count
    assert len(to_send(diffs, max_bytes, 1000)) == count
    assert by_size([], max_bytes) == []


def test_a_count_limit_may_be_zero() -> None:
    diffs = diff_set("0-->1 M", "1-->2 M", size_bytes=100)
    assert [names(by_count(diffs, n)) for n in (0, 1, 5)] == [[], ["0-->1"], ["0-->1", "1-->2"]]
    assert names(to_send(diffs, 1000, 1)) == ["0-->1"]
    assert to_send(DiffSet(), 1000, 1) == []


def test_a_scan_with_too_many_files_is_refused() -> None:
    diffs = diff_set("0-->1", "1-->2")
    assert len(to_scan(diffs, state("<|0|>"), 2, 2)) == 2
    with pytest.raises(BadState, match="2 diffs are needed"):
        to_scan(diffs, state("<|0|>"), 2, 1)


def test_diff_replication_sends_what_the_server_can_take_at_once() -> None:
    diffs = diff_set("0-->1", "1-->2 M", "2-->3", "3-->4 M")
    assert names(applicable_and_mergeable(diffs, snap(0))) == ["0-->1", "1-->2"]
    assert names(applicable_and_mergeable(diffs, snap(2))) == ["2-->3", "3-->4"]
    assert names(applicable_and_mergeable(diffs, snap(4))) == []
    found = next_of(diffs, snap(2))
    assert found is not None
    assert names([found]) == ["2-->3"]


def test_the_oldest_clean_state_may_be_asked_for_from_a_gid_on() -> None:
    diffs = diff_set("0-->3", "3-->|5,6|", "5-->7")
    assert str(oldest_clean(diffs, state("<|0|>"), at_least=4)) == "<|7|>"
    assert oldest_clean(diffs, state("<|0|>"), at_least=4).timestamp == 102


def test_states_at_a_gid_have_the_time_of_the_last_diff() -> None:
    diffs, base = diff_set("0-->1", "1-->2"), state("<|0|>")
    assert state_at(diffs, base, 1).text_with_time == "<|1|>-19700101000140"
    assert state_at(diffs, base, is_applying=True).text_with_time == "<|0|-->|2|>-19700101000141"
    assert state_at(diffs, base, 0) == base


def test_a_range_of_diffs_is_by_begin_gid_and_not_empty() -> None:
    diffs = diff_set("0-->9", "1-->2", "2-->3")
    assert names(in_range(diffs, 1, 2)) == ["1-->2"]
    assert names(in_range(diffs)) == ["0-->9", "1-->2", "2-->3"]
    with pytest.raises(InvalidArgument, match="bad gid range:2:2"):
        in_range(diffs, 2, 2)


def test_the_gids_of_a_queue_are_its_smallest_begin_and_largest_end() -> None:
    diffs = diff_set("3-->5", "0-->10", size_bytes=7)
    last = newest(diffs)
    assert last is not None
    assert (min_gid(diffs), last.end.gid_begin, total_size_bytes(diffs)) == (0, 10, 14)
    assert (min_gid(DiffSet()), newest(DiffSet()), total_size_bytes(DiffSet())) == (0, None, 0)


def test_a_volume_without_data_lists_its_placeholder() -> None:
    assert len(restorable(DiffSet(), NO_BASE)) == 1

"""What is removed or renamed (snapshot-model.md section 10.6)."""

from __future__ import annotations

import pytest

from tests.model.notation import diff, diff_set, names, snap, state
from walbd.model.changes import covered_by, ended_by, stranded, superseded, with_flag
from walbd.model.error import NotFound
from walbd.model.selection import mergeable_from, restorable


def test_garbage_collection_keeps_what_lies_beyond_a_gap() -> None:
    diffs = diff_set("0-->1", "1-->2", "1-->3", "4-->5", "5-->6")
    assert names(superseded(diffs, state("<|0|>"))) == ["1-->2"]
    assert names(stranded(diffs, state("<|0|>"))) == ["4-->5", "5-->6"]


def test_garbage_collection_removes_what_the_base_contains() -> None:
    diffs = diff_set("0-->3", "3-->6", "6-->9")
    assert names(superseded(diffs, state("<|6|>"))) == ["0-->3", "3-->6"]
    assert names(superseded(diffs, state("<|4|>"))) == ["0-->3"]
    assert stranded(diffs, state("<|4|>")) == []


def test_garbage_collection_keeps_what_completes_an_interrupted_base() -> None:
    diffs = diff_set("3-->9 C", "3-->5", "5-->6")
    assert superseded(diffs, state("<|3|-->|5|>")) == []
    assert names(superseded(diffs, state("<|3|>"))) == ["3-->5", "5-->6"]


def test_a_base_inside_a_compared_diff_strands_it() -> None:
    diffs = diff_set("0-->5", "5-->10 MC", "10-->12")
    assert names(superseded(diffs, state("<|7|>"))) == ["0-->5"]
    assert names(stranded(diffs, state("<|7|>"))) == ["5-->10", "10-->12"]


@pytest.mark.parametrize(("gid", "removed"), [(2, []), (4, ["0-->3"]), (6, ["0-->3", "3-->6"])])
def test_after_an_apply_the_diffs_that_ended_are_removed(gid: int, removed: list[str]) -> None:
    assert names(ended_by(diff_set("0-->3", "3-->6", "6-->9"), gid)) == removed


def test_a_replicated_diff_replaces_those_within_it_but_not_its_equals() -> None:
    diffs = diff_set("0-->1", "0-->2", "1-->2", "1-->3", "2-->3", "2-->4")
    assert names(covered_by(diffs, diff("1-->3"))) == ["1-->2", "2-->3"]
    assert names(covered_by(diff_set("1-->3", "1-->|3,4|"), diff("1-->3"))) == []


def test_a_flag_change_is_a_rename_of_each_diff_that_begins_there() -> None:
    diffs = diff_set("6-->7 M", "7-->8 M", "8-->9 M")
    changes = with_flag(diffs, 7, is_mergeable=False)
    assert [(old.file_name, new.file_name) for old, new in changes] == [
        ("19700101000141-M--7-8.wdiff", "19700101000141----7-8.wdiff")
    ]
    diffs.replace(changes[0][1])
    base = state("<|6|>")
    assert [r.gid for r in restorable(diffs, base)] == [6, 7, 9]
    assert names(mergeable_from(diffs, 6)) == ["6-->7"]
    assert with_flag(diffs, 7, is_mergeable=False) == []
    diffs.replace(with_flag(diffs, 7, is_mergeable=True)[0][1])
    assert [r.gid for r in restorable(diffs, base)] == [6, 9]


@pytest.mark.parametrize("gid", [9, 5])
def test_the_newest_and_unknown_snapshots_have_no_flag(gid: int) -> None:
    with pytest.raises(NotFound, match="change snapshot failed"):
        with_flag(diff_set("6-->7 M", "7-->9 M"), gid, is_mergeable=False)


def test_the_base_is_a_snapshot_like_any_other() -> None:
    ((old, new),) = with_flag(diff_set("0-->1"), 0, is_mergeable=True)
    assert (old.begin, new.is_mergeable) == (snap(0), True)

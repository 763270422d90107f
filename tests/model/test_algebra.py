"""The tables of snapshot-model.md section 7."""

from __future__ import annotations

import pytest

from tests.model.notation import diff, diffs, names, snap, state
from walbd.model.algebra import (
    Relation,
    apply,
    apply_all,
    apply_state,
    begin_applying,
    can_apply,
    can_merge,
    contains,
    end_applying,
    merge,
    merge_all,
    relation,
)
from walbd.model.error import InvalidArgument
from walbd.model.selection import furthest

OK, OLD, NEW, NO = Relation.APPLICABLE, Relation.TOO_OLD, Relation.TOO_NEW, Relation.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("snapshot", "text", "expected", "result"),
    [
        ("0", "0-->1", OK, "1"),
        ("0", "1-->2", NEW, ""),
        ("1", "0-->1", OLD, ""),
        ("2", "0-->1", OLD, ""),
        ("1", "0-->2", OK, "2"),
        ("3", "0-->5", OK, "5"),
        ("|0,2|", "0-->1", OK, "|1,2|"),
        ("|0,2|", "0-->2", OK, "2"),
        ("|0,2|", "0-->4", OK, "4"),
        ("|0,10|", "0-->5", OK, "|5,10|"),
        ("|5,10|", "5-->10", OK, "10"),
        ("|0,5|", "|0,5|-->|15,16|", OK, "|15,16|"),
        ("|0,5|", "|0,5|-->|10|", OK, "10"),
        ("|5,10|", "|0,5|-->|7,10|", OK, "|7,10|"),
        ("|0,10|", "|0,5|-->|7,8|", OK, "|7,8|"),
        ("3", "0-->|5,8|", OK, "|5,8|"),
        ("5", "5-->10 C", OK, "10"),
        ("5", "4-->10 C", NO, ""),
        ("6", "5-->10 C", NO, ""),
        ("12", "5-->10 C", NO, ""),
        ("|5,12|", "5-->10 C", OK, "|10,12|"),
        ("5", "|5,9|-->10 C", OK, "10"),
    ],
)
def test_a_diff_relates_to_a_snapshot_by_begin_gids(snapshot: str, text: str, expected: Relation, result: str) -> None:
    assert relation(snap(snapshot), diff(text)) is expected
    if result:
        assert apply(snap(snapshot), diff(text)) == snap(result)
    else:
        with pytest.raises(InvalidArgument, match="not applicable"):
            apply(snap(snapshot), diff(text))


def test_a_list_is_applied_left_to_right_and_fails_at_the_first_misfit() -> None:
    assert apply_all(snap("|0,10|"), diffs("0-->5", "|5,10|-->|15,20|", "15-->20", "20-->25")) == snap(25)
    assert apply_all(snap(3), []) == snap(3)
    with pytest.raises(InvalidArgument, match=r"\|1\|:\|2\|-->\|3\|"):
        apply_all(snap(0), diffs("0-->1", "2-->3", "1-->2"))


MERGES = [
    ("0-->1", "1-->2 M", "0-->2"),
    ("0-->1 M", "1-->2", ""),
    ("0-->2", "1-->3 M", "0-->3"),
    ("0-->2", "2-->3 M", "0-->3"),
    ("0-->2", "3-->5 M", ""),
    ("0-->5", "1-->3 M", ""),
    ("1-->3", "0-->5 M", ""),
    ("0-->2", "0-->3 M", "0-->3"),
    ("0-->2", "0-->2 M", ""),
    ("0-->2", "1-->2 M", ""),
    ("0-->1", "1-->|2,3| M", "0-->|2,3|"),
    ("0-->5", "|1,2|-->|7,8| M", "0-->|7,8|"),
    ("|0,1|-->|5,10|", "2-->7 M", "|0,1|-->|7,10|"),
    ("|0,1|-->|5,10|", "2-->12 M", "|0,1|-->12"),
    ("|0,1|-->|5,10|", "5-->10 M", "|0,1|-->10"),
    ("|0,1|-->|5,10|", "|5,10|-->|12,14| M", "|0,1|-->|12,14|"),
    ("0-->|5,10|", "|5,10|-->11 M", "0-->11"),
    ("0-->|1,3|", "1-->2 M", "0-->|2,3|"),
    ("0-->1 C", "1-->2 M", ""),
    ("0-->1", "1-->2 MC", ""),
    # Valid by the gids, but the result would not be: |0,3|-->2.
    ("|0,3|-->|1,3|", "|0,1|-->2 M", ""),
]


@pytest.mark.parametrize(("first", "second", "result"), MERGES)
def test_a_diff_is_merged_onto_another_when_it_continues_it(first: str, second: str, result: str) -> None:
    assert can_merge(diff(first), diff(second)) is bool(result)
    if result:
        assert merge(diff(first), diff(second)) == diff(result)
    else:
        with pytest.raises(InvalidArgument, match="cannot be merged"):
            merge(diff(first), diff(second))


def test_a_merge_keeps_the_first_flag_and_the_last_time() -> None:
    for flag in ("", " M"):
        merged = merge_all([diff("0-->1" + flag, 1, 10), diff("1-->2 M", 2, 10), diff("2-->4 M", 3, 10)])
        assert (names([merged]), merged.flags, merged.timestamp) == (["0-->4"], "M-" if flag else "--", 3)
        assert merged.size_bytes == 0


def test_one_diff_is_its_own_merge_and_none_has_none() -> None:
    one = diff("0-->5 MC", 7, 8)
    assert merge_all([one]) is one
    with pytest.raises(InvalidArgument, match="no diffs"):
        merge_all([])


@pytest.mark.parametrize(
    ("begin", "text", "applying", "applied"),
    [
        ("<|0|>", "0-->1", "<|0|-->|1|>", "<|1|>"),
        ("<|0|>", "1-->2", "", ""),
        ("<|0|-->|5|>", "0-->4", "", ""),
        ("<|0|-->|5|>", "0-->5", "<|0|-->|5|>", "<|5|>"),
        ("<|0|-->|5|>", "0-->7", "<|0|-->|7|>", "<|7|>"),
        ("<|0|-->|5|>", "1-->7", "", ""),
        ("<|3|-->|5|>", "0-->5", "<|3|-->|5|>", "<|5|>"),
        ("<|3|-->|5|>", "3-->5 C", "<|3|-->|5|>", "<|5|>"),
        # The reference accepts this one (W21).
        ("<|3|-->|5|>", "3-->6 C", "", ""),
        ("<|3|-->|5|>", "2-->6 C", "", ""),
        ("<|0,10|-->|25|>", "|0,10|-->|25,30|", "<|0,10|-->|25,30|>", "<|25,30|>"),
    ],
)
def test_a_state_takes_a_diff_that_reaches_its_end(begin: str, text: str, applying: str, applied: str) -> None:
    one = [diff(text, 5)]
    assert can_apply(state(begin), one) is bool(applying)
    if applying:
        assert begin_applying(state(begin), one) == state(applying)
        assert end_applying(state(begin), one) == state(applied)
        assert end_applying(state(begin), one).timestamp == 5
    else:
        for function in (begin_applying, end_applying):
            with pytest.raises(InvalidArgument, match="cannot be applied"):
                function(state(begin), one)


LIST = diffs("0-->5", "|5,10|-->|15,20|", "15-->20", "20-->25")


def test_a_state_takes_a_whole_list() -> None:
    begin = state("<|0,10|>")
    assert begin_applying(begin, LIST).text_with_time == "<|0,10|-->|25|>-19700101000143"
    assert end_applying(begin, LIST).text_with_time == "<|25|>-19700101000143"
    assert apply_state(begin, LIST) == end_applying(begin, LIST)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_interrupted_state_takes_no_part_of_its_list(count: int) -> None:
    assert not can_apply(state("<|0,10|-->|25|>"), LIST[:count])
    with pytest.raises(InvalidArgument):
        end_applying(state("<|0,10|-->|25|>"), LIST[:count])


@pytest.mark.parametrize("text", ["<|0|>", "<|0|-->|5|>"])
def test_an_empty_list_leaves_a_state_as_it_is(text: str) -> None:
    assert begin_applying(state(text), []) == state(text)
    assert end_applying(state(text), []) == state(text)


@pytest.mark.parametrize(
    ("list_", "is_sound"),
    [
        (["3-->4 C", "4-->5"], True),
        (["3-->4 C", "4-->7"], True),
        (["3-->4", "4-->6 C"], False),
        (["3-->5", "5-->9 C"], True),
    ],
)
def test_a_compared_diff_never_passes_over_the_end_of_an_interrupted_state(list_: list[str], is_sound: bool) -> None:
    assert can_apply(state("<|3|-->|5|>"), diffs(*list_)) is is_sound


def test_containment_is_by_begin_gids() -> None:
    assert contains(diff("0-->5"), diff("1-->3"))
    assert contains(diff("0-->5"), diff("0-->5"))
    assert contains(diff("0-->5"), diff("1-->|5,9|"))
    assert not contains(diff("1-->5"), diff("0-->3"))
    assert not contains(diff("0-->5"), diff("1-->6"))


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [
        (["0-->3", "0-->5", "2-->5", "1-->4"], "2-->5"),
        (["0-->5", "|0,3|-->|5,8|"], "0-->5"),
        (["|0,3|-->|5,8|", "0-->5"], "0-->5"),
        (["13-->|14,15|", "13-->14"], "13-->14"),
        (["|0,1|-->5 C", "0-->5"], "0-->5"),
    ],
)
def test_the_choice_among_candidates_does_not_depend_on_their_order(texts: list[str], chosen: str) -> None:
    for order in (texts, texts[::-1]):
        found = furthest(diffs(*order))
        assert found is not None
        assert names([found]) == [chosen]


def test_the_later_time_decides_between_otherwise_equal_diffs() -> None:
    old, new = diff("0-->5", 1), diff("|0,1|-->5", 2)
    assert furthest([old, new]) is new
    assert furthest([new, old]) is new
    assert furthest([]) is None

"""Decisions of an archive (snapshot-model.md section 11)."""

from __future__ import annotations

import pytest

from tests.model.notation import diff_set, snap, state
from walbd.model.archive_plan import (
    ReplicationStep,
    base_after_full_backup,
    base_for_apply,
    base_for_restore,
    hash_backup_diff,
    hash_replication,
    replication_step,
)
from walbd.model.error import BadState, InvalidArgument, NotFound

COLD = {3: 33, 6: 66, 9: 99}


@pytest.mark.parametrize(
    ("base", "gid", "expected"),
    [("<|0|>", 8, "<|6|>"), ("<|0|>", 2, "<|0|>"), ("<|6|>", 8, "<|6|>"), ("<|0|>", 9, "<|9|>")],
)
def test_a_restore_starts_from_the_newest_cold_snapshot_up_to_its_gid(base: str, gid: int, expected: str) -> None:
    assert str(base_for_restore(state(base), COLD, gid)) == expected
    assert str(base_for_apply(state(base), COLD, gid)) == expected


def test_a_cold_snapshot_has_its_own_time() -> None:
    assert base_for_restore(state("<|0|>"), COLD, 8).timestamp == 66
    assert base_for_restore(state("<|0|>"), {}, 8).timestamp == 99


def test_an_apply_never_bypasses_an_applying_base() -> None:
    base = state("<|0|-->|5|>")
    assert base_for_apply(base, COLD, 8) is base
    assert str(base_for_restore(base, COLD, 8)) == "<|6|>"


def test_a_full_backup_leaves_a_dirty_base_with_the_time_of_its_start() -> None:
    assert base_after_full_backup(1, 77).text_with_time == "<|0,1|>-19700101000117"


@pytest.mark.parametrize(
    ("latest", "result", "name"),
    [
        ("13", "|14,15|", "19700101000117----13-13-14-15.wdiff"),
        ("|14,15|", "|16,17|", "19700101000117-M--14-15-16-17.wdiff"),
    ],
)
def test_a_hash_backup_protects_a_clean_snapshot_it_follows(latest: str, result: str, name: str) -> None:
    assert hash_backup_diff(snap(latest), snap(result), 77).file_name == name


def test_a_hash_backup_must_lie_behind_the_whole_latest_snapshot() -> None:
    with pytest.raises(InvalidArgument, match="cannot end as"):
        hash_backup_diff(snap("|14,16|"), snap("|16,17|"), 77)


CHAIN = ("10-->12 M", "12-->15 M")


@pytest.mark.parametrize(
    ("server", "expected"), [("15", "NOTHING"), ("20", "NOTHING"), ("9", "HASH"), ("10", "DIFF"), ("|12,14|", "DIFF")]
)
def test_what_is_replicated_depends_on_the_latest_snapshot_of_the_server(server: str, expected: str) -> None:
    assert replication_step(diff_set(*CHAIN), state("<|10|>"), snap(server)) is ReplicationStep[expected]


def test_diffs_are_held_back_until_they_are_large_enough() -> None:
    diffs, base = diff_set(*CHAIN, size_bytes=100), state("<|10|>")
    assert replication_step(diffs, base, snap(10), more_than_bytes=199) is ReplicationStep.DIFF
    assert replication_step(diffs, base, snap(10), more_than_bytes=200) is ReplicationStep.NOTHING


def test_diffs_are_sent_while_the_next_begins_below_a_gid() -> None:
    diffs, base = diff_set(*CHAIN), state("<|10|>")
    steps = [replication_step(diffs, base, snap(s), below_gid=12) for s in (10, 12)]
    assert steps == [ReplicationStep.DIFF, ReplicationStep.NOTHING]
    assert replication_step(diffs, base, snap(10), below_gid=0) is ReplicationStep.NOTHING


def test_a_server_inside_a_compared_diff_needs_a_resync() -> None:
    with pytest.raises(BadState, match="no diffs lead from"):
        replication_step(diff_set("10-->15 C"), state("<|10|>"), snap(12))


def test_a_hash_replication_leads_to_the_oldest_clean_snapshot() -> None:
    target, diff = hash_replication(diff_set("|20,22|-->22", "22-->25"), state("<|20,22|>"), snap(19))
    assert (str(target), str(diff), diff.flags, diff.timestamp) == ("<|22|>", "|19|-->|22|", "MC", 100)


def test_a_hash_replication_ends_behind_the_dirty_snapshot_of_the_server() -> None:
    target, diff = hash_replication(diff_set("10-->12", "12-->15"), state("<|10|>"), snap("|5,13|"))
    assert (str(target), str(diff)) == ("<|15|>", "|5,13|-->|15|")
    with pytest.raises(NotFound):
        hash_replication(diff_set("10-->12"), state("<|10|>"), snap("|5,13|"))

"""What the worker plans: the steps of the reference, retention, and that no kept snapshot is ever lost."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.model_archive import ARCHIVE, HOUR, NOW, ModelArchive, ModelVolume, config, diff
from walbc.worker.config import Config
from walbc.worker.merge_range import choose_merge_range
from walbc.worker.planner import Planner
from walbc.worker.retention import Restorable, longest, parse_keep, plan_retention
from walbc.worker.send_gid import choose_send_gid

MUCH = 2**64 - 1
DAY = 24 * HOUR
RULES = "last 48h hourly, 14d daily, 8w weekly"
A1 = "repl: {servers: {a1: {addr: h, port: 2, interval: 1h}}}"


# ---- the whole plan against an archive in memory ----


@st.composite
def volumes(draw: st.DrawFn) -> ModelVolume:
    hours = sorted(draw(st.lists(st.integers(0, 24 * 90), min_size=1, max_size=30)), reverse=True)
    gid, chain = 0, []
    for age in hours[1:]:
        step = draw(st.integers(1, 3))
        flags = draw(st.sampled_from(["M-", "--", "-C"]))
        chain.append(diff(gid, gid + step, draw(st.integers(0, 1000)), flags, NOW - age * HOUR))
        gid += step
    begins = {name: draw(st.sampled_from([None, NOW - 30 * DAY, NOW])) for name in ("Apply", "Merge")}
    return ModelVolume(0, NOW - hours[0] * HOUR, chain, begins)


PERIODS = st.sampled_from(["1h", "5h", "2d", "3w", "90d"])
UNITS = st.sampled_from(["all", "hourly", "daily", "weekly", "monthly", "yearly"])
KEEPS = st.lists(st.builds("{} {}".format, PERIODS, UNITS), min_size=1, max_size=4).map(", ".join)
MERGES = st.fixed_dictionaries(
    {"max_nr": st.sampled_from([2, 5, MUCH]), "threshold_nr": st.sampled_from([2, 10, MUCH])}
)


def kept_now(archive: ModelArchive, vol: str, settings: Config) -> set[int]:
    plan = plan_retention(archive.restorable(vol), settings.retention.keep, NOW)
    return set(plan.keep)


def run_to_end(planner: Planner, archive: ModelArchive, limit: int = 200) -> int:
    """Carries out one task after the other; how many there were."""
    for count in range(limit):
        chosen = planner.plan(archive)
        if chosen is None:
            return count
        archive.carry_out(chosen[1])
    raise AssertionError("the worker never finds rest")


@given(st.lists(volumes(), min_size=1, max_size=3), KEEPS, MERGES)
def test_no_snapshot_that_a_rule_keeps_is_ever_lost_and_the_worker_finds_rest(
    chains: list[ModelVolume], keep: str, merge: dict[str, Any]
) -> None:
    archive = ModelArchive({f"v{index}": volume for index, volume in enumerate(chains)})
    settings = config(f"retention: {{keep: '{keep}'}}")
    settings.set({"merge": merge})
    planner = Planner(settings, ARCHIVE)
    kept = {vol: kept_now(archive, vol, settings) for vol in archive.volumes}
    for _ in range(200):
        chosen = planner.plan(archive)
        if chosen is None:
            break
        archive.carry_out(chosen[1])
        for vol, gids in kept.items():
            assert gids <= {one.gid for one in archive.restorable(vol)}, (vol, chosen)
    assert planner.plan(archive) is None
    for vol in archive.volumes:
        assert not plan_retention(archive.restorable(vol), settings.retention.keep, NOW).disable


@given(volumes(), st.sampled_from(["1d", "3d", "30d"]))
def test_without_rules_explicit_snapshots_within_the_keep_period_stay(volume: ModelVolume, period: str) -> None:
    archive = ModelArchive({"v0": volume})
    settings = config(f"apply: {{keep_period: {period}}}")
    wanted = {one.gid for one in volume.restorable() if one.is_explicit and one.ts > NOW - settings.apply_.keep_period}
    run_to_end(Planner(settings, ARCHIVE), archive)
    assert wanted <= {one.gid for one in archive.restorable("v0")}


@given(volumes(), KEEPS)
def test_planning_changes_nothing_and_gives_the_same_twice(volume: ModelVolume, keep: str) -> None:
    archive = ModelArchive({"v0": volume})
    planner = Planner(config(f"retention: {{keep: '{keep}'}}"), ARCHIVE)
    before = list(map(str, volume.chain))
    first = list(planner.plan_all(archive))
    assert list(planner.plan_all(archive)) == first
    assert list(map(str, volume.chain)) == before
    assert len({task.vol for _, task in first}) == len(first)


# ---- retention ----


def snapshots(*ages: datetime.timedelta) -> list[Restorable]:
    return [Restorable(gid, NOW - age, True) for gid, age in enumerate(ages)]


def test_the_first_of_each_unit_is_kept_and_the_newest() -> None:
    ages = [3 * DAY + HOUR, 3 * DAY, 2 * HOUR, 90 * HOUR / 60, HOUR / 2, HOUR / 3, HOUR / 4]
    plan = plan_retention(snapshots(*ages), parse_keep(RULES), NOW)
    assert plan.keep == {
        0: "14d daily",
        2: "last 48h hourly",
        3: "last 48h hourly",
        4: "last 48h hourly",
        6: "the newest",
    }
    assert plan.disable == [1, 5]


def test_implicit_snapshots_are_no_matter_of_the_rules() -> None:
    given_ = [Restorable(0, NOW - DAY, False), Restorable(1, NOW - DAY, True), Restorable(2, NOW, True)]
    plan = plan_retention(given_, parse_keep("7d daily"), NOW)
    assert (set(plan.keep), plan.disable) == ({1, 2}, [])


def test_rules_reach_as_far_as_the_longest() -> None:
    assert longest(parse_keep(RULES)) == datetime.timedelta(weeks=8)
    assert config(f"retention: {{keep: '{RULES}'}}").keep_period == datetime.timedelta(weeks=8)


@pytest.mark.parametrize(
    "text", ["", "48h", "hourly", "last hourly", "48x hourly", "48h often", "0d daily", "2d daily,"]
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="bad"):
        parse_keep(text)


# ---- the reference's steps ----


def test_an_interrupted_apply_is_finished_first() -> None:
    volume = ModelVolume(0, NOW - 9 * DAY, [diff(0, 1, ts=NOW - 8 * DAY)], applying=1)
    chosen = Planner(config(), ARCHIVE).plan(ModelArchive({"v0": volume}))
    assert chosen
    assert (chosen[0], chosen[1].text) == ("selectApplyTask1", "name=apply vol=v0 ax=a0, h, 1, archive gid=1")


def test_the_volume_with_most_to_apply_goes_first() -> None:
    def old(size: int) -> ModelVolume:
        chain = [diff(0, 1, size, ts=NOW - 8 * DAY), diff(1, 2, size, ts=NOW - 4 * DAY), diff(2, 3, 9, "--")]
        return ModelVolume(0, NOW - 9 * DAY, chain)

    archive = ModelArchive({"v0": old(10), "v1": old(20)})
    chosen = Planner(config(), ARCHIVE, step=2).plan(archive)
    assert chosen
    assert (chosen[1].vol, chosen[1].text.split()[-1]) == ("v1", "gid=2")
    archive.volumes["v1"].begins["Apply"] = NOW - HOUR
    chosen = Planner(config(), ARCHIVE, step=2).plan(archive)
    assert chosen and chosen[1].vol == "v0"


def test_a_volume_without_a_range_does_not_keep_others_from_merging() -> None:
    stuck = ModelVolume(0, NOW, [diff(i, i + 1, flags="--") for i in range(9)])
    ready = ModelVolume(0, NOW, [diff(0, 1), diff(1, 2), diff(2, 3, flags="--"), diff(3, 4, flags="--")])
    chosen = Planner(config("merge: {threshold_nr: 3}"), ARCHIVE).plan(ModelArchive({"v0": stuck, "v1": ready}))
    assert chosen
    assert (chosen[0], chosen[1].text) == ("selectMergeTask1", "name=merge vol=v1 ax=a0, h, 1, archive gid=(0, 2)")


def test_a_destination_that_is_behind_is_replicated_to_and_one_not_archived_is_not() -> None:
    volume = ModelVolume(0, NOW, [diff(0, 5, flags="--")])
    archive = ModelArchive({"v0": volume, "v1": volume}, reached={("a1", "v0"): 3})
    planner = Planner(config(A1), ARCHIVE)
    (only,) = [task for _, task in planner.plan_all(archive)]
    assert only.text == "name=repl vol=v0 ax=a0, h, 1, archive dst=a1 maxGid=None"
    archive.reached["a1", "v0"] = 5
    assert planner.plan(archive) is None


def test_replications_wait_for_their_interval_and_limit_and_the_least_recent_goes_first() -> None:
    volume = ModelVolume(0, NOW, [diff(0, 5, flags="--")])
    archive = ModelArchive({"v0": volume, "v1": volume}, reached={("a1", "v0"): 3, ("a1", "v1"): 3})
    last = {("v0", "a1"): NOW - 2 * HOUR, ("v1", "a1"): NOW - 3 * HOUR}
    chosen = Planner(config(A1), ARCHIVE, last).plan(archive)
    assert chosen and chosen[1].vol == "v1"
    assert Planner(config(A1), ARCHIVE, last, may_replicate=False).plan(archive) is None
    recent = dict.fromkeys(last, NOW - HOUR / 2)
    assert Planner(config(A1), ARCHIVE, recent).plan(archive) is None
    disabled = config("repl: {disabled_volumes: [v0, v1]}")
    disabled.setStr(A1)
    assert Planner(disabled, ARCHIVE).plan(archive) is None


# ---- ranges ----


def test_the_run_of_the_smallest_wdiffs_is_merged() -> None:
    chain = [diff(0, 1, 900), diff(1, 2, 900), diff(2, 3, 10, "--"), diff(3, 4, 10), diff(4, 5, 10, "--")]
    assert choose_merge_range(chain, MUCH, MUCH) == (2, 4)


def test_runs_end_at_their_size_their_number_and_at_protected_gids() -> None:
    chain = [diff(i, i + 1, 10) for i in range(9)]
    assert choose_merge_range(chain, 35, MUCH) == (0, 3)
    assert choose_merge_range(chain, MUCH, 2) == (0, 3)
    assert choose_merge_range(chain, MUCH, MUCH, protected={4}) == (0, 4)
    assert choose_merge_range(chain, 5, MUCH) is None


def test_the_growing_run_is_merged_only_when_there_is_no_other() -> None:
    chain = [diff(i, i + 1, 10) for i in range(3)]
    assert choose_merge_range(chain, MUCH, MUCH) == (0, 3)
    assert choose_merge_range([*chain, diff(3, 4, 1, "--"), diff(4, 5, 1)], MUCH, MUCH) == (0, 3)


def test_comparison_made_wdiffs_are_never_merged() -> None:
    assert choose_merge_range([diff(0, 1, flags="-C"), diff(1, 2), diff(2, 3, flags="MC")], MUCH, MUCH) is None


@pytest.mark.parametrize(("limit", "gid"), [(200, 3), (400, 5), (1000, 9), (0, None), (1, 2)])
def test_so_much_is_sent_at_once(limit: int, gid: int | None) -> None:
    assert choose_send_gid([diff(i, i + 1) for i in range(9)], 0, limit) == gid


def test_sending_goes_on_where_the_destination_is() -> None:
    chain = [diff(i, i + 1) for i in range(9)]
    assert choose_send_gid(chain, 4, 200) == 7
    assert choose_send_gid(chain, 8, 200) is None
    assert choose_send_gid(chain[:1], 0, 200) is None

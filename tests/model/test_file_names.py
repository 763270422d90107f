"""Names of wdiff files (snapshot-model.md section 5)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.model.notation import diff
from walbd.model.diff import Diff
from walbd.model.error import WalbError
from walbd.model.snapshot import Snapshot
from walbd.model.timetext import parse_digits

EXAMPLES = [
    ("0-->1 M", "20231114221320-M--0-1.wdiff"),
    ("0-->1", "20231114221320----0-1.wdiff"),
    ("0-->1 MC", "20231114221320-MC-0-1.wdiff"),
    ("|5,7|-->|10,12| C", "20231114221320--C-5-7-10-12.wdiff"),
    ("|0,5|-->|10| M", "20231114221320-M--0-5-10-10.wdiff"),
    ("5-->|10,12| M", "20231114221320-M--5-5-10-12.wdiff"),
    ("13-->|14,15|", "20231114221320----13-13-14-15.wdiff"),
    ("0-->18446744073709551615 M", "20231114221320-M--0-18446744073709551615.wdiff"),
]


@pytest.mark.parametrize(("text", "name"), EXAMPLES)
def test_a_name_tells_everything_but_the_size(text: str, name: str) -> None:
    assert diff(text).file_name == name
    found = Diff.from_file_name(name, 42)
    assert (found, found.flags, found.timestamp, found.size_bytes) == (diff(text), diff(text).flags, 1700000000, 42)


@pytest.mark.parametrize(
    "name",
    [
        "20231114221320-M--5-5-10-10.wdiff",
        "20231114221320-XY-0-1.wdiff",
        "20231114221320-M--00-01.wdiff",
        "20231114221320-M--0-1-2.wdiff",
        "20231114221320-M--1-2-3-4-5.wdiff",
        "20231114221320-M--5-7.wdiffx",
        "20231114221320-M--1-2.wdiff-foo",
        "20231114221320-M--1-2.wdiff\n",
        "20231114221320-M--5-5.wdiff",
        "20231114221320-M--0-18446744073709551616.wdiff",
        "20230230000000-M--0-1.wdiff",
        "19691231235959-M--0-1.wdiff",
        "tmpABCDEF",
        "",
    ],
)
def test_a_name_that_would_not_be_written_is_not_read(name: str) -> None:
    with pytest.raises(WalbError):
        Diff.from_file_name(name)


def vectors(part: str) -> list[dict[str, Any]]:
    folder = os.environ.get("WALB_VECTORS")
    if not folder:
        pytest.skip("WALB_VECTORS does not name the folder of golden data")
    cases: list[dict[str, Any]] = json.loads((Path(folder) / "formats/expected.json").read_text())["names"][part][
        "cases"
    ]
    return cases


def make(case: dict[str, Any]) -> Diff:
    gids = case["gids"]
    begin, end = (gids[:2], gids[2:]) if len(gids) == 4 else ([gids[0]] * 2, [gids[-1]] * 2)
    assert len(gids) in (2, 4) or case["exit"]
    time = parse_digits(case["datetime"])
    return Diff(Snapshot(*begin), Snapshot(*end[:2]), case["mergeable"], case["comp_diff"], time)


def test_names_are_those_the_reference_generates() -> None:
    # What only the generator accepts: no progress, and years before 1970.
    not_ours = {"20150101000000-M--3-1.wdiff", "20150101000000-M--10-20-10-20.wdiff", "19000101000000-M--0-1.wdiff"}
    n_same = 0
    for case in vectors("generate"):
        if case["exit"] or case["name"] in not_ours:
            if len(case["gids"]) != 3:
                with pytest.raises(WalbError):
                    make(case)
        else:
            value = make(case)
            assert (value.file_name, value.timestamp) == (case["name"], case["unix_time"])
            n_same += 1
    assert n_same == 20


def test_names_the_reference_reads_are_read_when_it_would_write_them() -> None:
    n_read = 0
    for case in vectors("parse"):
        found = []
        try:
            for line in case["input"]:
                found.append(Diff.from_file_name(line.strip()))
        except WalbError:
            assert not case["accepted"] or "note" in case or case["input"] == ["20150101000000-M--3-3-4-4.wdiff"]
            continue
        if len(set(found)) < len(found):
            assert not case["accepted"]
            continue
        assert case["accepted"], case
        n_read += 1
    assert n_read == 8

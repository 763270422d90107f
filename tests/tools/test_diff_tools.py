"""wdiff-show and the tools that read, make and apply diffs, against the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.golden_files import Golden
from tests.tools.tool_testing import Ran, done, failed, image, run, sha256
from walbd.tools import wdiff_redo, wdiff_show

# The reference's columns come in another order in the file of expectations.
SORTED_COLUMNS = (0, 1, 3, 4, 5, 6, 2)
INDEXED_COLUMNS = (0, 1, 3, 4, 5, 6, 7, 8, 9, 2)
APPLIED = ("nIoTotal", "nIoNormal", "nIoDiscard", "nIoAllZero", "nBlocks")


def header_lines(entry: dict[str, Any]) -> list[str]:
    return ["wdiff_h:", *(f"  {name}: {entry['header'][name]}" for name in ("checksum", "version", "type", "uuid"))]


def record_line(entry: dict[str, Any], record: list[Any]) -> str:
    kind = entry["header"]["type"]
    columns = SORTED_COLUMNS if kind == "sorted" else INDEXED_COLUMNS
    return "\t".join([f"wdiff_{kind}_rec:", *(str(record[column]) for column in columns)])


def stat_lines(entry: dict[str, Any]) -> list[str]:
    return [f"wdiff_stat: {name} {value}" for name, value in entry["stat"].items()]


def test_every_wdiff_is_shown_line_by_line_as_by_the_reference(golden: Golden) -> None:
    for entry in golden.expected["wdiff"]:
        ran = done(wdiff_show.TOOL, "-csum", "-stat", golden(entry["file"]))
        records = [record_line(entry, record) for record in entry["records"]]
        assert ran.lines == [*header_lines(entry), *records, *stat_lines(entry)], entry["file"]


def test_a_wdiff_is_shown_as_json(golden: Golden) -> None:
    for entry in golden.expected["wdiff"][:10]:
        path = golden(entry["file"])
        head, *records, stat = map(json.loads, done(wdiff_show.TOOL, "--json", "-stat", path).lines)
        assert head == {"kind": "header", "file": str(path), **entry["header"]}
        columns = SORTED_COLUMNS if head["type"] == "sorted" else INDEXED_COLUMNS
        shown = [list(record.values())[1:] for record in records]
        assert shown == [[record[column] for column in columns] for record in entry["records"]]
        assert stat == {"kind": "stat", **entry["stat"]}


def test_a_search_shows_the_records_of_one_block(golden: Golden) -> None:
    for case in golden.expected["wdiff_search"]["cases"]:
        ran = done(wdiff_show.TOOL, "-search", "-addr", case["addr"], "-nohead", golden(case["file"]))
        assert [line.split("\t")[1:3] for line in ran.lines] == [list(map(str, r)) for r in case["records"]]


def test_several_files_are_shown_and_one_bad_one_decides(golden: Golden) -> None:
    good, bad = golden("chain/00.sorted.wdiff"), golden("damaged/s-data-flip.wdiff")
    ran = run(wdiff_show.TOOL, "-csum", "-norec", "-stat", bad, good)
    assert ran.status == 1 and ran.out.count("wdiff_h:") == 2
    assert run(wdiff_show.TOOL, "-nohead", "-norec", bad, good) == Ran(0, "", "")
    assert ran.err.count("\n") == 1 and str(bad) in ran.err


def test_what_is_wrong_with_a_record_stands_behind_it(golden: Golden) -> None:
    ran = run(wdiff_show.TOOL, "-csum", golden("damaged/s-data-flip.wdiff"))
    assert " invalid data checksum: " in ran.out and ran.status == 1
    ran = run(wdiff_show.TOOL, golden("damaged/s-zero-and-discard.wdiff"))
    assert " invalid record" in ran.out and ran.status == 1
    ran = run(wdiff_show.TOOL, golden("damaged/s-unsorted.wdiff"))
    assert ran.out.count("wdiff_sorted_rec") > 2 and ran.status == 1


def test_every_damaged_wdiff_is_reported_in_one_line(golden: Golden) -> None:
    count = 0
    for case in golden.expected["damaged"]["cases"]:
        if "wdiff" not in case["kind"]:
            continue
        ran = run(wdiff_show.TOOL, "-csum", golden(case["file"]))
        is_good = case["verdict"] == "accept"
        assert ran.status == (0 if is_good else 1), case["file"]
        assert len(ran.err.splitlines()) == ran.status, ran.err
        assert is_good or Path(case["file"]).name in ran.err
        count += 1
    assert count > 45


def redos(entry: dict[str, Any]) -> list[dict[str, Any]]:
    redo = entry.get("redo", [])
    return redo if isinstance(redo, list) else [redo]


def test_every_wdiff_is_applied_to_the_same_image(golden: Golden, tmp_path: Path) -> None:
    count = n_skipping = 0
    for entry in golden.expected["wdiff"]:
        for redo in redos(entry):
            if redo["image_size"] > 16 << 20 and redo["fill"] != "00":
                continue
            target = image(tmp_path / "image", redo["image_size"], redo["fill"])
            options = ["-z"] if redo["discard"] == "zeroed" else []
            ran = run(wdiff_redo.TOOL, "-i", golden(entry["file"]), *options, target)
            assert sha256(target) == redo["sha256"], (entry["file"], redo)
            skipped = [line for line in ran.lines if line.startswith("Failed to redo: ")]
            assert ran.status == (1 if skipped else 0) and len(ran.err.splitlines()) == ran.status
            assert ran.lines[:5] == [f"{name} {redo['applied'][name]}" for name in APPLIED], (entry["file"], redo)
            n_skipping += bool(skipped)
            count += 1
    assert count > 100 and n_skipping >= 3


def test_every_damaged_wdiff_is_refused_by_redo(golden: Golden, tmp_path: Path) -> None:
    target = image(tmp_path / "image", 1 << 20)
    for case in golden.expected["damaged"]["cases"]:
        if "wdiff" in case["kind"] and case["verdict"] != "accept":
            path = golden(case["file"])
            assert str(path) in failed(wdiff_redo.TOOL, "-z", "-i", path, target)


def test_an_input_is_not_written_to(golden: Golden, tmp_path: Path) -> None:
    path = tmp_path / "diff"
    path.write_bytes(golden("chain/00.sorted.wdiff").read_bytes())
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    assert "is an input, too" in failed(wdiff_redo.TOOL, "-i", path, tmp_path / "link")
    assert path.read_bytes() == before

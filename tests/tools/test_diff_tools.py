"""wdiff-show and the tools that read, make and apply diffs, against the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden_files import Golden
from tests.tools.tool_testing import Ran, done, failed, image, left_over, run, sha256
from walbd.tools import virt_full_cat, wdiff_full, wdiff_merge, wdiff_redo, wdiff_show, wlog_to_wdiff
from walbd.tools.tool import Tool

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


def shown_records(path: Path) -> list[list[str]]:
    """Address, blocks and flags of every record; all data are verified."""
    lines = done(wdiff_show.TOOL, "-csum", "-nohead", path).lines
    return [[*line.split("\t")[1:3], line.split("\t")[-1]] for line in lines]


def short(record: list[Any]) -> list[str]:
    return [str(value) for value in record[:3]]


def test_every_log_becomes_the_same_wdiff(golden: Golden, tmp_path: Path) -> None:
    ends, count = {log["file"]: log["real_end_lsid"] for log in golden.expected["wlog"]}, 0
    for entry in golden.expected["wdiff"]:
        if "from_wlog" not in entry:
            continue
        out = tmp_path / "out.wdiff"
        options = [*entry["options"].split(), *(["-noend"] if "noterm" in entry["from_wlog"] else [])]
        ran = run(wlog_to_wdiff.TOOL, *options, "-i", golden(entry["from_wlog"]), "-o", out)
        assert ran.status == 0 and ran.out == ""
        assert ran.err.splitlines()[-1] == f"converted until lsid {ends[entry['from_wlog']]}"
        ours, theirs = shown_records(out), [short(record) for record in entry["records"]]
        # Discards and zeros are not cut here.
        assert [r for r in ours if r[2] == "--"] == [r for r in theirs if r[2] == "--"], entry["file"]
        assert any(int(r[1]) >= 2048 for r in theirs) or "-x" in entry["options"] or ours == theirs, entry["file"]
        assert done(wdiff_show.TOOL, "-norec", out).lines == header_lines(entry)
        count += 1
    assert count > 30 and left_over(tmp_path) == ["out.wdiff"]


def test_several_logs_in_one_stream_and_in_several_files_become_one_wdiff(golden: Golden, tmp_path: Path) -> None:
    expected = golden("chain/two.sorted.wdiff")
    for names in (["chain/two.wlogs"], ["chain/00.wlog", "chain/01.wlog"]):
        out = tmp_path / "out"
        ran = run(wlog_to_wdiff.TOOL, "-i", *map(golden, names), "-o", out)
        assert ran.err.splitlines() == ["converted until lsid 142", "converted until lsid 356"]
        assert shown_records(out) == shown_records(expected)
    (tmp_path / "out").unlink()
    ran = run(wlog_to_wdiff.TOOL, "-i", golden("chain/00.wlog"), golden("chain/02.wlog"), "-o", tmp_path / "out")
    assert ran.status == 1 and "lsid mismatch" in ran.err and left_over(tmp_path) == []


def test_every_merge_gives_the_same_records_and_the_uuid_of_its_inputs(golden: Golden, tmp_path: Path) -> None:
    refused, identical = [], []
    for case in golden.expected["merge"]["cases"]:
        out, inputs = tmp_path / "out.wdiff", [golden(name) for name in case["inputs"]]
        ran = run(wdiff_merge.TOOL, "-i", *inputs, "-o", out, *case["options"].split())
        if ran.status:
            assert "uuid" in ran.err and left_over(tmp_path) in ([], ["out.wdiff"])
            refused.append(case["name"])
            continue
        ours, theirs = shown_records(out), [short(record) for record in case["records"]]
        # Discards and zeros are not cut here.
        assert [r for r in ours if r[2] == "--"] == [r for r in theirs if r[2] == "--"], case["name"]
        assert "-x" in case["options"] or ours == theirs, case["name"]
        for redo in redos(case):
            target = image(tmp_path / "image", redo["image_size"], redo["fill"])
            run(wdiff_redo.TOOL, "-i", out, *(["-z"] if redo["discard"] == "zeroed" else []), target)
            assert sha256(target) == redo["sha256"], case["name"]
            target.unlink()
        uuids = {path.read_bytes()[16:32] for path in inputs} - {bytes(16)}
        assert out.read_bytes()[16:32] == (uuids.pop() if uuids else bytes(16))
        if "none" in case["options"]:
            assert out.read_bytes()[32:] == golden(case["output"]).read_bytes()[32:]
            identical.append(case["name"])
    assert sorted(refused) == ["bigdiscard", "overwrite-uuids", "with-empty"] and identical == ["first5"]


def test_uncompressed_merges_are_byte_identical(golden: Golden, tmp_path: Path) -> None:
    out = tmp_path / "out"
    inputs = golden("wdiff/full-16k.sorted.wdiff"), golden("wdiff/gen-512-overwrite.sorted.wdiff")
    done(wdiff_merge.TOOL, "-cmpr", "none:0:2", "-i", *inputs, "-o", out)
    assert out.read_bytes()[32:] == golden("wdiff/cmpr-none.sorted.wdiff").read_bytes()[32:]


def test_a_merge_tells_what_went_in_and_out(golden: Golden, tmp_path: Path) -> None:
    case = golden.expected["merge"]["cases"][0]
    inputs = [golden(name) for name in case["inputs"]]
    ran = run(wdiff_merge.TOOL, "-stat", "-i", *inputs, "-o", tmp_path / "out")
    s = case["stat"]
    assert ran.err.splitlines()[1].startswith(
        f"mergeOut wdiffNr 1  nrN {s['normalNr']} nrZ {s['allZeroNr']} nrD {s['discardNr']}  "
        f"lbN {s['normalLb']} lbZ {s['allZeroLb']} lbD {s['discardLb']}  dataSize "
    )
    entries = {entry["file"]: entry["stat"] for entry in golden.expected["wdiff"]}
    total = sum(entries[name]["normalNr"] for name in case["inputs"])
    assert ran.err.startswith(f"mergeIn  wdiffNr 2  nrN {total} nrZ ")
    assert ran.err.splitlines()[2].startswith("mergeMemUsage ") and ran.err.endswith("KiB\n")


def test_what_is_damaged_leaves_no_output(golden: Golden, tmp_path: Path) -> None:
    count = 0
    for case in golden.expected["damaged"]["cases"]:
        path, name = golden(case["file"]), Path(case["file"]).stem
        if case["verdict"] == "accept" or case["kind"] == "log device":
            continue
        if "wdiff" in case["kind"]:
            # Stored bytes that are passed on are not decoded, except where that is asked for.
            assert str(path) in failed(wdiff_merge.TOOL, "-cmpr", "none:0:1", "-i", path, "-o", tmp_path / "out")
        elif name != "w4096-term-flip":
            for options in ([], ["-indexed"]):
                ran = run(wlog_to_wdiff.TOOL, *options, "-i", path, "-o", tmp_path / "out")
                last = ran.err.splitlines()[-1]
                assert ran.status == 1 and " ERROR wlog-to-wdiff:" in last and str(path) in last, name
        count += 1
        assert left_over(tmp_path) == [], name
    assert count > 70


def test_an_old_output_stays_until_the_new_one_is_complete(golden: Golden, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old")
    failed(wdiff_merge.TOOL, "-i", golden("damaged/s-data-flip.wdiff"), "-o", out)
    assert out.read_bytes() == b"old"
    assert "is an input, too" in failed(wdiff_merge.TOOL, "-i", out, "-o", out)
    done(wdiff_merge.TOOL, "-i", golden("chain/00.sorted.wdiff"), "-o", out)
    assert shown_records(out) == shown_records(golden("chain/00.sorted.wdiff"))


@pytest.mark.parametrize(
    ("tool", "words", "reason"),
    [
        (wdiff_merge.TOOL, [], "opt is necessary:i"),
        (wdiff_merge.TOOL, ["-i"], "bad value:-i"),
        (wdiff_merge.TOOL, ["-i", "a", "-cmpr", "snappy"], "bad value:snappy"),
        (wdiff_merge.TOOL, ["-i", "a", "-x", "100"], "bad value:100"),
        (wlog_to_wdiff.TOOL, ["-x", "1T"], "bad value:1T"),
        (wlog_to_wdiff.TOOL, ["extra"], "redundant argVal:extra"),
        (wdiff_redo.TOOL, ["-z"], "arg is necessary"),
        (wdiff_show.TOOL, ["-search", "x"], "opt is necessary:addr"),
        (wdiff_show.TOOL, ["-bogus"], "bad opt:-bogus"),
    ],
)
def test_a_wrong_command_line_is_answered_with_its_reason_and_help(tool: Tool, words: list[str], reason: str) -> None:
    ran = run(tool, *words)
    assert ran.status == 1 and ran.err == ""
    assert ran.lines[0] == f"OptionError:{reason}" and ran.lines[1].startswith(f"usage: {tool.name}")


def test_every_virtual_image_is_that_of_the_reference(golden: Golden, tmp_path: Path) -> None:
    count = 0
    for case in golden.expected["virtual_full"]["cases"]:
        words = ["-i", golden(case["base"]), "-o", tmp_path / "out", *case["options"].split()]
        diffs = ["-d", *map(golden, case["diffs"])] if case["diffs"] else []
        if "-b 1000" in case["options"]:
            assert run(virt_full_cat.TOOL, *words, *diffs).lines[0] == "OptionError:bad value:1000"
            continue
        done(virt_full_cat.TOOL, *words, *diffs)
        if case["exit"] == 0:
            assert sha256(tmp_path / "out") == case["sha256"], case
        else:
            # What crosses the end of the base is cut there.
            assert (tmp_path / "out").stat().st_size == golden(case["base"]).stat().st_size
        count += 1
    assert count > 20


def test_a_virtual_image_of_a_damaged_diff_leaves_no_output(golden: Golden, tmp_path: Path) -> None:
    base, bad = golden("virt/base-1m.img"), golden("damaged/i-data-flip.wdiff")
    assert str(bad) in failed(virt_full_cat.TOOL, "-i", base, "-d", bad, "-o", tmp_path / "out")
    assert "is an input, too" in failed(virt_full_cat.TOOL, "-i", base, "-o", base)
    assert "does not exist" in failed(virt_full_cat.TOOL, "-i", tmp_path / "none", "-o", tmp_path / "out")
    assert left_over(tmp_path) == []


def test_a_virtual_image_tells_what_its_diffs_hold(golden: Golden, tmp_path: Path) -> None:
    name = "chain/00.sorted.wdiff"
    stat = next(entry["stat"] for entry in golden.expected["wdiff"] if entry["file"] == name)
    base = golden("virt/base-2m.img")
    ran = run(virt_full_cat.TOOL, "-i", base, "-d", golden(name), "-stat", "-o", tmp_path / "out")
    assert ran.err.startswith(f"mergeIn  wdiffNr 1  nrN {stat['normalNr']} nrZ {stat['allZeroNr']} ")
    assert ran.err.endswith(f"dataSize {stat['dataSize']}\n")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wdiff/full.sorted.wdiff", []),
        ("wdiff/full-16k.sorted.wdiff", ["-ios", "16384"]),
        ("wdiff/full.indexed.wdiff", ["-indexed"]),
        ("wdiff/full-8k.indexed.wdiff", ["-indexed", "-ios", "8192"]),
    ],
)
def test_an_image_becomes_the_same_wdiff(golden: Golden, tmp_path: Path, name: str, options: list[str]) -> None:
    out = tmp_path / "out"
    done(wdiff_full.TOOL, *options, "-i", golden("wdiff/full.img"), "-o", out)
    entry = next(entry for entry in golden.expected["wdiff"] if entry["file"] == name)
    assert shown_records(out) == [short(record) for record in entry["records"]]
    assert done(wdiff_show.TOOL, "-norec", out).lines == header_lines(entry)
    target = image(tmp_path / "image", entry["redo"][0]["image_size"], entry["redo"][0]["fill"])
    done(wdiff_redo.TOOL, "-i", out, target)
    assert sha256(target) == entry["redo"][0]["sha256"]


def test_an_image_of_odd_size_is_refused(tmp_path: Path) -> None:
    odd = image(tmp_path / "odd", 1000)
    assert "no multiple of 512" in failed(wdiff_full.TOOL, "-i", odd, "-o", tmp_path / "out")
    assert left_over(tmp_path) == ["odd"]

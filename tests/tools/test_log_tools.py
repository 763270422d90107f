"""wlog-show, wlog-cat, wlog-redo, wlog-restore, wldev-info and wdev-redo against the reference."""

# ruff: noqa: UP031 - the printf forms are those of the format's description

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden_files import Golden
from tests.tools.tool_testing import done, failed, image, left_over, run, sha256
from walbd.tools import wdev_redo, wldev_info, wlog_cat, wlog_redo, wlog_restore, wlog_show


def record_line(r: list[Any]) -> str:
    return "wlog_r: lsid %10u %4u io %10u %4u flags %s csum %s" % tuple(r)


def expected_lines(log: dict[str, Any]) -> Iterator[str]:
    h = log["header"]
    yield "wlog_h: ver %3u pbs %4u salt %s uuid %s lsid %u %u" % (
        h["version"], h["pbs"], h["salt"], h["uuid"], h["begin_lsid"], h["end_lsid"],
    )  # fmt: skip
    for p in log["packs"]:
        yield "wlog_p: lsid %10u total %4u n_rec %2u n_pad %2u csum %s" % (
            p["lsid"], p["total_io_size"], p["n_records"], p["n_padding"], p["checksum"],
        )  # fmt: skip
        yield from map(record_line, p["records"])
    yield from (f"bgnLsid {h['begin_lsid']}", f"endLsid {h['end_lsid']}", f"reallyEndLsid {log['real_end_lsid']}")
    yield from (f"{name} {log['stat'][name]}" for name in ("nrPacks", "normalLb", "discardLb", "paddingPb"))


def end_options(log: dict[str, Any]) -> list[str]:
    return [] if log["bytes_after_last_pack"] else ["-noend"]


def test_every_log_is_shown_line_by_line_as_by_the_reference(golden: Golden) -> None:
    for log in golden.expected["wlog"]:
        ran = done(wlog_show.TOOL, *end_options(log), "-validate", golden(log["file"]))
        assert ran.lines == list(expected_lines(log)), log["file"]


def test_a_log_is_shown_as_json(golden: Golden) -> None:
    for log in golden.expected["wlog"][:12]:
        ran = done(wlog_show.TOOL, *end_options(log), "--json", golden(log["file"]))
        head, *packs, stat = map(json.loads, ran.lines)
        assert head == {"kind": "header", **log["header"]}
        assert stat["reallyEndLsid"] == log["real_end_lsid"] and stat["nrPacks"] == log["n_packs"] == len(packs)
        for pack, expected in zip(packs, log["packs"], strict=True):
            assert [list(record.values()) for record in pack["records"]] == expected["records"]
            assert (pack["lsid"], pack["checksum"]) == (expected["lsid"], expected["checksum"])


def test_parts_of_a_log_are_chosen(golden: Golden) -> None:
    path = golden("wlog/hand-fullpack-512.wlog")
    assert [line[:7] for line in done(wlog_show.TOOL, "-head", path).lines] == ["wlog_h:"]
    assert done(wlog_show.TOOL, "-stat", path).lines[0].startswith("bgnLsid")
    assert {line[:7] for line in done(wlog_show.TOOL, "-pack", path).lines} == {"wlog_p:", "wlog_r:"}
    assert done(wlog_show.TOOL, "-none", path).lines == []


def test_every_log_is_redone_to_the_same_image(golden: Golden, tmp_path: Path) -> None:
    count = 0
    for log in golden.expected["wlog"]:
        for redo in log["redo"]:
            if redo["image_size"] > 16 << 20 and redo["fill"] != "00":
                continue
            target = image(tmp_path / "image", redo["image_size"], redo["fill"])
            options = end_options(log) + (["-z"] if redo["discard"] == "zeroed" else [])
            ran = run(wlog_redo.TOOL, "-i", golden(log["file"]), *options, target)
            assert sha256(target) == redo["sha256"], (log["file"], redo)
            begin, end = redo["applied_lsid"]
            assert ran.lines[0] == f"Applied lsid range [{begin}, {end})"
            skipped = int(ran.lines[-1].split()[1])
            assert ran.status == (1 if skipped else 0)
            if "skipped_records" in redo:
                assert skipped == redo["skipped_records"]
            count += 1
    assert count > 80


def test_a_redo_without_checksums_applies_damaged_records(golden: Golden, tmp_path: Path) -> None:
    cases = {case["file"]: case for case in golden.expected["damaged"]["cases"]}
    case = cases["damaged/w512-data-flip.wlog"]
    reference = case["reference"]["wlog-redo -z -skipcsum"]
    target = image(tmp_path / "image", case["image_size"])
    ran = done(wlog_redo.TOOL, "-i", golden(case["file"]), "-z", "-skipcsum", target)
    assert sha256(target) == reference["sha256"]
    assert ran.lines[0] == "Applied lsid range [%u, %u)" % tuple(reference["applied_lsid"])
    for log in golden.expected["wlog"][:6]:
        redo = log["redo"][0]
        target = image(tmp_path / "image", redo["image_size"], redo["fill"])
        done(wlog_redo.TOOL, "-i", golden(log["file"]), *end_options(log), "-z", "-skipcsum", target)
        assert sha256(target) == redo["sha256"]


def test_every_ring_gives_the_same_log(golden: Golden, tmp_path: Path) -> None:
    count = 0
    for device in golden.expected["log_device"]:
        for cat in device["cat"]:
            out = tmp_path / "out"
            ran = run(wlog_cat.TOOL, "-o", out, *cat["options"].split(), golden(device["file"]))
            assert ran.status == 0
            assert (out.stat().st_size, sha256(out)) == (cat["size"], cat["sha256"]), (device["file"], cat["options"])
            is_cut = "torn-mid" in device["file"] and not cat["options"]
            assert (" INFO wlog-cat:data are wrong in the pack at lsid 98" in ran.err) == is_cut
            count += 1
    assert count >= 15 and left_over(tmp_path) == ["out"]


def test_a_range_that_ends_inside_a_pack_includes_it(golden: Golden, tmp_path: Path) -> None:
    def end_of(*options: object) -> str:
        done(wlog_cat.TOOL, "-o", tmp_path / "out", *options, golden("ldev/linear-512.img"))
        return done(wlog_show.TOOL, "-stat", tmp_path / "out").lines[2]

    assert end_of("-e", 98) == "reallyEndLsid 98"
    assert end_of("-e", 99) == "reallyEndLsid 175"
    assert end_of("-b", 98, "-e", 174) == "reallyEndLsid 175"
    assert end_of("-b", 98, "-e", 99, "-s") == "reallyEndLsid 175"
    assert "no lsid range" in failed(
        wlog_cat.TOOL, "-o", tmp_path / "x", "-b", 5, "-e", 5, golden("ldev/linear-512.img")
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear-512", ["--verify"]),
        ("wrapped-512", ["-d", "1721", "--verify"]),
        ("highlsid-512", ["-d", "2038007825"]),
        ("invalid-512", ["-i", "177"]),
        ("wrapped-4096", ["-d", "391", "--verify"]),
    ],
)
def test_a_log_is_restored_into_a_ring_as_by_the_reference(
    golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: list[str]
) -> None:
    pbs = name.rpartition("-")[2]
    ldev = tmp_path / "ldev"
    shutil.copy(golden(f"ldev/fresh-{pbs}.img"), ldev)
    give_input(monkeypatch, golden(f"ldev/src-{pbs}.wlog"))
    done(wlog_restore.TOOL, *options, ldev)
    assert ldev.read_bytes() == golden(f"ldev/{name}.img").read_bytes()


def give_input(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Makes a file the standard input of tools."""
    from walbd.tools import places

    dup = places.os.dup
    monkeypatch.setattr(places.os, "dup", lambda fd: places.os.open(path, places.os.O_RDONLY) if fd == 0 else dup(fd))


def test_a_restored_part_is_found_again(golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ldev, out = tmp_path / "ldev", tmp_path / "out"
    shutil.copy(golden("ldev/fresh-512.img"), ldev)
    give_input(monkeypatch, golden("ldev/src-512.wlog"))
    ran = done(wlog_restore.TOOL, "-b", 90, "-e", 200, "-d", "-50", ldev)
    assert ran.lines == ["Restored lsid range [48, 157)", "nrPacks 3"]
    done(wlog_cat.TOOL, "-o", out, ldev)
    shown = done(wlog_show.TOOL, "-validate", out).lines
    source = done(wlog_show.TOOL, golden("ldev/src-512.wlog")).lines
    assert [line.split()[-1] for line in shown if "wlog_r" in line] == [
        line.split()[-1] for line in source if "wlog_r" in line and 98 < int(line.split()[2]) < 208
    ]


def test_a_restore_with_a_size_leaves_out_records_behind_it(
    golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ldev = tmp_path / "ldev"
    shutil.copy(golden("ldev/fresh-512.img"), ldev)
    give_input(monkeypatch, golden("ldev/src-512.wlog"))
    ran = run(wlog_restore.TOOL, "-s", "1M", ldev)
    assert ran.status == 0 and "records do not lie on a device of that size: left out" in ran.err
    done(wlog_cat.TOOL, "-o", tmp_path / "out", ldev)
    target = image(tmp_path / "image", 1 << 20)
    done(wlog_redo.TOOL, "-z", "-i", tmp_path / "out", target)
    whole = image(tmp_path / "whole", 1 << 20)
    run(wlog_redo.TOOL, "-z", "-i", golden("ldev/src-512.wlog"), whole)
    assert target.read_bytes() == whole.read_bytes()
    assert "deviceSize: 2048" in done(wldev_info.TOOL, ldev).lines


def test_a_log_that_does_not_fit_leaves_an_empty_ring(
    golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ldev = tmp_path / "ldev"
    shutil.copy(golden("ldev/fresh-512.img"), ldev)
    give_input(monkeypatch, golden("wlog/gen-512.wlog"))
    assert done(wlog_restore.TOOL, ldev).lines[1] == "nrPacks 13"
    give_input(monkeypatch, golden("chain/all.wlog"))
    done(wlog_restore.TOOL, ldev)
    give_input(monkeypatch, golden("damaged/w512-data-flip.wlog"))
    assert "data" in failed(wlog_restore.TOOL, ldev)
    done(wlog_cat.TOOL, "-o", tmp_path / "out", ldev)
    assert "nrPacks 0" in done(wlog_show.TOOL, "-stat", tmp_path / "out").lines


def test_every_super_sector_is_shown(golden: Golden) -> None:
    for device in golden.expected["log_device"]:
        path = golden(device["file"])
        assert done(wldev_info.TOOL, path).lines == [f"{key}: {value}" for key, value in device["super"].items()]
        assert json.loads(done(wldev_info.TOOL, "--json", path).out) == device["super"]


def test_every_data_device_is_brought_up_to_its_log(golden: Golden, tmp_path: Path) -> None:
    count = 0
    for device in golden.expected["log_device"]:
        for redo in device["redo"]:
            if redo["discard"] != "zeroed" or redo["image_size"] < device["super"]["deviceSize"] * 512:
                continue
            ldev, ddev = tmp_path / "ldev", image(tmp_path / "ddev", redo["image_size"], redo["fill"])
            shutil.copy(golden(device["file"]), ldev)
            ran = run(wdev_redo.TOOL, "-z", ldev, ddev)
            assert ran.status == 0
            assert ran.lines[0] == "Applied lsid range [%u, %u)" % tuple(redo["applied_lsid"])
            assert sha256(ddev) == redo["sha256"]
            assert f"writtenLsid: {redo['super_after']['writtenLsid']}" in done(wldev_info.TOOL, ldev).lines
            count += 1
    assert count >= 8


# What a strict reader makes of each damaged log; the others are refused.
READABLE = {"w512-rec-offset-far", "w512-npad-wrong"}


def test_every_damaged_log_is_an_error(golden: Golden, tmp_path: Path) -> None:
    count = 0
    for case in golden.expected["damaged"]["cases"]:
        name = Path(case["file"]).stem
        if case["kind"] != "wlog" or name in READABLE:
            continue
        path, target = golden(case["file"]), image(tmp_path / "image", case["image_size"])
        if name != "w4096-term-flip":
            assert failed(wlog_redo.TOOL, "-z", "-i", path, target).startswith(str(path)), name
        ran = run(wlog_show.TOOL, "-validate", path)
        assert name == "w4096-term-flip" or ran.status == 1, name
        assert len(ran.err.splitlines()) == ran.status
        if case["verdict"] == "end":
            reference = case["reference"]["wlog-redo -z"]
            target = image(tmp_path / "image", case["image_size"])
            ran = done(wlog_redo.TOOL, "-noend", "-z", "-i", path, target)
            assert sha256(target) == reference["sha256"], name
        count += 1
    assert count > 25


def test_every_damaged_log_device_is_an_error(golden: Golden, tmp_path: Path) -> None:
    for case in golden.expected["damaged"]["cases"]:
        if case["kind"] != "log device":
            continue
        path = golden(case["file"])
        text = failed(wldev_info.TOOL, path)
        assert text.startswith(f"{path}: ") and "super sector: offset " in text
        assert failed(wlog_cat.TOOL, "-o", tmp_path / "out", path) == text
    assert left_over(tmp_path) == []

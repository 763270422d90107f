"""Tools as processes: pipes, standard input and output, exit statuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.golden_files import Golden
from tests.tools.tool_testing import image, sha256

BOUND_SEC = 60


def command(tool: str, *words: object) -> list[str]:
    module = f"walbd.tools.{tool.replace('-', '_')}"
    return [sys.executable, "-c", f"import sys, {module}; sys.exit({module}.main())", *map(str, words)]


def finish(tool: str, *words: object, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command(tool, *words), input=given, capture_output=True, timeout=BOUND_SEC, check=False)


def test_a_log_goes_through_pipes_from_the_device_to_the_image(golden: Golden, tmp_path: Path) -> None:
    """wlog-cat | wlog-to-wdiff | wdiff-redo; the status of each is that of success although pipes cannot be synced."""
    device = next(d for d in golden.expected["log_device"] if d["file"] == "ldev/wrapped-512.img")
    redo = device["redo"][0]
    target = image(tmp_path / "image", redo["image_size"], redo["fill"])
    commands = [
        command("wlog-cat", golden(device["file"])),
        command("wlog-to-wdiff"),
        command("wdiff-redo", "-z", target),
    ]
    running: list[subprocess.Popen[bytes]] = []
    for words in commands:
        source = running[-1].stdout if running else subprocess.DEVNULL
        running.append(subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        if len(running) > 1:
            running[-2].stdout.close()  # type: ignore[union-attr]
    for process in reversed(running):
        process.wait(BOUND_SEC)
        assert process.returncode == 0
    assert sha256(target) == redo["sha256"]


def test_the_output_of_wlog_cat_in_a_pipe_is_that_of_the_reference(golden: Golden) -> None:
    done = finish("wlog-cat", golden("ldev/wrapped-512.img"))
    assert done.stdout == golden("wlog/cat-wrapped-512.wlog").read_bytes()


def test_an_indexed_diff_is_read_from_a_pipe_and_from_a_redirected_file(golden: Golden, tmp_path: Path) -> None:
    path = golden("chain/00.indexed.wdiff")
    expected = finish("wdiff-show", "-csum", path).stdout
    assert finish("wdiff-show", "-csum", given=path.read_bytes()).stdout == expected
    with path.open("rb") as file:
        redirected = subprocess.run(command("wdiff-show", "-csum", "-"), stdin=file, capture_output=True, check=False)
    assert redirected.stdout == expected and redirected.returncode == 0
    merged = finish("wdiff-merge", "-i", "-", golden("chain/01.sorted.wdiff"), given=path.read_bytes())
    (tmp_path / "merged").write_bytes(merged.stdout)
    assert finish("wdiff-show", "-csum", "-norec", tmp_path / "merged").returncode == 0


def test_a_log_that_comes_in_small_pieces_is_read(golden: Golden, tmp_path: Path) -> None:
    log = next(log for log in golden.expected["wlog"] if log["file"] == "wlog/gen-512-rand.wlog")
    redo, content = log["redo"][0], golden(log["file"]).read_bytes()
    target = image(tmp_path / "image", redo["image_size"], redo["fill"])
    words = command("wlog-redo", "-z", target), command("wlog-show", "-none")
    for running in [subprocess.Popen(w, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for w in words]:
        assert running.stdin is not None
        for at in range(0, len(content), 1000):
            running.stdin.write(content[at : at + 1000])
            running.stdin.flush()
        running.communicate(timeout=BOUND_SEC)
        assert running.returncode == 0
    assert sha256(target) == redo["sha256"]


def test_damage_in_a_pipe_is_told_of_standard_input(golden: Golden) -> None:
    done = finish("wdiff-show", given=golden("damaged/s-trunc-noend.wdiff").read_bytes())
    assert done.returncode == 1 and b" ERROR wdiff-show:standard input: offset " in done.stderr
    done = finish("wlog-redo", os.devnull, given=golden("damaged/w512-trunc-head.wlog").read_bytes())
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"standard input" in done.stderr


def test_a_reader_that_goes_away_ends_the_tool_quietly(golden: Golden) -> None:
    process = subprocess.Popen(
        command("wlog-show", golden("wlog/gen-4096.wlog")), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.communicate(timeout=BOUND_SEC)[1] == b"" and process.returncode == 1


def test_standard_output_that_is_an_input_is_refused(golden: Golden, tmp_path: Path) -> None:
    path = tmp_path / "diff"
    path.write_bytes(golden("chain/00.sorted.wdiff").read_bytes())
    before = path.read_bytes()
    with path.open("ab") as file:
        words = command("wdiff-merge", "-i", path)
        done = subprocess.run(words, stdout=file, stderr=subprocess.PIPE, timeout=BOUND_SEC, check=False)
    assert done.returncode == 1 and b"is an input, too" in done.stderr and path.read_bytes() == before


def test_output_is_appended_where_the_shell_says_so(golden: Golden, tmp_path: Path) -> None:
    merged, base, path = [], golden("virt/base-1m.img"), golden("chain/00.sorted.wdiff")
    for mode in ("wb", "ab"):
        with (tmp_path / mode).open(mode) as file:
            for words in (["wdiff-merge", "-cmpr", "none:0:2", "-i", path], ["virt-full-cat", "-i", base]):
                run = subprocess.run(command(*words), stdout=file, timeout=BOUND_SEC, check=True)
                assert run.returncode == 0
        merged.append((tmp_path / mode).read_bytes())
    assert merged[0] == merged[1] and merged[0].endswith(base.read_bytes())


def test_hashes_of_standard_input_are_those_of_the_reference(golden: Golden) -> None:
    for case in golden.expected["siphash"]["cases"]:
        if case["input"] == "stdin":
            given = golden(case["file"]).read_bytes() if case["file"] else bytes.fromhex(case["input_hex"])
            done = finish("bhash", "-off", "512", given=given)
            if "whole" in case:
                assert done.stdout.decode().split() == [case["whole"]]
            else:
                assert done.returncode == 1 and b"no multiple of 512" in done.stderr

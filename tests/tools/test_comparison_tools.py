"""bdiff and bhash against the reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden_files import Golden
from tests.tools.tool_testing import done, failed, run
from walbd.tools import bdiff, bhash


def test_files_are_compared_as_by_the_reference(golden: Golden) -> None:
    for case in golden.expected["bdiff"]["cases"]:
        *options, a, b = case["args"].split()
        ran = run(bdiff.TOOL, *options, golden(a), golden(b))
        assert ran.out == case["stdout"] + "\n"
        # A difference in size is a difference, too.
        is_short = "c.bin" in case["args"]
        assert ran.status == (1 if is_short else case["exit"])
        assert (" bytes, " in ran.err) == is_short


def test_differing_blocks_are_listed_with_their_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(bytes(512) + b"ab" * 256)
    b.write_bytes(bytes(512) + b"ac" * 256)
    ran = run(bdiff.TOOL, "-v", "-l", "256", a, b)
    assert ran.status == 1
    assert ran.lines == ["block 1 differ", *["6162" * 128] * 2, *["6163" * 128] * 2, "1/2 differs"]
    assert "does not exist" in failed(bdiff.TOOL, a, tmp_path / "c")


def test_hashes_of_files_are_those_of_the_reference(golden: Golden, tmp_path: Path) -> None:
    count = 0
    for case in golden.expected["siphash"]["cases"]:
        if case["input"] == "stdin":
            continue
        path = golden(case["file"]) if case["file"] else tmp_path / "input"
        if not case["file"]:
            path.write_bytes(bytes.fromhex(case.get("input_hex", "")))
        options = [word for name, value in case["options"].items() for word in (f"-{name}", value)]
        lines = done(bhash.TOOL, *options, path).lines
        assert lines == ([case["whole"]] if "whole" in case else ["\t".join(pair) for pair in case["chunks"]]), case
        count += 1
    assert count > 12


@pytest.mark.parametrize(
    "words", [["-ios", "1000"], ["-ios", "0"], ["-chunk", "1000"], ["-off", "1"], ["-scan-sleep-pct", "100"]]
)
def test_options_that_do_not_fit_are_told(words: list[str], tmp_path: Path) -> None:
    ran = run(bhash.TOOL, *words, tmp_path)
    assert ran.status == 1 and ran.lines[0] == f"OptionError:bad value:{words[1]}" and ran.err == ""

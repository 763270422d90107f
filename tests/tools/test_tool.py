"""How a tool ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.tool_testing import failed, run
from walbd.model.error import Corrupted
from walbd.tools.places import new_output, open_input, open_target, seekable
from walbd.tools.tool import DONE, Tool
from walbd.world.command_line import Arguments, Option


def tool(action: Callable[[], int]) -> Tool:
    return Tool("tool", "", "Does something.", (), lambda _: action())


def raising(error: BaseException) -> Tool:
    def action() -> int:
        raise error

    return tool(action)


def test_the_status_is_that_of_the_run() -> None:
    assert run(tool(lambda: DONE)).status == 0
    assert run(tool(lambda: 1)).status == 1


def test_an_error_is_one_line_with_its_hint() -> None:
    assert failed(raising(Corrupted("bad\nfile", "look"))) == "bad\\nfile (hint: look)"
    assert failed(raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))) == (
        "input or output: No space left on device"
    )


def test_an_interruption_has_a_status_of_its_own() -> None:
    ran = run(raising(KeyboardInterrupt()))
    assert (ran.status, ran.err) == (130, "")


def test_a_list_takes_the_words_up_to_the_next_option() -> None:
    seen: list[Arguments] = []

    def keep(arguments: Arguments) -> int:
        seen.append(arguments)
        return DONE

    options = (Option("i", "FILE", "", is_list=True), Option("o", "FILE", ""))
    run(Tool("tool", "", "", options, keep), "-i", "a", "-", "-5", "-o", "b")
    assert seen[0].lists == {"i": ["a", "-", "-5"]} and seen[0].get("o") == "b"


@pytest.mark.parametrize("opening", [open_input, open_target, seekable])
def test_what_is_missing_or_a_folder_is_told(tmp_path: Path, opening: Callable[[str], object]) -> None:
    def open_it(name: Path) -> Tool:
        def action() -> int:
            with opening(str(name)):  # type: ignore[attr-defined]
                return DONE

        return tool(action)

    assert failed(open_it(tmp_path / "none")) == f"{tmp_path}/none does not exist"
    assert failed(open_it(tmp_path)).startswith(f"cannot open {tmp_path}: ")


def test_an_output_into_a_missing_folder_is_told(tmp_path: Path) -> None:
    def action() -> int:
        with new_output(str(tmp_path / "none" / "out"), []):
            return DONE

    assert "cannot create a file in" in failed(tool(action))

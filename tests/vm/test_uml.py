"""The harness itself: a failure inside is seen outside, and nothing is left running."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vm.uml import reason_to_skip, run_inside

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())]


def processes_naming(folder: Path) -> list[str]:
    """Command lines that mention a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended
        if str(folder) in line:
            found.append(line)
    return found


def test_the_exit_status_and_the_output_of_a_command_come_out(tmp_path: Path) -> None:
    result = run_inside(tmp_path, ["sh", "-c", "echo begun; exit 3"], limit_sec=60)
    assert (result.status, result.output) == (3, "begun\n")
    assert not processes_naming(tmp_path)


def test_a_command_that_hangs_is_ended_and_leaves_no_process(tmp_path: Path) -> None:
    result = run_inside(tmp_path, ["sh", "-c", "echo begun; sleep 1000"], limit_sec=15)
    assert (result.status, result.output) == (None, "begun\n")
    assert not processes_naming(tmp_path)

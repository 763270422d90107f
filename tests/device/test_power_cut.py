"""A power cut at any moment loses nothing that a flush or FUA has covered; what is there is a prefix of the writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """recorder.c, ready to be preloaded."""
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-pthread"]
    subprocess.run(["gcc", *options, HERE / "power" / "recorder.c", "-o", library, "-ldl"], check=True)
    return library


def cut_power(recorder: Path, seed: int, n_cuts: int, folder: Path, workload: str = "workload") -> None:
    command = [sys.executable, "-m", f"tests.device.power.{workload}", str(seed), str(n_cuts)]
    environment = {**os.environ, "LD_PRELOAD": str(recorder), "TMPDIR": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-4000:]}"
    assert done.stdout == f"{n_cuts} cuts\n"


@pytest.mark.parametrize("number", range(5))
def test_a_power_cut_leaves_a_prefix_with_all_that_was_covered(
    recorder: Path, number: int, tmp_path: Path, seed: int
) -> None:
    cut_power(recorder, 5 * seed + number, 40, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(1000, 1050))
def test_many_power_cuts_leave_a_prefix_with_all_that_was_covered(recorder: Path, number: int, tmp_path: Path) -> None:
    cut_power(recorder, number, 200, tmp_path)


def test_a_power_cut_loses_nothing_of_any_client_that_a_flush_of_another_has_covered(
    recorder: Path, tmp_path: Path, seed: int
) -> None:
    cut_power(recorder, seed, 40, tmp_path, "clients")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(1000, 1025))
def test_many_power_cuts_lose_nothing_of_any_client_that_a_flush_of_another_has_covered(
    recorder: Path, number: int, tmp_path: Path
) -> None:
    cut_power(recorder, number, 200, tmp_path, "clients")

"""The C core under AddressSanitizer and UndefinedBehaviorSanitizer, with changed copies of its corpus."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.long
@pytest.mark.timeout(600)
def test_damaged_input_never_touches_memory_it_must_not(tmp_path: Path) -> None:
    run = subprocess.run(
        ["make", "-C", str(ROOT / "native"), "asan", f"BUILD={tmp_path}", "ROUNDS=3000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr

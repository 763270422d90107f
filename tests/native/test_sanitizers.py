"""The C core under AddressSanitizer and UndefinedBehaviorSanitizer: the corpus and changed copies of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "native" / "fuzz" / "corpus"
DRIVERS = sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "native" / "fuzz").glob("fuzz_*.c"))
MAX_CORPUS_BYTES = 300 << 10
ROUNDS = 3000 if os.environ.get("WALB_LONG") else 30


def has_sanitizers(folder: Path) -> bool:
    """Whether gcc links a program with them here."""
    source = folder / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    command = ["gcc", "-fsanitize=address,undefined", str(source), "-o", str(folder / "empty")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.timeout(600)
def test_no_input_makes_the_core_touch_memory_it_must_not(tmp_path: Path) -> None:
    if not has_sanitizers(tmp_path):
        pytest.skip("gcc has no libasan and libubsan here")
    command = ["make", "-C", str(ROOT / "native"), "-j2", "asan", f"ROUNDS={ROUNDS}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    for name in DRIVERS:
        assert f"fuzz_{name}: {len(list((CORPUS / name).iterdir()))} files" in run.stdout


def test_the_seeds_are_what_our_writers_make_now(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / "fuzz_corpus.py"), str(tmp_path)], check=True)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("seed-*")}
    kept = {path.relative_to(CORPUS): path.read_bytes() for path in CORPUS.rglob("seed-*")}
    assert made == kept, "run scripts/fuzz_corpus.py"


def test_the_corpus_is_small_and_every_driver_has_one() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == DRIVERS
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) <= MAX_CORPUS_BYTES

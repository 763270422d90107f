"""Installations of a test's own, and what they consist of."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from installation.environment import finish_environment
from installation.install import install
from installation.place import Place

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SEC = 600


def borrow_environment(folder: Path, final: Path, source: Path) -> None:
    """A virtual environment that has what this process has: nothing is built and nothing asked from a package index."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    paths = [str(source), *(path for path in sys.path if path.endswith("site-packages"))]
    (site / "borrowed.pth").write_text("\n".join(paths) + "\n")
    finish_environment(folder, final)


def install_quickly(place: Place) -> None:
    """An installation over a borrowed environment."""
    install(place, ROOT, borrow_environment)


def contents(folder: Path) -> set[str]:
    """Every file and folder below."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def files_naming(folder: Path, text: str) -> Iterator[str]:
    """Files (not links) whose bytes contain the text."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
            yield str(path.relative_to(folder))


def make(*words: str, python: str = sys.executable) -> str:
    """Runs make in the project as an operator does; returns what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        ["make", *words, f"PYTHON={python}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SEC,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

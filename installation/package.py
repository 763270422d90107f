"""`make package`: an sdist, a wheel made from it, and a Debian package, in build/dist."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copy, which

from installation.debian import SYSTEM_PYTHON, make_debian_package
from installation.environment import copy_source, run
from installation.failure import Failure


def make_packages(source: Path, target: Path) -> Iterator[Path]:
    """Makes them and yields their paths; the Debian package only where Debian's tools and Python are. Raises Failure
    when there is nothing to make it with."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("walb[-_]*"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="walb-build-") as folder:
        place = Path(folder)
        tree = copy_source(source, place / "walb")
        run(SYSTEM_PYTHON if which(SYSTEM_PYTHON) else "python3", "-m", "venv", place / "tools")
        python = place / "tools" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "build")
        # The wheel is made from the sdist: one that lacks a file makes no wheel.
        run(python, "-m", "build", "--outdir", place / "dist", tree)
        for made in sorted((place / "dist").iterdir()):
            yield Path(copy(made, target))
        if not which("dpkg-deb") or not which(SYSTEM_PYTHON):
            raise Failure(f"no Debian package: dpkg-deb and {SYSTEM_PYTHON} are needed for it")
        yield make_debian_package(tree, place / "debian", target)

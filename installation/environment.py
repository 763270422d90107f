"""The private virtual environment: Python, the project with its C core, and what it depends on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# What a build leaves behind, and what is no source.
NOT_SOURCE = (".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "*.so", "*.o")
_ENVIRONMENT = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def make_environment(folder: Path, final: Path, source: Path, python: str = sys.executable) -> None:
    """Makes it in a folder; `final` is the path it will be moved to. Nothing is written to the source."""
    run(python, "-m", "venv", folder)
    own = folder / "bin" / "python"
    with tempfile.TemporaryDirectory(prefix="walb-build-") as build:
        # setuptools builds beside its source, which belongs to somebody who is not root.
        copy = copy_source(source, Path(build) / "walb")
        run(own, "-m", "pip", "install", "--quiet", "--no-compile", *_cache_options(), copy)
    run(own, "-m", "pip", "uninstall", "--quiet", "--yes", "pip", "setuptools")
    finish_environment(folder, final)


def finish_environment(folder: Path, final: Path) -> None:
    """Leaves no path of the folder in it, and compiles its modules."""
    for path in (folder / "bin").iterdir():
        if not path.name.startswith("python"):
            path.unlink()  # scripts for activation, and commands: ours lie in PREFIX/bin
    shutil.rmtree(folder / "include", ignore_errors=True)
    for path in folder.glob("lib/python*/site-packages/walb-*.dist-info/direct_url.json"):
        path.unlink()  # names the temporary folder of the build
    config = folder / "pyvenv.cfg"
    lines = [line for line in config.read_text().splitlines() if not line.startswith("command")]
    config.write_text("\n".join(lines) + "\n")
    run(folder / "bin" / "python", "-m", "compileall", "-q", "-j", "0", "-s", folder, "-p", final, folder / "lib")


def copy_source(source: Path, copy: Path) -> Path:
    """The source without what was built in it."""
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*NOT_SOURCE), symlinks=True)
    (copy / "walbd" / "_core.c").unlink(missing_ok=True)
    return copy


def run(*words: object) -> None:
    """Runs a program; raises CalledProcessError when it fails."""
    subprocess.run([str(word) for word in words], check=True, env=_ENVIRONMENT)


def _cache_options() -> list[str]:
    """Without a home of its own (sudo), pip would warn about its cache."""
    home = Path.home()
    return [] if home.exists() and home.stat().st_uid == os.geteuid() else ["--no-cache-dir"]

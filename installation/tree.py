"""Which files an installation has besides its environment, and what is in them."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from installation.place import Place

HERE = Path(__file__).resolve().parent
UNITS = Path("lib/systemd/system")
DOCUMENTS = Path("share/doc/walb")
# Where each shell looks by itself; Debian's zsh looks elsewhere for packages.
COMPLETIONS = {
    "bash": Path("share/bash-completion/completions/walbc"),
    "zsh": Path("share/zsh/site-functions/_walbc"),
    "fish": Path("share/fish/vendor_completions.d/walbc.fish"),
}
DEBIAN_ZSH = Path("share/zsh/vendor-completions/_walbc")
LAUNCHER = """\
{shebang}
import sys
from {module} import {function}
sys.exit({function}())
"""


@dataclass(frozen=True)
class InstalledFile:
    """One file; its path counts from PREFIX."""

    path: Path
    content: bytes
    mode: int = 0o644


def installed_files(place: Place, source: Path, environment: Path) -> Iterator[InstalledFile]:
    """All of them; `environment` is where the environment lies at the moment."""
    yield from _launchers(place, source)
    for folder, target in (("systemd", UNITS), ("examples", DOCUMENTS / "examples")):
        for path in sorted((HERE / folder).iterdir()):
            yield InstalledFile(target / path.name, _with_prefix(path.read_text(), place).encode())
    for path in sorted((source / "docs").rglob("*.md")):
        yield InstalledFile(DOCUMENTS / path.relative_to(source), path.read_bytes())
    for name in ("README.md", "LICENSE"):
        yield InstalledFile(DOCUMENTS / name, (source / name).read_bytes())
    for path in sorted((source / "docs" / "man").glob("*.[157]")):
        yield InstalledFile(Path(f"share/man/man{path.suffix[1:]}") / path.name, path.read_bytes())
    for shell, path in COMPLETIONS.items():
        yield InstalledFile(path, _completion(shell, environment))


def _launchers(place: Place, source: Path) -> Iterator[InstalledFile]:
    scripts = tomllib.loads((source / "pyproject.toml").read_text())["project"]["scripts"]
    for name, entry in scripts.items():
        module, function = entry.split(":")
        text = LAUNCHER.format(shebang=place.shebang, module=module, function=function)
        yield InstalledFile(Path("bin") / name, text.encode(), 0o755)


def _with_prefix(text: str, place: Place) -> str:
    return text.replace("@PREFIX@", str(place.prefix))


def _completion(shell: str, environment: Path) -> bytes:
    command = [str(environment / "bin" / "python"), "-I", "-m", "walbc", "completion", shell]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout

"""The Debian package: the private environment of the system's Python below /usr/lib/walb, everything else as by
`make install PREFIX=/usr`. It fits the release whose Python it was made with."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from installation.environment import make_environment, run
from installation.install import write_file
from installation.place import ENVIRONMENT, Place
from installation.tree import COMPLETIONS, DEBIAN_ZSH, installed_files

SYSTEM_PYTHON = "/usr/bin/python3"
PREFIX = Path("/usr")
CONTROL = """\
Package: walb
Version: {version}
Architecture: {architecture}
Maintainer: WalB project <walb@localhost>
Installed-Size: {size_kib}
Depends: python3 (>= {python}), python3 (<< {next_python}), libc6 (>= {libc})
Recommends: lvm2, {lvm_library}, kmod
Section: admin
Priority: optional
Description: continuous backup and replication of block devices
 Every write to a walb device goes to a log first. The log is shipped to a
 proxy, becomes a sorted diff there, and is kept by an archive beside a full
 image: any snapshot can be restored.
"""
# liblvm2cmd makes LVM fast for the archive; without it, the lvm program is used.
LVM_LIBRARY = "liblvm2cmd2.03"
SCRIPTS = {
    "postinst": "systemctl daemon-reload",
    "prerm": "[ \"$1\" != remove ] || systemctl stop 'walb-*.service'",
    "postrm": "systemctl daemon-reload",
}
SCRIPT = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    {command}
fi
"""


def make_debian_package(source: Path, root: Path, target: Path) -> Path:
    """Makes the tree in a new folder, and the package of it in the target folder."""
    place = Place.of_options(str(PREFIX), str(root))
    place.environment.parent.mkdir(parents=True)
    make_environment(place.environment, PREFIX / ENVIRONMENT, source, SYSTEM_PYTHON)
    for file in installed_files(place, source, place.environment):
        path = place.root / (DEBIAN_ZSH if file.path == COMPLETIONS["zsh"] else file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, file)
    _write_control(root, _version(source))
    architecture = _output("dpkg", "--print-architecture")
    package = target / f"walb_{_version(source)}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "--build", root, package)
    return package


def _write_control(root: Path, version: str) -> None:
    size_kib = sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir()) // 1024
    major, minor = _output(SYSTEM_PYTHON, "-c", "import sys; print(*sys.version_info[:2])").split()
    folder = root / "DEBIAN"
    folder.mkdir()
    text = CONTROL.format(
        version=version,
        architecture=_output("dpkg", "--print-architecture"),
        size_kib=size_kib,
        python=f"{major}.{minor}",
        next_python=f"{major}.{int(minor) + 1}",
        libc=_output("getconf", "GNU_LIBC_VERSION").split()[1],
        lvm_library=LVM_LIBRARY,
    )
    (folder / "control").write_text(text)
    for name, command in SCRIPTS.items():
        (folder / name).write_text(SCRIPT.format(command=command))
        (folder / name).chmod(0o755)


def _version(source: Path) -> str:
    """As Debian sorts it: 2.0.0a1 comes before 2.0.0."""
    text = (source / "walbd" / "version.py").read_text()
    version = re.findall(r'^VERSION\b.*"(.*)"', text, re.MULTILINE)[0]
    return re.sub(r"(\d)(a|b|rc)", r"\1~\2", version)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

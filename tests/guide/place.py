"""Where a page is played: a temporary folder and free ports stand for the names that the page uses."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from demo.group import BIN, free_port, sanitized_environment

PORTS = [f"{kind}{number}" for kind in ("100", "101", "102") for number in ("00", "01", "02")]
FOLDERS = {"/var/walb": "var", "/run/walb": "run", "/etc/walb": "etc", "/root": "root"}
STAND_INS = Path(__file__).resolve().parent / "stand_ins"


class Place:
    """Translates between the page and this machine. Made anew for each page; remove() at the end."""

    def __init__(self) -> None:
        # Short: the paths of Unix sockets are limited.
        self.folder = Path(tempfile.mkdtemp(prefix="walb-g-"))
        for name in FOLDERS.values():
            (self.folder / name).mkdir()
        ports: set[int] = set()
        while len(ports) < len(PORTS):
            ports.add(free_port())
        self.ports = dict(zip(PORTS, map(str, sorted(ports)), strict=True))
        self._to_real = {page: str(self.folder / name) for page, name in FOLDERS.items()}
        self._to_real["/usr/local/bin"] = str(BIN)

    def real(self, text: str) -> str:
        """What the page says, for this machine."""
        return _replace(_replace(text, self._to_real, r"(?<![\w.])({})(?![\w-])"), self.ports, r"(?<![\d.])({})(?!\d)")

    def shown(self, text: str) -> str:
        """What a program said, in the words of the page."""
        ports = {value: key for key, value in self.ports.items()}
        paths = {value: key for key, value in self._to_real.items()}
        return _replace(_replace(text, paths, r"({})(?![\w-])"), ports, r"(?<![\d.])({})(?!\d)")

    def environment(self) -> dict[str, str]:
        """The environment of the reader's shell."""
        base = sanitized_environment()
        stand_ins = "" if shutil.which("nbdcopy") else f":{STAND_INS}"
        return {
            "PATH": f"{BIN}:{base['PATH']}{stand_ins}",
            "HOME": self.real("/root"),
            "TMPDIR": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "WALBC_CONFIG": self.real("/etc/walb/servers.toml"),
            "WALB_SOCKET_DIR": self.real("/run/walb"),
        }

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _replace(text: str, words: Mapping[str, str], form: str) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return re.sub(form.format("|".join(map(re.escape, longest_first))), lambda found: words[found.group(1)], text)

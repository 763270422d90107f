"""Command lines of each kind of service, over empty folders of a test."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from demo.group import BIN, HOST
from walbc.worker.main import main as worker_main
from walbd.archive.main import main as archive_main
from walbd.device.main import main as device_main
from walbd.proxy.main import main as proxy_main
from walbd.storage.main import main as storage_main
from walbd.wlog.format_ldev import format_ldev

MAINS: dict[str, Callable[[], int | None]] = {
    "walb-storage": storage_main,
    "walb-proxy": proxy_main,
    "walb-archive": archive_main,
    "walb-device": device_main,
    "walb-worker": worker_main,
}
DAEMONS = ("storage", "proxy", "archive")
KINDS = (*DAEMONS, "device", "worker")
POLICY = """\
general: {{addr: 127.0.0.1, port: {port}, walbc_path: {walbc}}}
apply: {{keep_period: 14d}}
merge: {{interval: 1h}}
"""


class Services:
    """What is needed to start one service of each kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for kind in ("storage", "proxy", "archive"):
            (folder / kind).mkdir()
        self.policy = folder / "policy.yaml"
        self.write_policy(1)
        self.ldev, self.ddev = folder / "ldev", folder / "ddev"
        for path in (self.ldev, self.ddev):
            with open(path, "wb") as file:
                file.truncate(1 << 20)
        fd = os.open(self.ldev, os.O_RDWR)
        format_ldev(fd, 2048, "vol", pbs=512)
        os.close(fd)

    def write_policy(self, port: int) -> None:
        """Right, except that nobody may answer there."""
        self.policy.write_text(POLICY.format(port=port, walbc=BIN / "walbc"))

    def command(self, kind: str, *more: str) -> list[str]:
        """The command line of a kind, on a free port."""
        program = str(BIN / f"walb-{kind}")
        if kind == "worker":
            return [program, "-f", str(self.policy), *more]
        if kind == "device":
            paths = ["-ldev", str(self.ldev), "-ddev", str(self.ddev), "-s", str(self.folder / "run")]
            return [program, "-n", "vol", *paths, *more]
        peers = ["-archive", f"{HOST}:1", "-proxy", f"{HOST}:2"] if kind == "storage" else []
        return [program, "-b", str(self.folder / kind), "-p", "0", "-bind", HOST, "-id", "n0", *peers, *more]


def run_here(command: list[str]) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a program, run in this process: starting Python takes longer than the rest."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        try:
            status = MAINS[Path(command[0]).name]() or 0
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def services() -> Iterator[Services]:
    """In a folder with a short path: Unix sockets need that."""
    folder = Path(tempfile.mkdtemp(prefix="walb-t-"))
    yield Services(folder)
    shutil.rmtree(folder)

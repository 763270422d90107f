"""A walb device attached to the kernel, for tests inside User Mode Linux."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.device.walb_devices import Pair, Server
from tests.vm.inside.disks import run

# A request that was in flight when the server died is sent again after this.
TIMEOUT_SEC = 2


def wdevc(folder: Path, *words: str | Path) -> str:
    """Runs wdevc on the sockets in a folder; fails the test when it fails."""
    return run(sys.executable, "-m", "walbd.device.wdevc", *words, "-s", folder)


def attach(pair: Pair) -> str:
    """Attaches the device `vol`, with a short time-out; returns /dev/nbdN."""
    return wdevc(pair.folder, "attach", "vol", "-timeout", str(TIMEOUT_SEC)).strip()


@contextmanager
def mounted(device: str | Path, folder: Path) -> Iterator[Path]:
    """Mounts a file system for a while."""
    folder.mkdir(exist_ok=True)
    run("mount", device, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def check_ext4(device: str | Path) -> None:
    """Fails the test unless e2fsck finds the file system clean."""
    run("e2fsck", "-f", "-n", device)


def restarted(server: Server) -> Server:
    """Kills a server and starts the next one; returns when it serves."""
    server.kill()
    return Server(server.pair).wait_ready()

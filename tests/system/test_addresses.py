"""Peers that are named by host name move to other addresses; nobody who talks to them is restarted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.group import HOST
from tests.system.backup_group import RelayedGroup

HOSTS = Path("/etc/hosts")
ELSEWHERE = "127.0.0.2"
# A mount namespace of their own, where /etc/hosts is the test's.
IN_NAMESPACE = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"']


def can_have_own_hosts() -> bool:
    if os.geteuid() or shutil.which("unshare") is None:
        return False
    command = [*IN_NAMESPACE, str(HOSTS), "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not can_have_own_hosts(), reason="no mount namespace can be made (it needs root)"),
]


class NamedGroup:
    """A group whose storage and proxy know their peers as archive.walb and proxy.walb."""

    def __init__(self, group: RelayedGroup, hosts: Path) -> None:
        self.group = group
        self._hosts = hosts
        self._addresses = {"archive": HOST, "proxy": HOST}
        self._tell()
        # The last occurrence of an option wins.
        group.storage.command += ["-archive", f"archive.walb:{group.archive_port}"]
        group.storage.command += ["-proxy", f"proxy.walb:{group.proxy_port}"]
        for server in (group.storage, group.proxy):
            server.command[:0] = [*IN_NAMESPACE, str(hosts)]

    def _tell(self) -> None:
        # In place, because it is mounted.
        self._hosts.write_text("".join(f"{address} {name}.walb\n" for name, address in self._addresses.items()))

    def move(self, kind: str) -> None:
        """Starts a server anew at another address, with the same port and base directory."""
        server = getattr(self.group, kind)
        assert server.stop() == 0
        server.host = self._addresses[kind] = ELSEWHERE
        server.command[server.command.index("-bind") + 1] = ELSEWHERE
        self._tell()
        self.group.restart(server)


def test_an_archive_and_a_proxy_are_found_at_their_new_addresses(
    make_group: Callable[..., RelayedGroup], folder: Path
) -> None:
    group = make_group()
    named = NamedGroup(group, folder / "hosts")
    group.start()
    volume = group.volume(seed=51)
    group.walbc(group.proxy, "stop", volume.name, "--wait")
    group.walbc(group.proxy, "archive-info", "update", volume.name, "a0", f"archive.walb:{group.archive_port}")
    group.walbc(group.proxy, "start", volume.name)
    volume.write(256 << 10)
    volume.back_up()
    for kind in ("archive", "proxy"):
        named.move(kind)
        volume.write(256 << 10)
        volume.snapshot()
        volume.check_snapshots()
    # A backup, which only the storage and the archive are part of, finds it too.
    group.walbc(group.storage, "stop", volume.name, "--wait")
    group.walbc(group.storage, "reset-vol", volume.name)
    volume.write(256 << 10)
    group.walbc(group.storage, "hash-bkp", volume.name, "--wait")
    volume.snapshot()
    volume.check_snapshots()

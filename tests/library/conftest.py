"""A group of real daemons on loopback, driven by the library: s0, p0, a0 and a second archive a1."""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import walblib
from demo.group import BIN, HOST, Group, Server, free_port
from walbd.device.nbd_client import NbdClient

MIB = 1 << 20
FAST = ["-delay", "0", "-maxdelay", "1"]
LIMIT_SEC = 60


@pytest.fixture(scope="session")
def group() -> Iterator[Group]:
    folder = Path(tempfile.mkdtemp(prefix="walb-t-"))
    # What `exec` runs inherits it: wdevc then finds the devices.
    os.environ["WALB_SOCKET_DIR"] = str(folder / "run")
    group = Group(
        folder, folder / "run", {"storage": [*FAST, "-allow-exec"], "proxy": FAST, "archive": ["-allow-exec"]}
    )
    second = _second_archive(group)
    try:
        group.start()
        second.start()
        second.wait_ready()
        yield group
    finally:
        group.stop()
        if second.is_running():
            second.stop()
        del os.environ["WALB_SOCKET_DIR"]
        shutil.rmtree(folder, ignore_errors=True)


def _second_archive(group: Group) -> Server:
    port = free_port()
    (group.folder / "archive1").mkdir(parents=True)
    options = ["-b", str(group.folder / "archive1"), "-p", str(port), "-bind", HOST, "-id", "a1"]
    server = Server([str(BIN / "walb-archive"), *options], group.folder / "a1.out", port=port)
    group.second_archive = server  # type: ignore[attr-defined]
    return server


@dataclass
class Site:
    """What an operator's configuration file defines, and one volume with its device."""

    s0: walblib.ServerStartupParam
    p0: walblib.ServerStartupParam
    a0: walblib.ServerStartupParam
    a1: walblib.ServerStartupParam
    walbc: walblib.Controller
    wdev: walblib.Device
    vol: str
    nbd_path: Path

    def write(self, data: bytes, offset: int = 0) -> None:
        """Writes to the device and flushes."""
        nbd = NbdClient(self.nbd_path)
        nbd.write(offset, data)
        nbd.flush()
        nbd.close()

    def restored(self, ax: walblib.ServerStartupParam, gid: int) -> bytes:
        """The content of a snapshot at an archive."""
        self.walbc.restore(ax, self.vol, gid)
        content = Path(self.walbc.get_restored_path(ax, self.vol, gid)).read_bytes()
        self.walbc.del_restored(ax, self.vol, gid)
        return content


@pytest.fixture
def site(group: Group, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A new volume, registered nowhere; its device runs."""
    servers = [
        walblib.ServerStartupParam(walblib.ServerConnectionParam(name, HOST, port, kind), f"{BIN}/", str(group.folder))
        for name, port, kind in (
            ("s0", group.storage_port, walblib.K_STORAGE),
            ("p0", group.proxy_port, walblib.K_PROXY),
            ("a0", group.archive_port, walblib.K_ARCHIVE),
            ("a1", group.second_archive.port, walblib.K_ARCHIVE),  # type: ignore[attr-defined]
        )
    ]
    s0, p0, a0, a1 = servers
    walbc = walblib.Controller(str(BIN / "walbc"), walblib.ServerLayout([s0], [p0], [a0, a1]))
    walbc.default_timeout_sec = LIMIT_SEC
    name = f"v{len(walbc.get_vol_list(s0))}-{zlib.crc32(request.node.name.encode())}"
    paths = [str(group.folder / f"{name}.{suffix}") for suffix in ("ldev", "ddev")]
    for path, size in zip(paths, (8 * MIB, 4 * MIB), strict=True):
        with open(path, "wb") as file:
            file.truncate(size)
    run_command = walbc.get_run_remote_command(s0)
    wdev = walblib.Device(name, *paths, str(BIN / "wdevc"), run_command, user=True)
    wdev.format_ldev()
    wdev.create()
    site = Site(s0, p0, a0, a1, walbc, wdev, name, group.nbd_socket(name))
    yield site
    for server in servers:
        walbc.clear(server, name)
    wdev.delete()


@pytest.fixture
def target(site: Site) -> Site:
    """A volume that was backed up and is being shipped."""
    site.walbc.init_storage(site.s0, site.vol, site.wdev.path)
    site.write(b"first" * 1000 + bytes(120))
    site.walbc.full_backup(site.s0, site.vol)
    return site

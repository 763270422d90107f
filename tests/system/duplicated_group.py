"""The all-duplicated layout: two storages under one mirrored device, two proxies, two archives."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from demo.group import HOST, Server, free_port, wait_until
from tests.system.backup_group import MIB, BackedUpVolume, RelayedGroup, check_same
from walbd.device.nbd_client import NbdClient


class DuplicatedGroup(RelayedGroup):
    """A RelayedGroup with s1, p1 and a1 beside s0, p0 and a0. p0 is the preferred proxy of both storages."""

    def __init__(self, folder: Path, socket_dir: Path, options: dict[str, list[str]] | None = None) -> None:
        super().__init__(folder, socket_dir, options)
        self._others: list[Server] = []
        self.proxy1 = self.another("proxy", "p1")
        self.archive1 = self.another("archive", "a1")
        self.storage1 = self.another("storage", "s1", ["-s", str(socket_dir)])
        for storage in (self.storage, self.storage1):
            self.set_peers(storage, self.to_archive.port, self.to_proxy.port, self.proxy1.port)

    def another(self, kind: str, node_id: str, more: list[str] | None = None) -> Server:
        """One more server, with a base directory named after the number in its id; not started."""
        server = self._server(kind, node_id, free_port(), more or [])
        base = self.folder / f"{kind}{node_id[1:]}"
        base.mkdir()
        server.command[server.command.index("-b") + 1] = str(base)
        self._others.append(server)
        return server

    @staticmethod
    def set_peers(storage: Server, archive_port: int, *proxy_ports: int) -> None:
        """A storage's primary archive and its proxies, the preferred one first, from its next start on."""
        # The last occurrence of an option wins.
        storage.command += ["-archive", f"{HOST}:{archive_port}"]
        storage.command += ["-proxy", ",".join(f"{HOST}:{port}" for port in proxy_ports)]

    @property
    def servers(self) -> tuple[Server, ...]:
        """All six."""
        return self.storage, self.storage1, self.proxy, self.proxy1, self.archive, self.archive1

    @property
    def proxies(self) -> tuple[Server, ...]:
        """Both."""
        return self.proxy, self.proxy1

    def start(self) -> None:
        """All six, in any order."""
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait_ready()

    def stop(self) -> None:
        for server in self._others:
            if server.is_running():
                server.stop()
        super().stop()


class MirroredNbd:
    """What an md RAID1 over two walb devices does: writes go to both, reads come from the first."""

    def __init__(self, *paths: Path) -> None:
        self.sides = [NbdClient(path) for path in paths]

    def write(self, offset: int, data: bytes, *, fua: bool = False) -> None:
        """Acknowledged by both."""
        for side in self.sides:
            side.write(offset, data, fua=fua)

    def flush(self) -> None:
        """Of both."""
        for side in self.sides:
            side.flush()

    def trim(self, offset: int, length: int) -> None:
        """On both."""
        for side in self.sides:
            side.trim(offset, length)

    def read(self, offset: int, length: int) -> bytes:
        """Both must have the same."""
        first, second = (side.read(offset, length) for side in self.sides)
        check_same(first, second, "the two sides of the mirror")
        return first

    def close(self) -> None:
        """Leaves both."""
        for side in self.sides:
            side.close()


@dataclass
class MirroredVolume(BackedUpVolume):
    """A volume with a device at each storage; `active` is the storage that is its Target."""

    group: DuplicatedGroup
    active: Server = field(init=False)
    _mirror: MirroredNbd | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.active = self.group.storage

    @property
    def nbd(self) -> MirroredNbd:  # type: ignore[override]
        """The mirror."""
        if self._mirror is None:
            self._mirror = MirroredNbd(*(self.group.nbd_socket(name) for name in self.devices))
        return self._mirror

    @property
    def devices(self) -> tuple[str, str]:
        return f"{self.device}-0", f"{self.device}-1"

    @property
    def passive(self) -> Server:
        """The other storage."""
        return self.group.storage1 if self.active is self.group.storage else self.group.storage

    def disconnect(self) -> None:
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    def create(self) -> None:
        """Devices; Standby at both storages, no archive at the proxies yet."""
        group = self.group
        self.create_devices()
        for storage, device in zip((group.storage, group.storage1), self.devices, strict=True):
            group.walbc(storage, "init-vol", self.name, device)
            group.walbc(storage, "start", self.name, "standby")
        group.walbc(group.archive, "init-vol", self.name)
        for proxy in group.proxies:
            group.walbc(proxy, "archive-info", "add", self.name, "a0", f"{HOST}:{group.from_proxy.port}")
            group.walbc(proxy, "start", self.name)

    def create_devices(self) -> None:
        """Both sides, of zeros; known to no server."""
        self.content = bytearray(self.size_bytes)
        for device in self.devices:
            self.group.create_device(device, self.size_bytes, self.log_bytes)

    def back_up(self) -> None:
        """Standby -> SyncReady -> Target at the active storage."""
        self.group.walbc(self.active, "stop", self.name, "--wait")
        self.group.walbc(self.active, "full-bkp", self.name, "--wait")

    def switch(self) -> None:
        """The operator's steps to make the other storage the Target."""
        group, old, new = self.group, self.active, self.passive
        group.walbc(old, "stop", self.name, "force", "--wait")
        group.walbc(old, "reset-vol", self.name)
        group.walbc(old, "start", self.name, "standby")
        group.walbc(new, "stop", self.name, "--wait")
        group.walbc(new, "hash-bkp", self.name, "--wait")
        self.active = new

    def synchronize(self) -> None:
        """The second archive takes the first one's history over and is a destination from now on. As nothing may be
        lost in between, the storage keeps what comes meanwhile. To be done again after a hash backup, which only the
        primary archive gets."""
        group = self.group
        for proxy in group.proxies:
            group.walbc(proxy, "stop", self.name, "empty", "--wait")
            group.walbc(proxy, "archive-info", "update", self.name, "a1", f"{HOST}:{group.archive1.port}")
        group.walbc(group.archive, "stop", self.name, "--wait")
        group.archive1.stop()
        copy = group.folder / "archive1" / self.name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(group.folder / "archive" / self.name, copy)
        group.restart(group.archive1)
        for archive in (group.archive, group.archive1):
            group.walbc(archive, "start", self.name)
        for proxy in group.proxies:
            group.walbc(proxy, "start", self.name)
        group.walbc(self.active, "kick")

    def snapshot(self) -> int:
        gid = int(self.group.walbc(self.active, "snapshot", self.name))
        self.snapshots[gid] = bytes(self.content)
        return gid

    def is_at(self, archive: Server, gid: int) -> bool:
        """Whether an archive can restore the snapshot."""
        lines = self.group.walbc(archive, "get", "restorable", self.name, "all").splitlines()
        return gid in {int(line.split()[0]) for line in lines}

    def check_at(self, archive: Server, gid: int) -> None:
        """A snapshot arrives at an archive, and is restored there as it was."""
        group = self.group
        wait_until(lambda: self.is_at(archive, gid), 30, f"gid {gid} of {self.name} at {archive.port}")
        group.walbc(archive, "restore", self.name, gid, "--wait")
        path = Path(group.walbc(archive, "get", "restored-path", self.name, gid).strip())
        check_same(path.read_bytes(), self.snapshots[gid], f"{self.name} gid {gid}")
        group.walbc(archive, "del-restored", self.name, gid)


SIZES = {"size_bytes": 4 * MIB, "log_bytes": 32 * MIB}

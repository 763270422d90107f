"""A duplicated group as an operator has it: the library's Controller, and a volume with writes going on."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import walblib
from demo.group import BIN, HOST, Server, wait_until
from tests.system.duplicated_group import SIZES, DuplicatedGroup, MirroredVolume
from tests.system.writer import Writer

LIMIT_SEC = 60
NUMBERS = itertools.count(1)
KINDS = {"s": walblib.K_STORAGE, "p": walblib.K_PROXY, "a": walblib.K_ARCHIVE}


def base_of(server: Server) -> Path:
    """Its base directory."""
    return Path(server.command[server.command.index("-b") + 1])


def params(server: Server) -> walblib.ServerStartupParam:
    """A server as the library names it."""
    name = server.command[server.command.index("-id") + 1]
    connection = walblib.ServerConnectionParam(name, HOST, server.port, KINDS[name[0]])
    return walblib.ServerStartupParam(connection, f"{BIN}/", server.command[server.command.index("-b") + 1])


@dataclass
class Site:
    """The group, what the operator's configuration file defines, and one volume."""

    group: DuplicatedGroup
    volume: MirroredVolume
    walbc: walblib.Controller = field(init=False)
    _others: list[Server] = field(default_factory=list)

    def __post_init__(self) -> None:
        group = self.group
        self.s0, self.s1 = params(group.storage), params(group.storage1)
        self.p0, self.p1 = (params(server) for server in group.proxies)
        self.a0, self.a1 = params(group.archive), params(group.archive1)
        layout = walblib.ServerLayout([self.s0, self.s1], [self.p0, self.p1], [self.a0, self.a1])
        self.walbc = walblib.Controller(str(BIN / "walbc"), layout)
        self.walbc.default_timeout_sec = LIMIT_SEC

    def set_layout(self, **servers: list[walblib.ServerStartupParam]) -> None:
        """Replaces proxyL, archiveL or both."""
        self.walbc.set_server_layout(self.walbc.sLayout.replace(**servers))

    @property
    def name(self) -> str:
        """The volume's."""
        return self.volume.name

    @contextmanager
    def backed_up(self) -> Iterator[Writer]:
        """Makes both devices, registers the volume at both storages and backs it up from s0; while the test is at work
        the devices are written to. Afterwards nobody knows the volume, and the group is as it was."""
        volume = self.volume
        volume.create_devices()
        for sx, device in zip((self.s0, self.s1), volume.devices, strict=True):
            self.walbc.init_storage(sx, self.name, device)
        volume.write(volume.size_bytes // 4)
        try:
            with Writer(volume) as writer:
                self.walbc.full_backup(self.s0, self.name)
                yield writer
        finally:
            volume.disconnect()
            self._leave()

    def _leave(self) -> None:
        for server in (*self.group.servers, *self._others):
            if not server.is_running():
                self.group.restart(server)
        everyone = [params(server) for server in self._others]
        self.set_layout(
            proxyL=[self.p0, self.p1, *(server for server in everyone if server.kind == walblib.K_PROXY)],
            archiveL=[self.a0, self.a1, *(server for server in everyone if server.kind == walblib.K_ARCHIVE)],
        )
        self.walbc._force_clear(self.name)
        for device in self.volume.devices:
            self.group.devices.pop(device).stop()
        for server in self._others:
            assert server.stop() == 0
        if self._others:
            self.restart_storages(self.group.archive_port, self.p0.port, self.p1.port)

    def snapshot(self, writer: Writer, *archives: walblib.ServerStartupParam) -> int:
        """A snapshot by the active storage, waited for at archives; its content is remembered."""
        with writer.paused():
            self.volume.nbd.flush()
            gid = self.walbc.snapshot_nbk(params(self.volume.active), self.name)
            self.volume.snapshots[gid] = bytes(self.volume.content)
        for ax in archives:
            self.walbc.wait_for_restorable(ax, self.name, gid)
        writer.wait_progress()
        return gid

    def wait_proxies_used(self) -> None:
        """Until the active storage has found that both proxies are there: one of them may just have been dead."""

        def are_used() -> bool:
            lines = self.group.walbc(self.volume.active, "status").splitlines()
            return sum("isAvailable 1" in line for line in lines) == len(self.group.proxies)

        wait_until(are_used, 30, "both proxies are used")

    def wait_kept(self, proxy: Server, gid: int) -> None:
        """Until a proxy keeps for a0 the diff that leads to a snapshot, and the storage has forgotten that log."""

        def is_kept() -> bool:
            lines = self.group.walbc(proxy, "get", "proxy-diff", self.name, "a0").splitlines()
            done = self.group.walbc(self.volume.active, "status", self.name).split("-----DoneFile-----")[1]
            done_gid = int(done.split(" gid ")[1].split()[0])
            return done_gid >= gid and any(int(line.split("-->|")[1].split("|")[0]) >= gid for line in lines)

        wait_until(is_kept, 20, f"{self.name} gid {gid} is at the proxy")

    def check(self, archive: Server, *gids: int) -> None:
        """Snapshots are restored as they were."""
        for gid in gids:
            self.volume.check_at(archive, gid)

    def start(self, kind: str, node_id: str) -> tuple[Server, walblib.ServerStartupParam]:
        """One more server, running until the volume is left."""
        server = self.group.another(kind, node_id)
        self._others.append(server)
        self.group.restart(server)
        return server, params(server)

    def restart_storages(self, archive_port: int, *proxy_ports: int) -> None:
        """With other peers."""
        storages = self.group.storage, self.group.storage1
        for storage in storages:
            self.group.set_peers(storage, archive_port, *proxy_ports)
            assert storage.stop() == 0
            storage.start()
        for storage in storages:
            storage.wait_ready()

    def switch(self) -> None:
        """s1 becomes the target by the library's procedure."""
        self.walbc.go_standby(self.s0, self.name)
        self.walbc.hash_backup(self.s1, self.name)
        self.volume.active = self.group.storage1

    def requests(self, server: Server, protocol: str) -> dict[str, int]:
        """How often each client has asked a server for a conversation since this was asked the last time."""
        lines = [line.split("\t") for line in self.group.walbc(server, "get", "handler-stat").splitlines()]
        return {line[2]: int(line[3]) for line in lines if line[:2] == ["PROTOCOL_COUNT", protocol]}


def made_volume(group: DuplicatedGroup, number: int) -> MirroredVolume:
    """A volume with names of its own, nothing done yet."""
    return MirroredVolume(group, f"vol{number}", f"dev{number}", random.Random(number), **SIZES)

"""Servers and how they make up a backup group (python-library.md section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from walbc.library.constants import K_ARCHIVE, K_PROXY, K_STORAGE, serverKindMap
from walbc.library.failure import ControlError
from walbc.library.texts import server_kind_to_str
from walbc.library.verify import verify_type, verify_u64

_MAX_PORT = 65535


class ServerConnectionParam:
    """How to reach a server. Equality is by value."""

    def __init__(self, name: str, address: str, port: int, kind: int) -> None:
        verify_type(name, str)
        verify_type(address, str)
        verify_u64(port)
        if port > _MAX_PORT:
            raise ControlError("bad port", name, port)
        server_kind_to_str(kind)
        self.name = name
        self.address = address
        self.port = port
        self.kind = kind

    def get_host_port(self) -> str:
        """`HOST:PORT`."""
        return f"{self.address}:{self.port}"

    def _key(self) -> tuple[str, str, int, int]:
        return self.name, self.address, self.port, self.kind

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, ServerConnectionParam) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        return ", ".join([self.name, self.address, str(self.port), serverKindMap[self.kind]])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


class ServerStartupParam:
    """How to start and reach a server. `vg` (required for archives) and `tp` are LVM names."""

    def __init__(
        self,
        connParam: ServerConnectionParam,
        binDir: str,
        dataDir: str,
        logPath: str | None = None,
        vg: str | None = None,
        tp: str | None = None,
    ) -> None:
        verify_type(connParam, ServerConnectionParam)
        verify_type(binDir, str)
        verify_type(dataDir, str)
        for text in (logPath, vg, tp):
            verify_type(text, str, allowNone=True)
        self.connParam = connParam
        self.binDir = binDir
        self.dataDir = dataDir
        self.logPath = logPath
        self.vg = vg
        self.tp = tp

    @property
    def name(self) -> str:
        """Node id."""
        return self.connParam.name

    @property
    def address(self) -> str:
        """Host."""
        return self.connParam.address

    @property
    def port(self) -> int:
        """TCP port."""
        return self.connParam.port

    @property
    def kind(self) -> int:
        """K_STORAGE, K_PROXY or K_ARCHIVE."""
        return self.connParam.kind

    def get_host_port(self) -> str:
        """`HOST:PORT`."""
        return self.connParam.get_host_port()

    def __str__(self) -> str:
        return ", ".join([str(self.connParam), self.binDir, self.dataDir, self.logPath or ""])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"


AnyServer: TypeAlias = ServerConnectionParam | ServerStartupParam
ServerParams: list[type] = [ServerConnectionParam, ServerStartupParam]
S = TypeVar("S", bound=AnyServer)


class ServerLayout:
    """The servers of a group. The first archive is the primary one; proxies stand in the order of preference."""

    def __init__(
        self, storageL: Sequence[AnyServer], proxyL: Sequence[AnyServer], archiveL: Sequence[AnyServer]
    ) -> None:
        for servers, kind in ((storageL, K_STORAGE), (proxyL, K_PROXY), (archiveL, K_ARCHIVE)):
            verify_type(servers, list, ServerParams)
            for server in servers:
                if server.kind != kind:
                    raise ControlError("server_layout: invalid server kind:", serverKindMap[kind], str(server))
        self.storageL = list(storageL)
        self.proxyL = list(proxyL)
        self.archiveL = list(archiveL)

    def get_primary_archive(self) -> AnyServer:
        """The first archive. Raises ControlError when there is none."""
        self.verify(0, 0, 1)
        return self.archiveL[0]

    def get_all(self) -> list[AnyServer]:
        """Storages, proxies, archives."""
        return self.storageL + self.proxyL + self.archiveL

    def replace(
        self,
        storageL: Sequence[AnyServer] | None = None,
        proxyL: Sequence[AnyServer] | None = None,
        archiveL: Sequence[AnyServer] | None = None,
    ) -> ServerLayout:
        """A layout with other servers; None or an empty list leaves those of a kind."""
        return type(self)(storageL or self.storageL, proxyL or self.proxyL, archiveL or self.archiveL)

    def verify(self, minNrStorage: int, minNrProxy: int, minNrArchive: int) -> None:
        """Raises ControlError unless there are so many servers of each kind."""
        counts = (
            ("storage", self.storageL, minNrStorage),
            ("proxy", self.proxyL, minNrProxy),
            ("archive", self.archiveL, minNrArchive),
        )
        for name, servers, least in counts:
            if len(servers) < least:
                raise ControlError("ServerLayout: more servers required", name, len(servers), least)

    def to_cmd_string(self) -> str:
        """The start commands of all servers, one a line; all must be ServerStartupParam."""
        from walbc.library.start_arguments import get_server_args

        verify_type(self.get_all(), list, ServerStartupParam)
        return "\n".join(
            " ".join(get_server_args(server, self))
            for server in self.get_all()
            if isinstance(server, ServerStartupParam)
        )

    def __str__(self) -> str:
        return ", ".join(server.name for server in self.get_all())

    def __repr__(self) -> str:
        return f"ServerLayout({self})"


def get_server(name: str, sL: Sequence[S]) -> S:
    """The one server of that name. Raises ControlError unless there is exactly one."""
    verify_type(name, str)
    verify_type(sL, list, ServerParams)
    found = [server for server in sL if server.name == name]
    if len(found) != 1:
        raise ControlError("get_server:not one", len(found), name, [server.name for server in sL])
    return found[0]


def verify_server_kind(s: AnyServer, kindL: list[int]) -> None:
    """Raises ControlError unless the server is of one of the kinds."""
    verify_type(s, ServerParams)
    verify_type(kindL, list, int)
    if s.kind not in kindL:
        raise ControlError("invalid server type", s.name, s.kind, kindL)

"""Server and ServerLayout of 2014 (python-library.md section 7)."""

from __future__ import annotations

from collections.abc import Sequence

from walbc.library.constants import K_ARCHIVE, K_STORAGE, serverKinds
from walbc.library.failure import ControlError
from walbc.library.servers import AnyServer, ServerConnectionParam, ServerLayout, ServerStartupParam
from walbc.library.start_arguments import REPEATER_PORT_OFFSET, dict2args, program_path
from walbc.library.verify import verify_type


class Server(ServerStartupParam):
    """A server: how to start and to reach it. Equality is by identity. vg is required for archives."""

    def __init__(
        self,
        name: str,
        address: str,
        port: int,
        kind: int,
        binDir: str,
        dataDir: str,
        logPath: str | None = None,
        vg: str | None = None,
    ) -> None:
        if kind not in serverKinds:
            raise ControlError("Server: wrong server kind", kind)
        if kind == K_ARCHIVE:
            verify_type(vg, str)
        super().__init__(ServerConnectionParam(name, address, port, kind), binDir, dataDir, logPath, vg)


class Layout2014(ServerLayout):
    """A layout that must have servers of each kind."""

    def __init__(
        self, storageL: Sequence[AnyServer], proxyL: Sequence[AnyServer], archiveL: Sequence[AnyServer]
    ) -> None:
        for servers, kind in ((storageL, "storage"), (proxyL, "proxy"), (archiveL, "archive")):
            if not servers:
                raise ControlError(f"server_layout: no {kind} server")
        super().__init__(storageL, proxyL, archiveL)


def get_server_args(
    s: ServerStartupParam, sLayout: ServerLayout, isDebug: bool = False, useRepeater: bool = False
) -> list[str]:
    """The whole command line of a server, in the order of 2014. useRepeater: a repeater listens on the server's port,
    and the server on that plus 10000."""
    verify_type(s, ServerStartupParam)
    verify_type(sLayout, ServerLayout)
    options: dict[str, str | list[str] | None] = {}
    if s.kind == K_STORAGE:
        options["archive"] = sLayout.get_primary_archive().get_host_port()
        options["proxy"] = ",".join(proxy.get_host_port() for proxy in sLayout.proxyL)
    if s.kind == K_ARCHIVE and s.vg:
        options["vg"] = s.vg
    options["p"] = str(s.port + (REPEATER_PORT_OFFSET if useRepeater else 0))
    options |= {"b": s.dataDir, "l": s.logPath or f"{s.dataDir}/{s.name}.log", "id": s.name}
    if isDebug:
        options["debug"] = None
    return [program_path(s), *dict2args(options)]

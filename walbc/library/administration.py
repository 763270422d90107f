"""Commands to servers as a whole (python-library.md section 8)."""

from __future__ import annotations

from collections.abc import Sequence

from walbc.library.constants import K_ARCHIVE, K_PROXY, K_STORAGE, SHORT_TIMEOUT_SEC
from walbc.library.failure import ControlError
from walbc.library.servers import AnyServer, ServerParams, verify_server_kind
from walbc.library.verify import verify_shutdown_mode, verify_size_unit, verify_type
from walbc.library.waits import Waits

_RULER = "+" * 20


class Administration(Waits):
    """Status, kicks, shutdown. None changes the state of a volume."""

    def status(
        self,
        sL: Sequence[AnyServer] | AnyServer | None = None,
        vol: str | None = None,
        timeoutS: int = SHORT_TIMEOUT_SEC,
    ) -> None:
        """Prints what `walbc status` tells of servers (all without sL), or of one volume there."""
        verify_type(vol, str, allowNone=True)
        given = sL or self.sLayout.get_all()
        servers = list(given) if isinstance(given, Sequence) else [given]
        verify_type(servers, list, ServerParams)
        for s in servers:
            print(_RULER, s.name, _RULER)
            print(self.run_ctl(s, ["status", *([vol] if vol else [])], timeoutS=timeoutS))

    def kick_all(self, sL: Sequence[AnyServer]) -> None:
        """Makes storages and proxies retry delayed transfers now."""
        for s in sL:
            verify_server_kind(s, [K_STORAGE, K_PROXY])
        for s in sL:
            self.run_ctl(s, ["kick"])

    def kick_storage_all(self) -> None:
        """Makes every storage look for its proxies and send log now."""
        for sx in self.sLayout.storageL:
            self.run_ctl(sx, ["kick"])

    def kick_proxy(self, vol: str, ax: AnyServer) -> None:
        """Makes every proxy send the wdiffs of a volume to an archive now, and clears their error marks."""
        verify_type(vol, str)
        verify_server_kind(ax, [K_ARCHIVE])
        for px in self.sLayout.proxyL:
            self.run_ctl(px, ["kick", vol, ax.name])

    def set_full_scan_bps(self, sx: AnyServer, throughputU: str) -> None:
        """Limits the bytes per second read by later full and hash backups of a storage; `0` for no limit."""
        verify_server_kind(sx, [K_STORAGE])
        verify_size_unit(throughputU)
        self.run_ctl(sx, ["set-full-scan-bps", throughputU])

    def shutdown(self, s: AnyServer, mode: str = "graceful") -> None:
        """Ends a server: after its running work (graceful), or ending that too (force)."""
        verify_type(s, ServerParams)
        verify_shutdown_mode(mode, "shutdown")
        self.run_ctl(s, ["shutdown", mode])

    def shutdown_list(self, sL: Sequence[AnyServer], mode: str = "graceful") -> None:
        """Ends servers, prints for each whether that succeeded, and goes on."""
        verify_type(sL, list, ServerParams)
        verify_shutdown_mode(mode, "shutdown_list")
        for s in sL:
            try:
                self.shutdown(s, mode)
                print("shutdown succeeded", s.name)
            except ControlError as error:
                print("shutdown failed", s.name, str(error).strip())

    def shutdown_all(self, mode: str = "graceful") -> None:
        """Ends all servers of the layout."""
        verify_shutdown_mode(mode, "shutdown_all")
        self.shutdown_list(self.sLayout.get_all(), mode)

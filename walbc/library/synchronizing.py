"""Which archives the proxies send a volume to (python-library.md section 9)."""

from __future__ import annotations

from walbc.library.connection import Volume
from walbc.library.constants import K_ARCHIVE, K_PROXY, K_STORAGE
from walbc.library.failure import ControlError
from walbc.library.servers import AnyServer, get_server, verify_server_kind
from walbc.library.states import pActive, pStopped, sStandby, sSyncReady, sTarget
from walbc.library.sync_options import SyncOpt
from walbc.library.verify import verify_type
from walbc.library.volumes import Volumes


class Synchronizing(Volumes):
    """Destinations of volumes at the proxies."""

    def _stop_if_active(self, px: AnyServer, vol: str, mode: str) -> None:
        if self._state(px, vol) in pActive:
            self.stop(px, vol, mode)

    def _put_archive_info(
        self, px: AnyServer, vol: str, ax: AnyServer, syncOpt: SyncOpt | None, *, listed: list[str]
    ) -> None:
        form = "update" if ax.name in listed else "add"
        options = syncOpt.getArchiveInfoArgs() if syncOpt else []
        self.run_ctl(px, ["archive-info", form, vol, ax.name, ax.get_host_port(), *options])

    def add_archive_to_proxy(
        self, px: AnyServer, vol: Volume, ax: AnyServer, doStart: bool = True, syncOpt: SyncOpt | None = None
    ) -> None:
        """Makes an archive a destination of a volume at a proxy, or changes how it is. A running volume is stopped by
        force first. Afterwards: Started (doStart) or Stopped."""
        verify_server_kind(px, [K_PROXY])
        verify_server_kind(ax, [K_ARCHIVE])
        verify_type(syncOpt, SyncOpt, allowNone=True)
        vol = self._vol(px, vol)
        self._stop_if_active(px, vol, "force")
        self._put_archive_info(px, vol, ax, syncOpt, listed=self.get_archive_info_list(px, vol))
        self._start_if_stopped(px, vol, doStart)

    def _start_if_stopped(self, px: AnyServer, vol: str, doStart: bool = True) -> None:
        if self._state(px, vol) == pStopped and doStart:
            self._start(px, vol)

    def del_archive_from_proxy(self, px: AnyServer, vol: Volume, ax: AnyServer, stopEmpty: bool = False) -> None:
        """Ends sending a volume to an archive. A running volume is stopped first, by force or after all wdiffs are sent
        (stopEmpty). Afterwards: Started, or Clear after the last archive."""
        verify_server_kind(px, [K_PROXY])
        verify_server_kind(ax, [K_ARCHIVE])
        vol = self._vol(px, vol)
        self._stop_if_active(px, vol, "empty" if stopEmpty else "force")
        if ax.name in self.get_archive_info_list(px, vol):
            self.run_ctl(px, ["archive-info", "delete", vol, ax.name])
        self._start_if_stopped(px, vol)

    def update_archive_info(self, px: AnyServer, vol: Volume, ax: AnyServer, syncOpt: SyncOpt) -> None:
        """Changes compression and delay of a destination. Stopped before and after."""
        verify_server_kind(px, [K_PROXY])
        verify_server_kind(ax, [K_ARCHIVE])
        verify_type(syncOpt, SyncOpt)
        vol = self._vol(px, vol)
        state = self._state(px, vol)
        if state != pStopped:
            raise ControlError("update_archive_info: bad state", px.name, vol, ax.name, state)
        listed = self.get_archive_info_list(px, vol)
        if ax.name not in listed:
            raise ControlError("update_archive_info: not exists", px.name, vol, ax.name)
        self._put_archive_info(px, vol, ax, syncOpt, listed=listed)

    def copy_archive_info(self, pSrc: AnyServer, vol: Volume, pDst: AnyServer) -> None:
        """Gives a proxy the destinations another one has, with their compression and delay, and starts it."""
        verify_server_kind(pSrc, [K_PROXY])
        verify_server_kind(pDst, [K_PROXY])
        vol = self._vol(pSrc, vol)
        for name in self.get_archive_info_list(pSrc, vol):
            ax = get_server(name, self.sLayout.archiveL)
            _, syncOpt = self.get_archive_info(pSrc, vol, ax)
            self.add_archive_to_proxy(pDst, vol, ax, doStart=False, syncOpt=syncOpt)
        self._start(pDst, vol)

    def start_synchronizing(self, ax: AnyServer, vol: Volume, syncOpt: SyncOpt | None = None) -> None:
        """Makes all proxies send a volume to an archive."""
        verify_server_kind(ax, [K_ARCHIVE])
        vol = self._vol(ax, vol)
        for px in self.sLayout.proxyL:
            self.add_archive_to_proxy(px, vol, ax, syncOpt=syncOpt)
        self.kick_storage_all()

    def stop_synchronizing(self, ax: AnyServer, vol: Volume) -> None:
        """Makes all proxies end sending a volume to an archive."""
        verify_server_kind(ax, [K_ARCHIVE])
        vol = self._vol(ax, vol)
        for px in self.sLayout.proxyL:
            self.del_archive_from_proxy(px, vol, ax)
        self.kick_storage_all()

    def go_standby(self, sx: AnyServer, vol: Volume) -> None:
        """Makes a storage stand by: it follows its device and sends nothing. SyncReady, Target or Standby before.
        From Target, sending to the primary archive ends and the log not yet sent is discarded. Standby after."""
        verify_server_kind(sx, [K_STORAGE])
        vol = self._vol(sx, vol)
        state = self._state(sx, vol)
        if state == sStandby:
            return
        if state == sTarget:
            self.stop(sx, vol, "force")
            self.stop_synchronizing(self.sLayout.get_primary_archive(), vol)
            self.reset(sx, vol)
            state = self._state(sx, vol)
        if state != sSyncReady:
            raise ControlError("go_standby:bad state", sx.name, vol, self._shown(sx, state))
        self._go_standby(sx, vol)

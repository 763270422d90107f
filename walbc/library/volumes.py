"""A volume at one server: registering, starting, stopping, clearing (python-library.md section 9)."""

from __future__ import annotations

from walbc.library.administration import Administration
from walbc.library.connection import Volume
from walbc.library.constants import K_ARCHIVE, K_PROXY, K_STORAGE, SHORT_TIMEOUT_SEC
from walbc.library.failure import ControlError
from walbc.library.servers import AnyServer, verify_server_kind
from walbc.library.states import (
    aActive,
    aArchived,
    aClear,
    aStopped,
    aSyncReady,
    atStart,
    pActive,
    pStopped,
    ptStart,
    sClear,
    sStandby,
    sStopped,
    sSyncReady,
    sTarget,
    stStartStandby,
    stStartTarget,
)
from walbc.library.verify import verify_type, verify_u64

STOP_MODES = ("graceful", "empty", "force")


class Volumes(Administration):
    """Life of a volume at a server."""

    def _init(self, s: AnyServer, vol: str, wdevPath: str | None = None) -> None:
        """Makes a volume known to a storage (with its walb device) or an archive. Clear before, SyncReady after."""
        verify_server_kind(s, [K_STORAGE, K_ARCHIVE])
        verify_type(vol, str)
        verify_type(wdevPath, str, allowNone=True)
        self.run_ctl(s, ["init-vol", vol, *([wdevPath] if wdevPath else [])])

    def init_storage(self, sx: AnyServer, vol: str, wdevPath: str) -> None:
        """Registers a volume with its walb device at a storage. Clear before, Standby after."""
        verify_server_kind(sx, [K_STORAGE])
        self._init(sx, vol, wdevPath)
        state = self._state(sx, vol)
        if state != sSyncReady:
            raise ControlError("_go_standby:bad state", sx.name, vol, self._shown(sx, state))
        self._go_standby(sx, vol)

    def _go_standby(self, sx: AnyServer, vol: str) -> None:
        """SyncReady before, Standby after."""
        self.run_ctl(sx, ["start", vol, "standby"])
        self._wait_for_state_change(sx, vol, [stStartStandby], [sStandby])

    def _start(self, s: AnyServer, vol: str) -> None:
        if s.kind == K_STORAGE:
            self.run_ctl(s, ["start", vol, "target"])
            self._wait_for_state_change(s, vol, [stStartTarget], [sTarget])
        elif s.kind == K_PROXY:
            self.run_ctl(s, ["start", vol])
            self._wait_for_state_change(s, vol, [ptStart], pActive)
        else:
            self.run_ctl(s, ["start", vol])
            self._wait_for_state_change(s, vol, [atStart], aActive)

    def stop_nbk(self, s: AnyServer, vol: Volume, mode: str = "graceful") -> str:
        """Begins to stop a volume: after its running work (graceful), after all wdiffs are sent (empty, proxy only),
        or ending running work (force). Returns the state before; wait_for_stopped waits for the rest."""
        vol = self._vol(s, vol)
        if mode not in STOP_MODES:
            raise ControlError("stop:bad mode", s.name, vol, mode)
        state = self._state(s, vol)
        self.run_ctl(s, ["stop", vol, mode])
        return self._shown(s, state)

    def stop(self, s: AnyServer, vol: Volume, mode: str = "graceful") -> None:
        """Stops a volume. Afterwards: Stopped (from Target, Started, Archived) or SyncReady (from Standby)."""
        vol = self._vol(s, vol)
        self.wait_for_stopped(s, vol, self.stop_nbk(s, vol, mode))

    def reset(self, s: AnyServer, vol: Volume, timeoutS: int = SHORT_TIMEOUT_SEC) -> None:
        """Discards the log of a volume at a storage (Stopped before), or all its data at an archive (Stopped or
        SyncReady before). SyncReady after."""
        verify_server_kind(s, [K_STORAGE, K_ARCHIVE])
        verify_u64(timeoutS)
        vol = self._vol(s, vol)
        self.run_ctl(s, ["reset-vol", vol], timeoutS=timeoutS)
        state = self._state(s, vol)
        if state != sSyncReady:
            raise ControlError("verify_state: differ", s.name, self._shown(s, state), sSyncReady)

    def clear(self, s: AnyServer, vol: Volume) -> None:
        """Removes a volume and all its data from a server, stopping it by force first. Clear after."""
        vol = self._vol(s, vol)
        state = self._state(s, vol)
        if state == sClear:
            return
        if s.kind == K_STORAGE:
            self._make_clearable_storage(s, vol, state)
        elif s.kind == K_PROXY:
            self._make_clearable(s, vol, state, pActive, [pStopped])
        else:
            self._make_clearable(s, vol, state, [aArchived], [aStopped, aSyncReady])
        self.run_ctl(s, ["clear-vol", vol])

    def _make_clearable_storage(self, sx: AnyServer, vol: str, state: str) -> None:
        if state in (sTarget, sStandby):
            self.stop(sx, vol, "force")
            state = self._state(sx, vol)
        if state == sStopped:
            self.reset(sx, vol)
            state = self._state(sx, vol)
        self._verify_clearable(sx, vol, state, [sSyncReady])

    def _make_clearable(self, s: AnyServer, vol: str, state: str, stoppable: list[str], clearable: list[str]) -> None:
        if state in stoppable:
            self.stop(s, vol, "force")
            state = self._state(s, vol)
        self._verify_clearable(s, vol, state, clearable)

    def _verify_clearable(self, s: AnyServer, vol: str, state: str, clearable: list[str]) -> None:
        if state not in clearable:
            raise ControlError("clear", s.name, vol, self._shown(s, state))

    def _force_clear(self, vol: str) -> None:
        """Clears a volume at every server of the layout."""
        for s in self.sLayout.get_all():
            self.clear(s, vol)

    def _init_archive_if_clear(self, ax: AnyServer, vol: str) -> str:
        """Makes a volume known to an archive that does not know it; returns the state before."""
        state = self._state(ax, vol)
        if state == aClear:
            self._init(ax, vol)
        return state

"""Controller of 2014: the same operations with the results, state names and limits scripts of that time expect."""

from __future__ import annotations

from collections.abc import Sequence

from walbc.library.api2014.states import new_name, old_name
from walbc.library.connection import Volume
from walbc.library.constants import K_STORAGE
from walbc.library.controller import OldNames
from walbc.library.failure import ControlError
from walbc.library.servers import AnyServer, ServerLayout, get_server
from walbc.library.states import aClear, sStandby, sStopped, sSyncReady, sTarget
from walbc.library.verify import verify_shutdown_mode, verify_type

TIMEOUT_SEC = 100
_SHUTDOWN_PAUSE_SEC = 1.0


class Controller2014(OldNames):
    """The operations of a backup group. States of storages are Master and Slave where they are Target and Standby now;
    both names are understood. Waits last 100 s unless told otherwise. Everything else is as in walblib.Controller."""

    default_timeout_sec = TIMEOUT_SEC

    def __init__(self, controllerPath: str, sLayout: ServerLayout, isDebug: bool = False) -> None:
        super().__init__(controllerPath, sLayout, isDebug)

    def _shown(self, s: AnyServer, state: str) -> str:
        return old_name(state) if s.kind == K_STORAGE else state

    def _native(self, state: str) -> str:
        return new_name(state)

    def get_server(self, name: str) -> AnyServer:
        """The one server of the layout with that name."""
        return get_server(name, self.sLayout.get_all())

    def start(self, s: AnyServer, vol: Volume) -> None:
        """Starts a volume. A storage: SyncReady before, Slave after; or Stopped before, Master after. Others: Stopped
        before; Started or Archived after."""
        vol = self._vol(s, vol)
        state = self._state(s, vol) if s.kind == K_STORAGE else ""
        if state == sSyncReady:
            self._go_standby(s, vol)
        else:
            self._start(s, vol)

    def _prepare_source(self, sx: AnyServer, vol: str) -> None:
        """Makes the storage SyncReady; a Master is stopped and reset, too."""
        state = self._state(sx, vol)
        if state in (sStandby, sTarget):
            self.stop(sx, vol)
        if state in (sTarget, sStopped):
            self.reset(sx, vol)

    def get_restorable(self, ax: AnyServer, vol: Volume, opt: str = "") -> list[int]:
        """gids that can be restored; with opt `all` implicit snapshots too."""
        return self.get_restorable_gid(ax, vol, opt)

    def get_diff_list(self, ax: AnyServer, vol: Volume) -> list[str]:
        """The wdiffs of a volume, as lines."""
        return list(map(str, self._diff_list(ax, vol, 0, 2**64 - 1)))

    def wait_for_replicated(
        self,
        ax: AnyServer,
        vol: Volume,
        gid: int | AnyServer,
        timeoutS: int | None = None,
        *more: int,
    ) -> None:
        """Until a destination archive `ax` has reached a gid. The form of 1.0.19 is understood as well:
        (source, vol, destination, gid[, timeoutS])."""
        if isinstance(gid, int):
            self._wait_for_reached(ax, self._vol(ax, vol), gid, self._limit(timeoutS))
            return
        if timeoutS is None:
            raise TypeError("wait_for_replicated: give (ax, vol, gid) or (aSrc, vol, aDst, gid)")
        self._wait_for_replicated(ax, vol, gid, timeoutS, *more)

    def _wait_for_reached(self, ax: AnyServer, vol: str, gid: int, limit_sec: int) -> None:
        if not self._poll(lambda: max(self.get_restorable_gid(ax, vol, "all"), default=-1) >= gid, limit_sec):
            raise ControlError("wait_for_replicated:replicate failed", ax.name, vol, gid)

    def shutdown(self, s: AnyServer, mode: str = "graceful") -> None:
        """Ends a server, and waits a second."""
        super().shutdown(s, mode)
        self._sleep(_SHUTDOWN_PAUSE_SEC)

    def shutdown_list(self, sL: Sequence[AnyServer], mode: str = "graceful") -> None:
        """Ends servers; the first failure ends the call."""
        verify_shutdown_mode(mode, "shutdown_list")
        for s in sL:
            self.shutdown(s, mode)

    def _is_left_alone(self, state: str) -> bool:
        return state == aClear

    def verify_state(self, s: AnyServer, vol: Volume, state: str) -> None:
        """Raises ControlError unless the volume is in that state, under its name of then or now."""
        vol = self._vol(s, vol)
        verify_type(state, str)
        found = self._state(s, vol)
        if found != new_name(state):
            raise ControlError("verify_state: differ", self._shown(s, found), state)

    list_restorable = get_restorable
    list_restored = OldNames.get_restored
    snapshot_async = OldNames.snapshot_nbk
    snapshot_sync = OldNames.snapshot
    start_sync = OldNames.start_synchronizing
    stop_sync = OldNames.stop_synchronizing
    replicate_sync = OldNames.replicate_once
    get_remote_run_command = OldNames.get_run_remote_command

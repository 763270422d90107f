"""Controller of walb-tools 1.0.19: drives a backup group."""

from __future__ import annotations

from walbc.library.connection import Volume
from walbc.library.constants import UINT64_MAX
from walbc.library.replication import Replication
from walbc.library.servers import AnyServer
from walbc.library.values import Diff, GidInfo


class OldNames(Replication):
    """Names that methods had before 1.0.19, and that its own documents still use."""

    reset_vol = Replication.reset
    clear_vol = Replication.clear
    set_slave_storage = Replication.go_standby
    set_standby_storage = Replication.go_standby
    kick_all_storage = Replication.kick_storage_all
    get_all_state = Replication.get_state_all
    apply_diff = Replication.apply
    merge_diff = Replication.merge
    wait_for_stoped = Replication.wait_for_stopped


class Controller(OldNames):
    """The operations of a backup group. Every method talks to the servers of the layout directly.

    `controllerPath` is the walbc program, for the few commands that need it and for messages; `timeoutS` limits
    connecting and the silence of a server, 0 = 10 s. Volumes are named by str; where a storage is given first, a Device
    means the volume that uses it. Failures are CommandError (a server refused or did not answer) and ControlError, both
    of class Exception."""

    def start(self, s: AnyServer, vol: Volume) -> None:
        """Starts a volume. Stopped before; Target, Started or Archived after."""
        self._start(s, self._vol(s, vol))

    def get_restorable(self, ax: AnyServer, vol: Volume, opt: str = "") -> list[GidInfo]:
        """What can be restored: explicit snapshots and the base image; with opt `all` implicit ones too."""
        return self._restorable(ax, vol, opt)

    def get_diff_list(self, ax: AnyServer, vol: Volume, gid0: int = 0, gid1: int = UINT64_MAX) -> list[Diff]:
        """The wdiffs between two gids."""
        return self._diff_list(ax, vol, gid0, gid1)

    def wait_for_replicated(
        self, aSrc: AnyServer, vol: Volume, aDst: AnyServer, gid: int, timeoutS: int | None = None
    ) -> None:
        """Until the destination of a replication has reached a gid."""
        self._wait_for_replicated(aSrc, vol, aDst, gid, timeoutS)

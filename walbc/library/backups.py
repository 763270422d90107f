"""Full and hash backup, and snapshots (python-library.md section 9)."""

from __future__ import annotations

from collections.abc import Sequence

from walbc.library.connection import Volume
from walbc.library.constants import K_ARCHIVE, K_STORAGE
from walbc.library.failure import ControlError
from walbc.library.servers import AnyServer, ServerParams, verify_server_kind
from walbc.library.states import (
    aActive,
    sClear,
    sDuringFullSync,
    sDuringHashSync,
    sStandby,
    sStopped,
    sSyncReady,
    sTarget,
)
from walbc.library.sync_options import SyncOpt
from walbc.library.synchronizing import Synchronizing
from walbc.library.verify import verify_size_unit, verify_type, verify_u64

_NO_GID = -1


class Backups(Synchronizing):
    """What brings data to the archives."""

    def full_backup(
        self,
        sx: AnyServer,
        vol: Volume,
        timeoutS: int | None = None,
        block: bool = True,
        bulkSizeU: str | None = None,
        syncOpt: SyncOpt | None = None,
    ) -> int | None:
        """Copies the whole volume to the primary archive, then ships its changes; returns the gid, or None at once if
        not block.

        States needed: storage SyncReady, Standby or Stopped, every other storage Standby or Clear, primary archive
        Clear or SyncReady. Afterwards: Target, Started, Archived. Raises ControlError."""
        vol = self._prepare_backup(sx, vol, timeoutS, bulkSizeU, syncOpt)
        self.run_ctl(sx, ["full-bkp", vol, *([bulkSizeU] if bulkSizeU else [])])
        return self._wait_for_backup(sx, vol, "full_backup", sDuringFullSync, _NO_GID, timeoutS) if block else None

    def hash_backup(
        self,
        sx: AnyServer,
        vol: Volume,
        timeoutS: int | None = None,
        block: bool = True,
        bulkSizeU: str | None = None,
        syncOpt: SyncOpt | None = None,
    ) -> int | None:
        """Brings the primary archive up to date by sending only blocks whose hash differs, then ships changes; returns
        the gid, or None at once if not block.

        States needed: as full_backup, but the primary archive Archived. Afterwards: Target, Started, Archived."""
        vol = self._prepare_backup(sx, vol, timeoutS, bulkSizeU, syncOpt)
        before = self._last_gid(self.sLayout.get_primary_archive(), vol)
        self.run_ctl(sx, ["hash-bkp", vol, *([bulkSizeU] if bulkSizeU else [])])
        return self._wait_for_backup(sx, vol, "hash_backup", sDuringHashSync, before, timeoutS) if block else None

    def _prepare_backup(
        self, sx: AnyServer, vol: Volume, timeoutS: int | None, bulkSizeU: str | None, syncOpt: SyncOpt | None
    ) -> str:
        """Afterwards: storage SyncReady, proxies send to the primary archive alone. Returns the volume's name."""
        verify_server_kind(sx, [K_STORAGE])
        verify_u64(timeoutS, allowNone=True)
        verify_size_unit(bulkSizeU, allowNone=True)
        verify_type(syncOpt, SyncOpt, allowNone=True)
        name = self._vol(sx, vol)
        primary = self.sLayout.get_primary_archive()
        self._prepare_source(sx, name)
        self._verify_others(sx, name)
        for ax in self.sLayout.archiveL:
            if self.is_synchronizing(ax, name):
                self.stop_synchronizing(ax, name)
        self._init_archive_if_clear(primary, name)
        self.start_synchronizing(primary, name, syncOpt)
        return name

    def _prepare_source(self, sx: AnyServer, vol: str) -> None:
        """Makes the storage SyncReady."""
        state = self._state(sx, vol)
        if state == sStandby:
            self.stop(sx, vol)
        elif state == sStopped:
            self.reset(sx, vol)
        elif state != sSyncReady:
            message = "prepare_backup:bad state. call stop if target."
            raise ControlError(message, sx.name, vol, self._shown(sx, state))

    def _verify_others(self, sx: AnyServer, vol: str) -> None:
        for other in self.sLayout.storageL:
            if other.name == sx.name:
                continue
            state = self._state(other, vol)
            if state not in (sStandby, sClear):
                raise ControlError("prepare_backup:bad state", other.name, vol, self._shown(other, state))

    def _last_gid(self, ax: AnyServer, vol: str) -> int:
        gids = self.get_restorable_gid(ax, vol)
        return gids[-1] if gids else _NO_GID

    def _wait_for_backup(
        self, sx: AnyServer, vol: str, what: str, during: list[str], before: int, timeoutS: int | None
    ) -> int:
        """The archive's last gid, as soon as that is greater than `before`."""
        limit_sec = self._limit(timeoutS)
        self._wait_for_state_change(sx, vol, during, [sTarget], limit_sec)
        primary = self.sLayout.get_primary_archive()
        state = self._state(primary, vol)
        if state not in aActive:
            raise ControlError(f"{what}: sync failed", sx.name, vol, state)
        self.kick_proxy(vol, primary)
        last = before

        def has_arrived() -> bool:
            nonlocal last
            last = self._last_gid(primary, vol)
            return last > before

        if not self._poll(has_arrived, limit_sec):
            raise ControlError(f"{what}:timeout", sx.name, vol, before)
        return last

    def snapshot_nbk(self, sx: AnyServer, vol: Volume) -> int:
        """Takes a snapshot; returns its gid. Target or Stopped before and after."""
        verify_server_kind(sx, [K_STORAGE])
        return int(self.run_ctl(sx, ["snapshot", self._vol(sx, vol)]))

    def snapshot(self, sx: AnyServer, vol: Volume, axL: Sequence[AnyServer], timeoutS: int | None = None) -> int:
        """Takes a snapshot and waits until archives can restore it; returns its gid. States needed: Target, Archived
        at each of axL; unchanged."""
        verify_server_kind(sx, [K_STORAGE])
        verify_type(axL, list, ServerParams)
        vol = self._vol(sx, vol)
        for ax in axL:
            verify_server_kind(ax, [K_ARCHIVE])
            state = self._state(ax, vol)
            if state not in aActive:
                raise ControlError("snapshot:bad state", ax.name, vol, state)
        gid = self.snapshot_nbk(sx, vol)
        state = self._state(sx, vol)
        if state != sTarget:
            raise ControlError(
                "snapshot: state is not target and can not wait", sx.name, vol, gid, self._shown(sx, state)
            )
        for ax in axL:
            self.wait_for_restorable(ax, vol, gid, timeoutS)
        return gid

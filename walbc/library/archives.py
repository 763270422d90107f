"""An archive's own work on a volume: restore, apply, merge, snapshots, size (python-library.md section 9). States
needed unless said: Archived, or beside a transfer; unchanged afterwards."""

from __future__ import annotations

from collections.abc import Callable

from walbc.library.backups import Backups
from walbc.library.connection import Volume
from walbc.library.constants import K_ARCHIVE, K_STORAGE
from walbc.library.failure import CommandError, ControlError
from walbc.library.servers import AnyServer, verify_server_kind
from walbc.library.states import aAcceptForResize, sClear
from walbc.library.verify import verify_gid_range, verify_type, verify_u64

_DELETE_ATTEMPTS = 3
_DELETE_RETRY_SEC = 1.0


class Archives(Backups):
    """Work on stored volumes."""

    def restore(self, ax: AnyServer, vol: Volume, gid: int, timeoutS: int | None = None) -> None:
        """Makes a volume of the snapshot gid and waits for it; get_restored_path tells where."""
        verify_u64(gid)
        verify_server_kind(ax, [K_ARCHIVE])
        vol = self._vol(ax, vol)
        if gid in self.get_restored(ax, vol):
            raise ControlError("restore: already restored", ax.name, vol, gid)
        self.run_ctl(ax, ["restore", vol, str(gid)])
        self.wait_for_restored(ax, vol, gid, timeoutS)

    def del_restored(self, ax: AnyServer, vol: Volume, gid: int) -> None:
        """Deletes a restored volume (unmounted). Archived or Stopped before and after."""
        vol = self._vol(ax, vol)
        self._delete(ax, vol, gid, "del-restored", self.get_restored)
        self._wait_for_not_restored(ax, vol, gid)

    def del_cold(self, ax: AnyServer, vol: Volume, gid: int) -> None:
        """Deletes a cold snapshot (thin pools). Archived or Stopped before and after."""
        vol = self._vol(ax, vol)
        self._delete(ax, vol, gid, "del-cold", self.get_cold)
        self._wait_for_not_cold(ax, vol, gid)

    def _delete(
        self, ax: AnyServer, vol: str, gid: int, command: str, remaining: Callable[[AnyServer, str], list[int]]
    ) -> None:
        verify_u64(gid)
        verify_server_kind(ax, [K_ARCHIVE])
        for attempt in range(_DELETE_ATTEMPTS):
            try:
                if attempt and gid not in remaining(ax, vol):
                    return
                self.run_ctl(ax, [command, vol, str(gid)])
                return
            except CommandError as error:
                print(f"{command} retry {attempt} {error.stderr or error}")
                self._sleep(_DELETE_RETRY_SEC)
        raise ControlError(f"{command}: exceeds max retry times", ax.name, vol, gid)

    def _del_restored_all(self, ax: AnyServer, vol: Volume) -> list[int]:
        """Deletes all restored volumes; returns their gids."""
        gids = self.get_restored(ax, vol)
        for gid in gids:
            self.del_restored(ax, vol, gid)
        return gids

    def apply(self, ax: AnyServer, vol: Volume, gid: int, timeoutS: int | None = None) -> None:
        """Writes the wdiffs up to gid into the base image. Snapshots before gid are gone afterwards."""
        verify_u64(gid)
        vol = self._vol(ax, vol)
        if gid not in [diff.E.gidB for diff in self.get_applicable_diff_list(ax, vol) if not diff.E.isDirty()]:
            raise ControlError("apply: gid is not restorable", ax.name, vol, gid)
        self.run_ctl(ax, ["apply", vol, str(gid)])
        self._wait_for_applied(ax, vol, gid, timeoutS)

    def _apply_all(self, ax: AnyServer, vol: Volume, timeoutS: int | None = None) -> int | None:
        """Applies all wdiffs; returns the last gid, None when there is nothing to apply."""
        vol = self._vol(ax, vol)
        diffs = self.get_applicable_diff_list(ax, vol)
        if not diffs:
            return None
        gid = diffs[-1].E.gidB
        self.apply(ax, vol, gid, timeoutS)
        return gid

    def merge(self, ax: AnyServer, vol: Volume, gidB: int, gidE: int, timeoutS: int | None = None) -> None:
        """Makes one wdiff of those from gidB to gidE. Implicit snapshots between are gone afterwards; the call fails
        when an explicit one lies there."""
        verify_gid_range(gidB, gidE, "merge")
        vol = self._vol(ax, vol)
        diffs = [diff for diff in self.get_applicable_diff_list(ax, vol, gidE) if diff.E.gidB > gidB]
        if not diffs or diffs[0].B.gidB != gidB or diffs[-1].E.gidB != gidE:
            raise ControlError("merge: specify exact ranges", ax.name, vol, gidB, gidE)
        if diffs[0].isCompDiff:
            raise ControlError("merge: first diff must not be comp diff", ax.name, vol, str(diffs[0]))
        for diff in diffs[1:]:
            if not diff.isMergeable or diff.isCompDiff:
                raise ControlError("merge: diff must mergeable and not comp diff", ax.name, vol, str(diff))
        self.run_ctl(ax, ["merge", vol, str(gidB), "gid", str(gidE)])
        self._wait_for_merged(ax, vol, gidB, gidE, timeoutS)

    def disable_snapshot(self, ax: AnyServer, vol: Volume, gidL: list[int]) -> None:
        """Makes explicit snapshots implicit: merges may swallow them."""
        self._change_snapshots("disable-snapshot", ax, vol, gidL)

    def enable_snapshot(self, ax: AnyServer, vol: Volume, gidL: list[int]) -> None:
        """Makes implicit snapshots explicit: merges keep them."""
        self._change_snapshots("enable-snapshot", ax, vol, gidL)

    def _change_snapshots(self, command: str, ax: AnyServer, vol: Volume, gidL: list[int]) -> None:
        verify_server_kind(ax, [K_ARCHIVE])
        verify_type(gidL, list, int)
        self.run_ctl(ax, [command, self._vol(ax, vol), *map(str, gidL)])

    def gc_diff(self, ax: AnyServer, vol: Volume) -> None:
        """Deletes wdiff files that are no longer reachable. Archived or Stopped before and after."""
        verify_server_kind(ax, [K_ARCHIVE])
        self.run_ctl(ax, ["gc-diff", self._vol(ax, vol)])

    # ---- sizes ----

    def resize_archive(
        self, ax: AnyServer, vol: Volume, sizeMb: int, doZeroClear: bool = False, timeoutS: int | None = None
    ) -> None:
        """Grows the base image to a size in MiB and waits for it; doZeroClear fills the new part with zeros. No
        restored volume may exist. Archived, Stopped or SyncReady before and after."""
        verify_server_kind(ax, [K_ARCHIVE])
        verify_u64(sizeMb)
        verify_type(doZeroClear, bool)
        vol = self._vol(ax, vol)
        if sizeMb == 0:
            raise ControlError("resize_archive:sizeMb must not be zero", ax.name, vol)
        state = self._state(ax, vol)
        if self._is_left_alone(state):
            return
        if state not in aAcceptForResize:
            raise ControlError("resize_archive:bad state", ax.name, vol, sizeMb, state)
        now_mb = self._get_vol_size_mb(ax, vol)
        if now_mb == sizeMb:
            return
        if now_mb > sizeMb:
            raise ControlError("resize_archive:shrink is not supported", ax.name, vol, sizeMb, now_mb)
        self.run_ctl(ax, ["resize", vol, f"{sizeMb}m", *(["zeroclear"] if doZeroClear else [])])
        self._wait_for_resize(ax, vol, sizeMb, timeoutS)

    def _is_left_alone(self, state: str) -> bool:
        """Whether resize_archive passes over an archive in this state."""
        return False

    def resize_storage(self, sx: AnyServer, vol: Volume, sizeMb: int) -> None:
        """Grows a walb device to a size in MiB, 0 = that of its data device, which must have grown before. Clear
        volumes are left alone."""
        verify_server_kind(sx, [K_STORAGE])
        verify_u64(sizeMb)
        vol = self._vol(sx, vol)
        if self._state(sx, vol) == sClear:
            return
        self.run_ctl(sx, ["resize", vol, f"{sizeMb}m"])

    def resize(self, vol: str, sizeMb: int, doZeroClear: bool = False) -> None:
        """Grows a volume everywhere: all archives, then all storages. Without doZeroClear a hash backup must follow
        when the new part is not zero."""
        verify_type(vol, str)
        for ax in self.sLayout.archiveL:
            self.resize_archive(ax, vol, sizeMb, doZeroClear)
        for sx in self.sLayout.storageL:
            self.resize_storage(sx, vol, sizeMb)

"""Copies of a volume at other archives (python-library.md section 9)."""

from __future__ import annotations

from walbc.library.archives import Archives
from walbc.library.connection import Volume
from walbc.library.constants import K_ARCHIVE
from walbc.library.failure import ControlError
from walbc.library.servers import AnyServer, verify_server_kind
from walbc.library.states import aArchived, pActive
from walbc.library.sync_options import SyncOpt
from walbc.library.verify import verify_type, verify_u64


class Replication(Archives):
    """From archive to archive."""

    def replicate_once_nbk(
        self,
        aSrc: AnyServer,
        vol: Volume,
        aDst: AnyServer,
        doResync: bool = False,
        dontMerge: bool = False,
        syncOpt: SyncOpt | None = None,
        gid: int | None = None,
    ) -> int:
        """Begins to bring a destination archive up to a gid (default: the source's last explicit snapshot); returns
        it. Full, hash or diff replication is chosen by the source. doResync: also when the copies have different
        histories; dontMerge: wdiffs are sent one by one.

        States needed: source Archived; destination Clear, SyncReady or Archived. Raises ControlError."""
        for ax in (aSrc, aDst):
            verify_server_kind(ax, [K_ARCHIVE])
        verify_type(doResync, bool)
        verify_type(dontMerge, bool)
        verify_type(syncOpt, SyncOpt, allowNone=True)
        verify_u64(gid, allowNone=True)
        vol = self._vol(aSrc, vol)
        # Asked before the destination is touched: the source may not know the volume.
        wanted = self.get_latest_clean_snapshot(aSrc, vol) if gid is None else gid
        self._prepare_destination(aSrc, vol, aDst, doResync)
        options = syncOpt.getReplicateArgs() if syncOpt else []
        flags = [str(int(doResync)), str(int(dontMerge))]
        self.run_ctl(aSrc, ["replicate", vol, "gid", str(wanted), aDst.get_host_port(), *flags, *options])
        return wanted

    def _prepare_destination(self, aSrc: AnyServer, vol: str, aDst: AnyServer, doResync: bool) -> None:
        """Initialises, checks and grows the copy at the destination."""
        state = self._init_archive_if_clear(aDst, vol)
        if state == aArchived and not doResync:
            uuids = [self.get_archive_uuid(ax, vol) for ax in (aSrc, aDst)]
            if uuids[0] != uuids[1]:
                message = "Archive uuids differ. Try call this with doResync=True"
                raise ControlError(message, aSrc.name, vol, aDst.name, *uuids)
        if not self._exists_base_image(aDst, vol):
            return
        source_mb, copy_mb = self._get_vol_size_mb(aSrc, vol), self._get_vol_size_mb(aDst, vol)
        if source_mb < copy_mb:
            message = "Volume size of aDst is larger than that of aSrc"
            raise ControlError(message, aSrc.name, vol, aDst.name, source_mb, copy_mb)
        if source_mb > copy_mb:
            self.resize_archive(aDst, vol, source_mb, False)

    def replicate_once(
        self,
        aSrc: AnyServer,
        vol: Volume,
        aDst: AnyServer,
        timeoutS: int | None = None,
        doResync: bool = False,
        dontMerge: bool = False,
        syncOpt: SyncOpt | None = None,
        gid: int | None = None,
    ) -> int:
        """replicate_once_nbk, waited for; returns the gid. Destination Archived afterwards."""
        reached = self.replicate_once_nbk(aSrc, vol, aDst, doResync, dontMerge, syncOpt, gid)
        self._wait_for_replicated(aSrc, vol, aDst, reached, timeoutS)
        return reached

    def synchronize(
        self,
        aSrc: AnyServer,
        vol: Volume,
        aDst: AnyServer,
        timeoutS: int | None = None,
        syncOpt: SyncOpt | None = None,
    ) -> None:
        """Brings a destination archive up to date and makes all proxies send it the changes from there on.

        States needed: proxies Started or Stopped, source Archived. Afterwards: Started, destination Archived."""
        for ax in (aSrc, aDst):
            verify_server_kind(ax, [K_ARCHIVE])
        verify_type(syncOpt, SyncOpt, allowNone=True)
        vol = self._vol(aSrc, vol)
        # The proxies rest meanwhile, so that what they keep comes after what is copied.
        for px in self.sLayout.proxyL:
            if self._state(px, vol) in pActive:
                self.run_ctl(px, ["stop", vol, "empty"])
        for px in self.sLayout.proxyL:
            self.wait_for_stopped(px, vol)
            self._put_archive_info(px, vol, aDst, syncOpt, listed=self.get_archive_info_list(px, vol))
        self.replicate_once(aSrc, vol, aDst, timeoutS, syncOpt=syncOpt)
        for px in self.sLayout.proxyL:
            self._start(px, vol)
        self.kick_storage_all()

    def replicate(
        self,
        aSrc: AnyServer,
        vol: Volume,
        aDst: AnyServer,
        synchronizing: bool,
        timeoutS: int | None = None,
        doResync: bool = False,
        dontMerge: bool = False,
        syncOpt: SyncOpt | None = None,
    ) -> None:
        """replicate_once, and with synchronizing also synchronize."""
        verify_type(synchronizing, bool)
        self.replicate_once(aSrc, vol, aDst, timeoutS, doResync, dontMerge, syncOpt)
        if synchronizing:
            self.synchronize(aSrc, vol, aDst, timeoutS, syncOpt)

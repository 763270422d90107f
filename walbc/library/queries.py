"""Questions to servers (python-library.md section 8). None changes anything; states needed are those of walbc's get
targets."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from walbc.library.connection import Connection, Volume
from walbc.library.constants import K_ARCHIVE, K_PROXY, K_STORAGE, RESTORED_VOLUME_PREFIX, UINT64_MAX, Lbs, Mebi
from walbc.library.failure import CommandError, ControlError
from walbc.library.servers import AnyServer, ServerParams, verify_server_kind
from walbc.library.sync_options import CompressOpt, SyncOpt
from walbc.library.texts import parse_ltsv, printL, server_kind_to_str
from walbc.library.values import (
    Diff,
    GidInfo,
    MetaState,
    Snapshot,
    create_diff_from_str,
    create_meta_state_from_str,
    create_snapshot_from_str,
    parse_time,
)
from walbc.library.verify import verify_gid_range, verify_size_unit, verify_type, verify_u64

ActionTimes = dict[str, tuple[int, datetime.datetime | None]]
_ACTION_FIELDS = 3


class Queries(Connection):
    """Everything that only asks."""

    def get_host_type(self, s: AnyServer, quietErr: bool = False) -> str:
        """`storage`, `proxy` or `archive`, as the server itself says."""
        return self.run_ctl(s, ["get", "host-type"], quietErr=quietErr)

    def get_state_all(self, vol: str, sL: Sequence[AnyServer] | None = None) -> None:
        """Prints `NAME ADDR:PORT KIND STATE` for each server, `err` where it cannot be had."""
        verify_type(vol, str)
        for s in self.sLayout.get_all() if sL is None else sL:
            try:
                state = self._shown(s, self._state(s, vol))
            except CommandError:
                state = "err"
            print(s.name, s.get_host_port(), server_kind_to_str(s.kind), state)

    def _state(self, s: AnyServer, vol: str) -> str:
        """The state under the server's own name for it."""
        return self.run_ctl(s, ["get", "state", vol])

    def _shown(self, s: AnyServer, state: str) -> str:
        """The name this API has for a state."""
        return state

    def _native(self, state: str) -> str:
        """The server's name of a state of this API."""
        return state

    def get_state(self, s: AnyServer, vol: Volume) -> str:
        """State of a volume; Clear when the server does not know it."""
        return self._shown(s, self._state(s, self._vol(s, vol)))

    def verify_state(self, s: AnyServer, vol: Volume, state: str) -> None:
        """Raises ControlError unless the volume is in that state."""
        vol = self._vol(s, vol)
        verify_type(state, str)
        found = self._state(s, vol)
        if found != self._native(state):
            raise ControlError("verify_state: differ", s.name, self._shown(s, found), state)

    def get_vol_list(self, s: AnyServer) -> list[str]:
        """Names of the volumes a server knows."""
        return self._lines(s, "get", "vol")

    def _of_archive(self, ax: AnyServer, vol: Volume, target: str, *words: str) -> str:
        verify_server_kind(ax, [K_ARCHIVE])
        return self.run_ctl(ax, ["get", target, self._vol(ax, vol), *words])

    def get_vol_size_lb(self, ax: AnyServer, vol: Volume) -> int:
        """Size of the base image in blocks of 512 bytes."""
        return int(self._of_archive(ax, vol, "vol-size"))

    def _get_vol_size_mb(self, ax: AnyServer, vol: Volume) -> int:
        """Size of the base image in MiB, rounded down."""
        return self.get_vol_size_lb(ax, vol) * Lbs // Mebi

    def get_progress_lb(self, ax: AnyServer, vol: Volume) -> int:
        """Blocks of 512 bytes received by a running full or hash backup or replication, else 0."""
        return int(self._of_archive(ax, vol, "progress"))

    def get_base(self, ax: AnyServer, vol: Volume) -> MetaState:
        """What the base image holds."""
        return create_meta_state_from_str(self._of_archive(ax, vol, "base"))

    def _diff_list(self, ax: AnyServer, vol: Volume, gid0: int, gid1: int) -> list[Diff]:
        verify_gid_range(gid0, gid1, "get_diff_list")
        return _diffs(self._of_archive(ax, vol, "diff", str(gid0), str(gid1)))

    def print_diff_list(self, ax: AnyServer, vol: Volume, gid0: int = 0, gid1: int = UINT64_MAX) -> None:
        """Prints the wdiffs between two gids."""
        printL(self._diff_list(ax, vol, gid0, gid1))

    def get_applicable_diff_list(self, ax: AnyServer, vol: Volume, gid: int = UINT64_MAX) -> list[Diff]:
        """The wdiffs that lead from the base image on, in order, ending at or before gid."""
        verify_u64(gid)
        return _diffs(self._of_archive(ax, vol, "applicable-diff", str(gid)))

    def print_applicable_diff_list(self, ax: AnyServer, vol: Volume, gid: int = UINT64_MAX) -> None:
        """Prints them."""
        printL(self.get_applicable_diff_list(ax, vol, gid))

    def get_num_diff(self, ax: AnyServer, vol: Volume, gid0: int = 0, gid1: int = UINT64_MAX) -> int:
        """How many wdiffs lie between two gids."""
        verify_gid_range(gid0, gid1, "get_num_diff")
        return int(self._of_archive(ax, vol, "num-diff", str(gid0), str(gid1)))

    def get_total_diff_size(self, ax: AnyServer, vol: Volume, gid0: int = 0, gid1: int = UINT64_MAX) -> int:
        """Bytes of the wdiffs between two gids."""
        verify_gid_range(gid0, gid1, "get_total_diff_size")
        return int(self._of_archive(ax, vol, "total-diff-size", str(gid0), str(gid1)))

    def get_num_action(self, s: AnyServer, vol: Volume, action: str) -> int:
        """How often an action is running."""
        verify_type(action, str)
        return int(self.run_ctl(s, ["get", "num-action", self._vol(s, vol), action]))

    def get_all_actions(self, ax: AnyServer) -> dict[str, ActionTimes]:
        """By volume and action: how often it runs, and when it last began (None: never)."""
        verify_server_kind(ax, [K_ARCHIVE])
        return {vol: times for vol, times in map(_action_times, self._lines(ax, "get", "all-actions"))}

    def get_vol_dict_without_running_actions(self, ax: AnyServer) -> dict[str, dict[str, datetime.datetime | None]]:
        """By volume on which no action runs, and by action: when it last began."""
        return {
            vol: {action: begin for action, (_, begin) in times.items()}
            for vol, times in self.get_all_actions(ax).items()
            if sum(count for count, _ in times.values()) == 0
        }

    def get_uuid(self, s: AnyServer, vol: Volume) -> str:
        """uuid of the volume's log."""
        return self.run_ctl(s, ["get", "uuid", self._vol(s, vol)])

    def get_archive_uuid(self, ax: AnyServer, vol: Volume) -> str:
        """uuid of the volume's copies; archives with the same one can exchange wdiffs."""
        return self._of_archive(ax, vol, "archive-uuid")

    def _restorable(self, ax: AnyServer, vol: Volume, opt: str = "") -> list[GidInfo]:
        vol = self._vol(ax, vol)
        verify_type(opt, str)
        if opt not in ("", "all"):
            raise ControlError("get_restorable:bad opt", ax.name, vol, opt)
        words = [opt] if opt else []
        return list(map(GidInfo, self._split(self._of_archive(ax, vol, "restorable", *words))))

    @staticmethod
    def _split(answer: str) -> list[str]:
        return answer.split("\n") if answer else []

    def get_restorable_gid(self, ax: AnyServer, vol: Volume, opt: str = "") -> list[int]:
        """gids that can be restored, explicit snapshots and the base image; with opt `all` implicit ones too."""
        return [info.gid for info in self._restorable(ax, vol, opt)]

    def print_restorable(self, ax: AnyServer, vol: Volume, opt: str = "") -> None:
        """Prints gid, time and explicit flag of what can be restored."""
        printL(self._restorable(ax, vol, opt))

    def get_restored(self, ax: AnyServer, vol: Volume) -> list[int]:
        """gids of the restored volumes."""
        return list(map(int, self._split(self._of_archive(ax, vol, "restored"))))

    def get_cold(self, ax: AnyServer, vol: Volume) -> list[int]:
        """gids of the cold snapshots."""
        return list(map(int, self._split(self._of_archive(ax, vol, "cold"))))

    def get_restored_path(self, ax: AnyServer, vol: Volume, gid: int) -> str:
        """Path of a restored volume. With LVM whether it exists is not checked; plain files must."""
        verify_u64(gid)
        vol = self._vol(ax, vol)
        verify_server_kind(ax, [K_ARCHIVE])
        group = self.run_ctl(ax, ["get", "volume-group"])
        if not group:
            return self._of_archive(ax, vol, "restored-path", str(gid))
        return f"/dev/{group}/{RESTORED_VOLUME_PREFIX}{vol}_{gid}"

    def get_meta_snap(self, ax: AnyServer, vol: Volume, gid: int | None = None) -> Snapshot:
        """The latest snapshot up to a gid."""
        return create_snapshot_from_str(self._of_archive(ax, vol, "meta-snap", *_optional_gid(gid)))

    def get_meta_state(self, ax: AnyServer, vol: Volume, isApplying: bool, gid: int | None = None) -> MetaState:
        """State of the volume at a gid, or (isApplying) as if it were being applied up to there."""
        verify_type(isApplying, bool)
        words = [str(int(isApplying)), *_optional_gid(gid)]
        return create_meta_state_from_str(self._of_archive(ax, vol, "meta-state", *words))

    def get_latest_snapshot_info(self, ax: AnyServer, vol: str | None = None) -> dict[str, int]:
        """The gid of the latest snapshot of one or all volumes of an archive."""
        verify_server_kind(ax, [K_ARCHIVE])
        verify_type(vol, str, allowNone=True)
        lines = self._lines(ax, "get", "latest-snap", *([vol] if vol else []))
        return {fields["name"]: int(fields["gid"]) for fields in map(parse_ltsv, lines)}

    def get_latest_clean_snapshot(self, ax: AnyServer, vol: Volume) -> int:
        """The last explicit restorable gid. Raises ControlError when there is none."""
        gids = self.get_restorable_gid(ax, vol)
        if not gids:
            raise ControlError("get_latest_clean_snapshot:not found", ax.name, vol)
        return gids[-1]

    def get_ts_delta(self, ax: AnyServer) -> list[dict[str, str]]:
        """How far behind each volume's destinations are."""
        return list(map(parse_ltsv, self._lines(ax, "get", "ts-delta")))

    def get_block_hash(
        self, ax: AnyServer, vol: Volume, gid: int, bulkSizeU: str = "64K", scanSizeU: str | None = None
    ) -> str:
        """Hash of the image at a gid; it depends on the bulk size. States needed: Archived or beside a transfer."""
        verify_server_kind(ax, [K_ARCHIVE])
        verify_u64(gid)
        verify_size_unit(bulkSizeU)
        verify_size_unit(scanSizeU, allowNone=True)
        size = [scanSizeU] if scanSizeU else []
        return self.run_ctl(ax, ["bhash", self._vol(ax, vol), str(gid), bulkSizeU, *size])

    def exists_diff(self, ax: AnyServer, vol: Volume, gidB: int, gidE: int) -> bool:
        """Whether there is a wdiff from one clean gid to the other."""
        verify_gid_range(gidB, gidE, "exists_diff")
        ends = map(str, (gidB, gidB, gidE, gidE))
        return self._of_archive(ax, vol, "exists-diff", *ends) == "1"

    def _exists_base_image(self, ax: AnyServer, vol: Volume) -> bool:
        return self._of_archive(ax, vol, "exists-base-image") == "1"

    def is_overflow(self, sx: AnyServer, vol: Volume) -> bool:
        """Whether the log device of a volume has overflowed: then only a hash or full backup brings it back."""
        verify_server_kind(sx, [K_STORAGE])
        return self.run_ctl(sx, ["get", "is-overflow", self._vol(sx, vol)]) == "1"

    def verify_not_overflow(self, sx: AnyServer, vol: Volume) -> None:
        """Raises ControlError if it has."""
        if self.is_overflow(sx, vol):
            raise ControlError("verify_not_overflow", sx.name, self._vol(sx, vol))

    def is_wdiff_send_error(self, px: AnyServer, vol: Volume, ax: AnyServer) -> bool:
        """Whether a proxy has failed to send wdiffs to an archive."""
        verify_server_kind(px, [K_PROXY])
        verify_server_kind(ax, [K_ARCHIVE])
        return self.run_ctl(px, ["get", "is-wdiff-send-error", self._vol(px, vol), ax.name]) == "1"

    def get_archive_info_list(self, px: AnyServer, vol: Volume) -> list[str]:
        """Names of the archives a proxy sends a volume to."""
        verify_server_kind(px, [K_PROXY])
        return self._lines(px, "archive-info", "list", self._vol(px, vol))

    def get_archive_info(self, px: AnyServer, vol: Volume, ax: AnyServer) -> tuple[str, SyncOpt]:
        """`HOST:PORT`, and compression and delay with which a proxy sends a volume to an archive."""
        verify_server_kind(px, [K_PROXY])
        verify_server_kind(ax, [K_ARCHIVE])
        fields = self.run_ctl(px, ["archive-info", "get", self._vol(px, vol), ax.name]).split()
        if len(fields) != 3 or not fields[2].isdigit():
            raise ControlError("get_archive_info: bad value", fields)
        compression = CompressOpt()
        compression.parse(fields[1])
        return fields[0], SyncOpt(compression, int(fields[2]))

    def get_alive_server(self) -> list[str]:
        """Names of the layout's servers that answer."""
        return [s.name for s in self.sLayout.get_all() if self._is_alive(s)]

    def _is_alive(self, s: AnyServer) -> bool:
        try:
            self.get_host_type(s, quietErr=True)
        except CommandError:
            return False
        return True

    def is_synchronizing(self, ax: AnyServer, vol: Volume) -> bool:
        """Whether all proxies send the volume to an archive; False when none does, and without proxies. Raises
        ControlError when some do and some do not."""
        verify_type(ax, ServerParams)
        vol = self._vol(ax, vol)
        listed = [ax.name in self.get_archive_info_list(px, vol) for px in self.sLayout.proxyL]
        if any(listed) and not all(listed):
            raise ControlError("is_synchronizing: some proxies are synchronizing, some are not.", ax.name, vol)
        return any(listed)


def _diffs(answer: str) -> list[Diff]:
    return list(map(create_diff_from_str, answer.split("\n"))) if answer else []


def _optional_gid(gid: int | None) -> list[str]:
    verify_u64(gid, allowNone=True)
    return [] if gid is None else [str(gid)]


def _action_times(line: str) -> tuple[str, ActionTimes]:
    vol, *words = line.split()
    groups = [words[index : index + _ACTION_FIELDS] for index in range(0, len(words), _ACTION_FIELDS)]
    return vol, {name: (int(count), parse_time(begin)) for name, count, begin in groups}

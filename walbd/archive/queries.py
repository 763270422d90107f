"""The `get` targets of an archive (walbc.md section 6, servers.md 2.13 and 6.4).

Each takes the parameters after the target and returns lines. Failed volumes refuse with their reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from walbd.archive.archive import Archive
from walbd.archive.states import WITH_IMAGE
from walbd.archive.volume import ArchiveVolume
from walbd.model.diff import Diff
from walbd.model.error import InvalidArgument, NotFound
from walbd.model.selection import chain_to_gid, in_range, restorable, state_at, total_size_bytes
from walbd.model.snapshot import INVALID_GID, Snapshot
from walbd.model.timetext import pretty
from walbd.model.uuid_text import uuid_hex
from walbd.server.commands import GetHandler
from walbd.server.parameters import Parameters


class Queries:
    """Answers about the volumes of one archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def targets(self) -> Mapping[str, GetHandler]:
        """The targets by name."""
        return {
            "diff": self._diff,
            "num-diff": self._num_diff,
            "total-diff-size": self._total_diff_size,
            "applicable-diff": self._applicable_diff,
            "exists-diff": self._exists_diff,
            "exists-base-image": self._exists_base_image,
            "vol-size": self._vol_size,
            "progress": self._progress,
            "restored": self._restored,
            "restored-path": self._restored_path,
            "cold": self._cold,
            "restorable": self._restorable,
            "uuid": self._uuid,
            "archive-uuid": self._archive_uuid,
            "base": self._base,
            "base-all": self._base_all,
            "meta-snap": self._meta_snap,
            "meta-state": self._meta_state,
            "latest-snap": self._latest_snap,
            "num-action": self._num_action,
            "all-actions": self._all_actions,
            "volume-group": self._volume_group,
            "thinpool": self._thinpool,
            "ts-delta": self._ts_delta,
        }

    def _volume(self, given: Parameters, command: str = "") -> ArchiveVolume:
        """The volume named by the first parameter; `command` names the rule it has to meet."""
        volume = self._archive.volumes.get(given.volume())
        volume.check_usable()
        if command:
            volume.check(command)
        return volume

    def _one(self, params: list[str], command: str = "") -> ArchiveVolume:
        """As _volume, for targets with no other parameter."""
        return self._volume(Parameters(params, 1, 1), command)

    def _is_there(self, given: Parameters) -> bool:
        """Targets that are allowed in any state answer as if a volume that is not there were empty."""
        return self._archive.volumes.find(given.volume()) is not None

    def _diffs(self, params: list[str]) -> list[Diff]:
        """VOL [GID0 [GID1]]: the diffs that begin in that range."""
        given = Parameters(params, 1, 3)
        if not self._is_there(given):
            return []
        return in_range(self._volume(given).content.diffs, given.number(1, 0), given.number(2, INVALID_GID))

    async def _diff(self, params: list[str]) -> list[str]:
        return [diff.list_line() for diff in self._diffs(params)]

    async def _num_diff(self, params: list[str]) -> list[str]:
        return [str(len(self._diffs(params)))]

    async def _total_diff_size(self, params: list[str]) -> list[str]:
        return [str(total_size_bytes(self._diffs(params)))]

    async def _applicable_diff(self, params: list[str]) -> list[str]:
        given = Parameters(params, 1, 2)
        if not self._is_there(given):
            return []
        content = self._volume(given).content
        chosen = chain_to_gid(content.diffs, content.base, given.number(1, INVALID_GID))
        return [diff.list_line() for diff in chosen]

    async def _exists_diff(self, params: list[str]) -> list[str]:
        given = Parameters(params, 5, 5)
        volume = self._volume(given, "get exists-diff")
        begin, end = Snapshot(given.number(1), given.number(2)), Snapshot(given.number(3), given.number(4))
        return [str(int(Diff(begin, end) in volume.content.diffs))]

    async def _exists_base_image(self, params: list[str]) -> list[str]:
        given = Parameters(params, 1, 1)
        if not self._is_there(given):
            return ["0"]
        volume = self._volume(given)
        size_lb = await self._archive.world.run(self._archive.store.base_size_lb, volume.name)
        return [str(int(size_lb is not None))]

    async def _vol_size(self, params: list[str]) -> list[str]:
        return [str(await self._one(params).base_size_lb())]

    async def _progress(self, params: list[str]) -> list[str]:
        given = Parameters(params, 1, 1)
        return [str(self._volume(given).progress_lb if self._is_there(given) else 0)]

    async def _restored_gids(self, volume: ArchiveVolume) -> list[int]:
        return await self._archive.world.run(self._archive.store.restored_gids, volume.name)

    async def _restored(self, params: list[str]) -> list[str]:
        return list(map(str, await self._restored_gids(self._one(params, "get restored"))))

    async def _restored_path(self, params: list[str]) -> list[str]:
        given = Parameters(params, 2, 2)
        volume, gid = self._volume(given, "get restored-path"), given.number(1)
        if gid not in await self._restored_gids(volume):
            hint = f"'get restored {volume.name}' lists what is there, 'restore {volume.name} {gid}' makes it"
            raise NotFound(f"volume not found:{volume.name}:{gid}:restored", hint)
        return [str(self._archive.store.restored_path(volume.name, gid).absolute())]

    async def _cold(self, params: list[str]) -> list[str]:
        return list(map(str, sorted(self._one(params, "get cold").content.cold_times)))

    async def _restorable(self, params: list[str]) -> list[str]:
        given = Parameters(params, 1, 2)
        if given.text(1, "all") != "all":
            raise InvalidArgument(f"parseRestorableParamForGet:bad opt:{given.text(1)}", "write VOL [all]")
        if not self._is_there(given) or not self._volume(given, "get restorable").is_active:
            return []
        content = self._volume(given).content
        return list(map(str, restorable(content.diffs, content.base, all_clean=len(given) > 1)))

    async def _uuid(self, params: list[str]) -> list[str]:
        return [uuid_hex(self._one(params, "get uuid").content.uuid)]

    async def _archive_uuid(self, params: list[str]) -> list[str]:
        return [uuid_hex(self._one(params, "get archive-uuid").content.archive_uuid)]

    async def _base(self, params: list[str]) -> list[str]:
        return [self._one(params, "get base").content.base.text_with_time]

    async def _base_all(self, params: list[str]) -> list[str]:
        volumes = [volume for volume in self._archive.volumes if volume.is_active]
        return [f"name:{volume.name}\tmetastate:{volume.content.base.text_with_time}" for volume in volumes]

    async def _meta_snap(self, params: list[str]) -> list[str]:
        given = Parameters(params, 1, 2)
        content = self._volume(given).content
        return [str(state_at(content.diffs, content.base, given.number(1, INVALID_GID)).snapshot_begin)]

    async def _meta_state(self, params: list[str]) -> list[str]:
        given = Parameters(params, 2, 3)
        content = self._volume(given).content
        if given.text(1) not in ("0", "1"):
            raise InvalidArgument(f"bad isApplying parameter. specify 0 or 1.:{given.text(1)}")
        gid, is_applying = given.number(2, INVALID_GID), given.text(1) == "1"
        return [state_at(content.diffs, content.base, gid, is_applying=is_applying).text_with_time]

    async def _latest_snap(self, params: list[str]) -> list[str]:
        given = Parameters(params, 0, 1)
        if not given:
            volumes = [volume for volume in self._archive.volumes if not volume.failure]
            return [_latest_line(volume) for volume in volumes if volume.machine.state in WITH_IMAGE]
        volume = self._volume(given)
        if volume.machine.state not in WITH_IMAGE:
            raise NotFound(f"could not get latest snapshot for volume:{volume.name}", "it has no backup yet")
        return [_latest_line(volume)]

    async def _num_action(self, params: list[str]) -> list[str]:
        given = Parameters(params, 2, 2)
        actions = self._volume(given, "get num-action").actions
        if not actions.has(given.text(1)):
            raise InvalidArgument(f"no such action:{given.text(1)}", f"use one of {' '.join(actions.names)}")
        return [str(actions.count(given.text(1)))]

    async def _all_actions(self, params: list[str]) -> list[str]:
        return [_actions_line(volume) for volume in self._archive.volumes if volume.is_active]

    async def _volume_group(self, params: list[str]) -> list[str]:
        return [self._archive.store.abilities.volume_group]

    async def _ts_delta(self, params: list[str]) -> list[str]:
        Parameters(params, 0, 0)
        return self._archive.destinations.lines([volume for volume in self._archive.volumes if volume.is_active])

    async def _thinpool(self, params: list[str]) -> list[str]:
        return [self._archive.store.abilities.thin_pool]


def _latest_line(volume: ArchiveVolume) -> str:
    latest = volume.content.latest
    gid = latest.snapshot_begin.gid_begin
    return f"name:{volume.name}\tkind:archive\tgid:{gid}\ttimestamp:{pretty(latest.timestamp)}"


def _actions_line(volume: ArchiveVolume) -> str:
    actions = volume.actions
    words = (f"{name} {actions.count(name)} {pretty(actions.last_begin(name))}" for name in actions.names)
    return " ".join((volume.name, *words))

"""The `get` targets of an archive about one volume or all (walbc.md section 6, servers.md 2.13 and 6.4).

Each takes the parameters after the target and returns lines. Failed volumes refuse with their reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from walbd.archive.archive import Archive
from walbd.archive.states import WITH_IMAGE
from walbd.archive.volume import ArchiveVolume
from walbd.model.diff import Diff
from walbd.model.error import InvalidArgument, NotFound
from walbd.model.selection import chain_to_gid, in_range, restorable, state_at, total_size_bytes
from walbd.model.size import parse_uint
from walbd.model.snapshot import INVALID_GID, Snapshot
from walbd.model.timetext import pretty
from walbd.model.uuid_text import uuid_hex

Query = Callable[[Archive, Sequence[str]], Awaitable[list[str]]]


def _volume(archive: Archive, params: Sequence[str], command: str = "") -> ArchiveVolume:
    """The volume named by the first parameter; `command` names the rule it has to meet."""
    if not params:
        raise InvalidArgument("missing required params: 0 1", "name a volume")
    volume = archive.volumes.get(params[0])
    volume.check_usable()
    if command:
        volume.check(command)
    return volume


def _gids(params: Sequence[str], defaults: Sequence[int]) -> list[int]:
    """The gids given after the volume, completed with defaults."""
    given = [parse_uint(text) for text in params[1 : 1 + len(defaults)]]
    return given + list(defaults[len(given) :])


def _diffs(archive: Archive, params: Sequence[str]) -> list[Diff]:
    """VOL [GID0 [GID1]]: the diffs that begin in that range; none in a volume that is not there."""
    if params and archive.volumes.find(params[0]) is None:
        return []
    volume = _volume(archive, params)
    return in_range(volume.content.diffs, *_gids(params, (0, INVALID_GID)))


async def diff(archive: Archive, params: Sequence[str]) -> list[str]:
    return [diff.list_line() for diff in _diffs(archive, params)]


async def num_diff(archive: Archive, params: Sequence[str]) -> list[str]:
    return [str(len(_diffs(archive, params)))]


async def total_diff_size(archive: Archive, params: Sequence[str]) -> list[str]:
    return [str(total_size_bytes(_diffs(archive, params)))]


async def applicable_diff(archive: Archive, params: Sequence[str]) -> list[str]:
    content = _volume(archive, params).content
    return [diff.list_line() for diff in chain_to_gid(content.diffs, content.base, *_gids(params, (INVALID_GID,)))]


async def exists_diff(archive: Archive, params: Sequence[str]) -> list[str]:
    volume = _volume(archive, params, "get exists-diff")
    if len(params) != 5:
        raise InvalidArgument(f"bad size:5:{len(params)}", "write VOL B0 B1 E0 E1 for |B0,B1|-->|E0,E1|")
    begin_0, begin_1, end_0, end_1 = map(parse_uint, params[1:])
    wanted = Diff(Snapshot(begin_0, begin_1), Snapshot(end_0, end_1))
    return [str(int(wanted in volume.content.diffs))]


async def exists_base_image(archive: Archive, params: Sequence[str]) -> list[str]:
    volume = _volume(archive, params)
    return [str(int(await archive.world.run(archive.store.base_size_lb, volume.name) is not None))]


async def vol_size(archive: Archive, params: Sequence[str]) -> list[str]:
    return [str(await _volume(archive, params).base_size_lb())]


async def progress(archive: Archive, params: Sequence[str]) -> list[str]:
    return [str(_volume(archive, params).progress_lb)]


async def restored(archive: Archive, params: Sequence[str]) -> list[str]:
    volume = _volume(archive, params, "get restored")
    return list(map(str, await archive.world.run(archive.store.restored_gids, volume.name)))


async def restored_path(archive: Archive, params: Sequence[str]) -> list[str]:
    volume = _volume(archive, params, "get restored-path")
    if len(params) != 2:
        raise InvalidArgument(f"bad size:2:{len(params)}", "write VOL GID")
    gid = parse_uint(params[1])
    if gid not in await archive.world.run(archive.store.restored_gids, volume.name):
        raise NotFound(f"volume not found:{volume.name}:{gid}:restored", f"make it with 'restore {volume.name} {gid}'")
    return [str(archive.store.restored_path(volume.name, gid).absolute())]


async def cold(archive: Archive, params: Sequence[str]) -> list[str]:
    """Cold snapshots belong to thin pools."""
    _volume(archive, params, "get cold")
    return []


async def restorable_gids(archive: Archive, params: Sequence[str]) -> list[str]:
    volume = _volume(archive, params, "get restorable")
    if params[1:] not in ([], ["all"]):
        raise InvalidArgument(f"parseRestorableParamForGet:bad opt:{params[1]}", "write VOL [all]")
    if not volume.is_active:
        return []
    content = volume.content
    return list(map(str, restorable(content.diffs, content.base, all_clean=len(params) > 1)))


async def uuid(archive: Archive, params: Sequence[str]) -> list[str]:
    return [uuid_hex(_volume(archive, params, "get uuid").content.uuid)]


async def archive_uuid(archive: Archive, params: Sequence[str]) -> list[str]:
    return [uuid_hex(_volume(archive, params, "get archive-uuid").content.archive_uuid)]


async def base(archive: Archive, params: Sequence[str]) -> list[str]:
    return [_volume(archive, params, "get base").content.base.text_with_time]


async def base_all(archive: Archive, _: Sequence[str]) -> list[str]:
    volumes = [volume for volume in archive.volumes if volume.is_active]
    return [f"name:{volume.name}\tmetastate:{volume.content.base.text_with_time}" for volume in volumes]


async def meta_snap(archive: Archive, params: Sequence[str]) -> list[str]:
    content = _volume(archive, params).content
    return [str(state_at(content.diffs, content.base, *_gids(params, (INVALID_GID,))).snapshot_begin)]


async def meta_state(archive: Archive, params: Sequence[str]) -> list[str]:
    content = _volume(archive, params).content
    if len(params) < 2 or params[1] not in ("0", "1"):
        raise InvalidArgument(f"bad isApplying parameter. specify 0 or 1.:{':'.join(params[1:2])}")
    (gid,) = _gids(params[1:], (INVALID_GID,))
    return [state_at(content.diffs, content.base, gid, is_applying=params[1] == "1").text_with_time]


async def latest_snap(archive: Archive, params: Sequence[str]) -> list[str]:
    if params:
        volumes = [_volume(archive, params)]
        if volumes[0].machine.state not in WITH_IMAGE:
            raise NotFound(f"could not get latest snapshot for volume:{params[0]}", "it has no backup yet")
    else:
        volumes = [volume for volume in archive.volumes if not volume.failure and volume.machine.state in WITH_IMAGE]
    return [_latest_line(volume) for volume in volumes]


def _latest_line(volume: ArchiveVolume) -> str:
    latest = volume.content.latest
    gid = latest.snapshot_begin.gid_begin
    return f"name:{volume.name}\tkind:archive\tgid:{gid}\ttimestamp:{pretty(latest.timestamp)}"


async def num_action(archive: Archive, params: Sequence[str]) -> list[str]:
    volume = _volume(archive, params)
    if len(params) != 2 or not volume.actions.has(params[1]):
        raise InvalidArgument(f"no such action:{':'.join(params[1:])}", f"use one of {' '.join(volume.actions.names)}")
    return [str(volume.actions.count(params[1]))]


async def all_actions(archive: Archive, _: Sequence[str]) -> list[str]:
    return [_actions_line(volume) for volume in archive.volumes if volume.is_active]


def _actions_line(volume: ArchiveVolume) -> str:
    actions = volume.actions
    words = (f"{name} {actions.count(name)} {pretty(actions.last_begin(name))}" for name in actions.names)
    return " ".join((volume.name, *words))


async def volume_group(archive: Archive, _: Sequence[str]) -> list[str]:
    return [archive.store.abilities.volume_group]


async def thinpool(archive: Archive, _: Sequence[str]) -> list[str]:
    return [archive.store.abilities.thin_pool]


QUERIES: Mapping[str, Query] = {
    "diff": diff,
    "num-diff": num_diff,
    "total-diff-size": total_diff_size,
    "applicable-diff": applicable_diff,
    "exists-diff": exists_diff,
    "exists-base-image": exists_base_image,
    "vol-size": vol_size,
    "progress": progress,
    "restored": restored,
    "restored-path": restored_path,
    "cold": cold,
    "restorable": restorable_gids,
    "uuid": uuid,
    "archive-uuid": archive_uuid,
    "base": base,
    "base-all": base_all,
    "meta-snap": meta_snap,
    "meta-state": meta_state,
    "latest-snap": latest_snap,
    "num-action": num_action,
    "all-actions": all_actions,
    "volume-group": volume_group,
    "thinpool": thinpool,
}

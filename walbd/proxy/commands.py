"""Control commands and `get` targets of walb-proxy (servers.md section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from walbd.model.address import Address
from walbd.model.archive_info import ArchiveInfo
from walbd.model.compression import CompressOpt
from walbd.model.error import InvalidArgument, NotFound
from walbd.model.limits import LB_BYTES, check_archive_name, check_volume_size_lb
from walbd.model.selection import newest
from walbd.model.timetext import pretty
from walbd.net.control import ControlRequest
from walbd.proxy.context import Context
from walbd.proxy.states import SENDING
from walbd.proxy.volume import ProxyVolume
from walbd.server.commands import Command, GetHandler, Lines
from walbd.server.parameters import Parameters
from walbd.server.stop_state import StopMode, parse_stop_mode

DEFAULT_COMPRESS = "snappy:0:1"


class ProxyCommands:
    """Handlers; each checks its parameters, then the volume's rules."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def commands(self) -> Mapping[str, Command]:
        """By name."""
        return {
            "archive-info": Command(self._archive_info),
            "clear-vol": Command(self._clear_vol, "clearVol"),
            "start": Command(self._start, "start"),
            "stop": Command(self._stop, "stop"),
            "kick": Command(self._kick, "kick"),
            "resize": Command(self._resize, "resize"),
        }

    def get_targets(self) -> Mapping[str, GetHandler]:
        """By name."""
        return {
            "disk-space": self._get_disk_space,
            "is-wdiff-send-error": self._get_is_wdiff_send_error,
            "proxy-diff": self._get_proxy_diff,
            "latest-snap": self._get_latest_snap,
        }

    def _volume(self, name: str) -> ProxyVolume:
        volume = self._context.volumes.get(name)
        volume.check_usable()
        return volume

    async def _archive_info(self, request: ControlRequest) -> Lines:
        given = Parameters(request.params, 2, 6)
        action, name = given.text(0), given.volume(1)
        match action:
            case "list":
                volume = self._context.volumes.find(name)
                return sorted(volume.queues) if volume else []
            case "get":
                return [str(self._volume(name).queue(check_archive_name(given.text(2))).info)]
            case "delete":
                archive = check_archive_name(given.text(2))
                await self._volume(name).delete_archive(archive)
                self._log(request, f"archive-info {action} succeeded", name, archive)
            case "add" | "update":
                await self._add_or_update(request, given, action)
            case _:
                raise InvalidArgument(
                    f"parseArchiveInfoParam:bad command name:{action}", "use list, get, add, update or delete"
                )
        return None

    async def _add_or_update(self, request: ControlRequest, given: Parameters, action: str) -> None:
        name, archive = given.volume(1), check_archive_name(given.text(2))
        info = ArchiveInfo(
            Address.parse(given.text(3)),
            CompressOpt.parse(given.text(4, DEFAULT_COMPRESS)),
            given.number(5, 0),
        )
        volume = self._context.volumes.find(name) or ProxyVolume(name, self._context)
        await (volume.add_archive if action == "add" else volume.update_archive)(archive, info)
        self._log(request, f"archive-info {action} succeeded", name, archive, info)

    def _log(self, request: ControlRequest, *fields: object) -> None:
        context = self._context
        context.runtime.log.of_connection(context.settings.node_id, request.peer_id).info(*fields)

    async def _clear_vol(self, request: ControlRequest) -> Lines:
        await self._volume(Parameters(request.params, 1, 1).volume()).clear()
        return None

    async def _start(self, request: ControlRequest) -> Lines:
        await self._volume(Parameters(request.params, 1, 1).volume()).start()
        return None

    async def _stop(self, request: ControlRequest) -> Lines:
        given = Parameters(request.params, 1, 2)
        mode = parse_stop_mode(given.text(1), may_be_empty=True)
        volume = self._volume(given.volume())
        pending = volume.request_stop(mode)
        if mode is StopMode.EMPTY:
            volume.retry_now(list(volume.queues.values()))
        await request.accept()
        await volume.complete_stop(pending)
        return None

    async def _kick(self, request: ControlRequest) -> Lines:
        """Forgets send errors and runs the tasks of all volumes, of one, or of one archive now."""
        given = Parameters(request.params, 0, 2)
        if len(given):
            volume = self._volume(given.volume())
            volume.check("kick")
            self._kick_volume(volume, given.text(1))
        else:
            for volume in self._context.volumes:
                if not volume.failure and volume.machine.state in SENDING:
                    self._kick_volume(volume, "")
        return None

    async def _resize(self, request: ControlRequest) -> Lines:
        """Sets the size that archives are told; a test aid: a storage that is larger raises it anyhow."""
        given = Parameters(request.params, 2, 2)
        volume = self._volume(given.volume())
        volume.check("resize")
        await volume.set_size(check_volume_size_lb(given.size_bytes(1) // LB_BYTES))
        return None

    def _kick_volume(self, volume: ProxyVolume, archive: str) -> None:
        volume.retry_now([volume.queue(archive)] if archive else list(volume.queues.values()))

    async def _get_disk_space(self, params: list[str]) -> Sequence[str]:
        Parameters(params, 0, 0)
        return [(await self._context.disk_space.look()).line()]

    async def _get_is_wdiff_send_error(self, params: list[str]) -> Sequence[str]:
        given = Parameters(params, 2, 2)
        return [str(int(self._volume(given.volume()).queue(given.text(1)).is_send_error))]

    async def _get_proxy_diff(self, params: list[str]) -> Sequence[str]:
        given = Parameters(params, 1, 2)
        volume = self._context.volumes.find(given.volume())
        if volume is None or (len(given) > 1 and given.text(1) not in volume.queues):
            return []
        folder = volume.queues[given.text(1)].folder if len(given) > 1 else volume.received
        return [diff.list_line() for diff in folder.diffs]

    async def _get_latest_snap(self, params: list[str]) -> Sequence[str]:
        given = Parameters(params, 0, 1)
        if not len(given):
            return [line for volume in self._context.volumes for line in _latest_snap_lines(volume)]
        try:
            return _latest_snap_lines(self._volume(given.volume()))
        except NotFound as error:
            raise NotFound(f"could not get latest snapshot for volume:{given.volume()}", error.hint) from error


def _latest_snap_lines(volume: ProxyVolume) -> list[str]:
    lines = []
    for queue in volume.queues.values():
        last = newest(queue.folder.diffs)
        gid, timestamp = (last.end.gid_begin, pretty(last.timestamp)) if last else ("", "")
        lines.append(f"name:{volume.name}\tkind:proxy\tarchive:{queue.name}\tgid:{gid}\ttimestamp:{timestamp}")
    return lines

"""Control commands and `get` targets of walb-storage (servers.md section 3.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from walbd.model.error import InvalidArgument, WalbError
from walbd.model.limits import DEFAULT_BULK_BYTES
from walbd.model.timetext import pretty
from walbd.model.uuid_text import uuid_hex
from walbd.net.control import ControlRequest
from walbd.server.commands import Command, GetHandler, Lines
from walbd.server.parameters import Parameters
from walbd.server.stop_state import parse_stop_mode
from walbd.storage.backup import FULL, HASH, Kind, back_up
from walbd.storage.context import Context
from walbd.storage.states import MONITORED, TARGET
from walbd.storage.status import DEVICE_SEC
from walbd.storage.volume import StorageVolume, init_volume

MAX_PATH_CHARS = 4096


class StorageCommands:
    """Handlers; each checks its parameters, then the volume's rules."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def commands(self) -> Mapping[str, Command]:
        """By name."""
        return {
            "init-vol": Command(self._init_vol, "initVol"),
            "clear-vol": Command(self._clear_vol, "clearVol"),
            "start": Command(self._start, "start"),
            "stop": Command(self._stop, "stop"),
            "snapshot": Command(self._snapshot, "snapshot", logs_answer=True),
            "full-bkp": Command(partial(self._back_up, FULL)),
            "hash-bkp": Command(partial(self._back_up, HASH)),
            "reset-vol": Command(self._reset_vol, "reset"),
            "kick": Command(self._kick),
            "set-full-scan-bps": Command(self._set_full_scan_bps, "set-full-scan-bps"),
        }

    def get_targets(self) -> Mapping[str, GetHandler]:
        """By name."""
        return {
            "is-overflow": self._get_is_overflow,
            "uuid": self._get_uuid,
            "log-usage": self._get_log_usage,
            "latest-snap": self._get_latest_snap,
        }

    def _volume(self, params: Sequence[str], index: int = 0) -> StorageVolume:
        volume = self._context.volumes.get(params[index])
        volume.check_usable()
        return volume

    async def _init_vol(self, request: ControlRequest) -> Lines:
        given = Parameters(request.params, 2, 2)
        path = given.text(1)
        if len(path) > MAX_PATH_CHARS or not path.isprintable():
            raise InvalidArgument(
                "bad path of a walb device", "name a device: NAME, /dev/walb/NAME or its control socket"
            )
        await init_volume(self._context, given.volume(), path)
        return None

    async def _clear_vol(self, request: ControlRequest) -> Lines:
        Parameters(request.params, 1, 1).volume()
        await self._volume(request.params).clear()
        return None

    async def _start(self, request: ControlRequest) -> Lines:
        given = Parameters(request.params, 2, 2)
        given.volume()
        volume = self._volume(request.params)
        match given.text(1):
            case "target":
                await volume.start_target()
            case "standby":
                await volume.start_standby()
            case role:
                raise InvalidArgument(f"specify role: target or standby:{role}")
        return None

    async def _stop(self, request: ControlRequest) -> Lines:
        given = Parameters(request.params, 1, 2)
        given.volume()
        mode = parse_stop_mode(given.text(1), may_be_empty=False)
        volume = self._volume(request.params)
        pending = volume.request_stop(mode)
        await request.accept()
        await volume.complete_stop(pending)
        return None

    async def _snapshot(self, request: ControlRequest) -> Lines:
        Parameters(request.params, 1, 1).volume()
        return [str(await self._volume(request.params).snapshot())]

    async def _back_up(self, kind: Kind, request: ControlRequest) -> Lines:
        given = Parameters(request.params, 1, 2)
        given.volume()
        bulk_bytes = given.bulk_bytes(1, DEFAULT_BULK_BYTES)
        await back_up(self._volume(request.params), kind, request, bulk_bytes)
        return None

    async def _reset_vol(self, request: ControlRequest) -> Lines:
        given = Parameters(request.params, 1, 2)
        given.volume()
        volume = self._volume(request.params)
        await volume.reset(given.number(1, volume.records.last_gid))
        return None

    async def _kick(self, request: ControlRequest) -> Lines:
        """Asks unavailable proxies again and runs the tasks of all watched volumes now."""
        context = self._context
        if not context.proxies.available():
            await context.proxies.check_all()
        names = [volume.name for volume in context.volumes if not volume.failure and volume.machine.state in MONITORED]
        for name in names:
            context.queue.push(name)
        context.queue.kick()
        context.runtime.log.info("kick", len(names), ",".join(names))
        return None

    async def _set_full_scan_bps(self, request: ControlRequest) -> Lines:
        self._context.scan_limit.bytes_per_sec = Parameters(request.params, 1, 1).size_bytes(0)
        return None

    async def _get_is_overflow(self, params: list[str]) -> Sequence[str]:
        Parameters(params, 1, 1).volume()
        return [str(int((await self._volume(params).device().info()).is_overflow))]

    async def _get_uuid(self, params: list[str]) -> Sequence[str]:
        Parameters(params, 1, 1).volume()
        return [uuid_hex(self._volume(params).uuid)]

    async def _get_log_usage(self, params: list[str]) -> Sequence[str]:
        given = Parameters(params, 0, 1)
        if len(given):
            given.volume()
            return [await _log_usage_line(self._volume(params))]
        usable = [volume for volume in self._context.volumes if not volume.failure]
        return [line for line in await asyncio.gather(*map(self._log_usage_line_if_told, usable)) if line]

    async def _log_usage_line_if_told(self, volume: StorageVolume) -> str:
        """Nothing when its device does not answer: that hides no other volume."""
        try:
            async with asyncio.timeout(DEVICE_SEC):
                return await _log_usage_line(volume)
        except (WalbError, TimeoutError) as error:
            self._context.runtime.log.warning("log-usage", volume.name, str(error) or "its device does not answer")
            return ""

    async def _get_latest_snap(self, params: list[str]) -> Sequence[str]:
        given = Parameters(params, 0, 1)
        if len(given):
            given.volume()
            volume = self._volume(params)
            if volume.machine.state != TARGET:
                raise InvalidArgument(
                    f"could not get latest snapshot for volume:{volume.name}",
                    f"its state is {volume.state}, not {TARGET}",
                )
            return [_latest_snap_line(volume)]
        return [_latest_snap_line(volume) for volume in self._context.volumes if volume.state == TARGET]


async def _log_usage_line(volume: StorageVolume) -> str:
    info = await volume.device().info()
    return f"name:{volume.name}\tusage_pb:{info.log_usage_pb}\tcapacity_pb:{info.ring_size_pb}\tpbs:{info.pbs}"


def _latest_snap_line(volume: StorageVolume) -> str:
    record = volume.records.newest
    return (
        f"name:{volume.name}\tkind:storage\tgid:{record.gid}\tlsid:{record.lsid}\ttimestamp:{pretty(record.timestamp)}"
    )

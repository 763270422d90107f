"""The control commands of walb-archive (walbc.md section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping

from walbd.archive.archive import Archive
from walbd.archive.restore import delete_restored, restore
from walbd.archive.volume_commands import clear_volume, init_volume, reset_volume, start_volume
from walbd.net.control import ControlRequest
from walbd.server.commands import Command
from walbd.server.parameters import Parameters
from walbd.server.stop_state import parse_stop_mode


def command_table(archive: Archive) -> Mapping[str, Command]:
    """Handlers by command name."""

    async def init_vol(request: ControlRequest) -> None:
        await init_volume(archive, Parameters(request.params, 1, 1).volume())

    async def clear_vol(request: ControlRequest) -> None:
        await clear_volume(archive, Parameters(request.params, 1, 1).volume())

    async def reset_vol(request: ControlRequest) -> None:
        await reset_volume(archive, Parameters(request.params, 1, 1).volume())

    async def start(request: ControlRequest) -> None:
        await start_volume(archive, Parameters(request.params, 1, 1).volume())

    async def stop(request: ControlRequest) -> None:
        given = Parameters(request.params, 1, 2)
        volume = archive.volumes.get(given.volume())
        pending = volume.request_stop(parse_stop_mode(given.text(1), may_be_empty=False))
        try:
            await request.accept()
        finally:
            await volume.complete_stop(pending)

    async def restore_gid(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        await restore(archive, given.volume(), given.number(1), request)

    async def del_restored(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        await delete_restored(archive, given.volume(), given.number(1))

    return {
        "init-vol": Command(init_vol, "initVol"),
        "clear-vol": Command(clear_vol, "clearVol"),
        "reset-vol": Command(reset_vol, "reset"),
        "start": Command(start, "start"),
        "stop": Command(stop, "stop"),
        "restore": Command(restore_gid),
        "del-restored": Command(del_restored, "del-restored"),
    }

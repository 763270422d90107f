"""Commands on the device of a volume: `resize`, `dbg-dump-logpack-header` (servers.md section 3.3)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from walbd.model.error import InvalidArgument
from walbd.model.limits import INVALID_LSID, LB_BYTES, check_range, check_volume_size_lb
from walbd.net.control import ControlRequest
from walbd.server.commands import Command, Lines
from walbd.server.parameters import Parameters
from walbd.storage.context import Context
from walbd.storage.volume import StorageVolume
from walbd.wlog.ring import read_ring
from walbd.wlog.super_sector import read_super_sector


def upkeep_commands(context: Context) -> Mapping[str, Command]:
    """By name."""

    def volume_of(given: Parameters, command: str) -> StorageVolume:
        volume = context.volumes.get(given.volume())
        volume.check(command)
        return volume

    async def do_resize(request: ControlRequest) -> Lines:
        given = Parameters(request.params, 2, 2)
        await resize(volume_of(given, "resize"), given.size_bytes(1) // LB_BYTES)
        return None

    async def do_dump(request: ControlRequest) -> Lines:
        given = Parameters(request.params, 2, 2)
        lsid = check_range("lsid", given.number(1), 0, INVALID_LSID - 1)
        return [await dump_logpack_header(volume_of(given, "dbg-dump-logpack-header"), lsid)]

    return {
        "resize": Command(do_resize, "resize"),
        "dbg-dump-logpack-header": Command(do_dump, "dbg-dump-logpack-header"),
    }


async def resize(volume: StorageVolume, size_lb: int) -> None:
    """Grows the walb device, whose data device has been grown before; 0 means as large as that. Nothing happens when
    it has the size already. Raises InvalidArgument for a smaller one."""
    now_lb = (await volume.device().info()).size_lb
    if size_lb:
        check_volume_size_lb(size_lb)
        if size_lb < now_lb:
            raise InvalidArgument(f"shrink is not supported:{now_lb}:{size_lb}", "a device can only grow")
    if size_lb != now_lb:
        await volume.device().resize(size_lb)


async def dump_logpack_header(volume: StorageVolume, lsid: int) -> str:
    """Writes the physical block at lsid, whatever it holds, to `logpackheader-LSID` in the volume's folder; returns the
    path."""
    info = await volume.device().info()
    path = volume.folder.path / f"logpackheader-{lsid}"
    fd = volume.device().open_log()

    def dump() -> None:
        block = bytearray(info.pbs)
        try:
            read_ring(fd, read_super_sector(fd, info.pbs, info.ldev_path), lsid, memoryview(block))
        finally:
            os.close(fd)
        volume.folder.files.save(path, bytes(block))

    await volume.runtime.world.run(dump)
    return str(path)

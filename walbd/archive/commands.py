"""The control commands of walb-archive (walbc.md section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping

from walbd.archive import debug
from walbd.archive.apply import apply
from walbd.archive.archive import Archive
from walbd.archive.cold import delete_cold
from walbd.archive.merge import MergeRange, merge
from walbd.archive.replicate import Replication, replicate
from walbd.archive.resize import resize
from walbd.archive.restore import Time, delete_restored, restore
from walbd.archive.scan import image_hash
from walbd.archive.snapshots import change_snapshots, collect_garbage
from walbd.archive.volume_commands import clear_volume, init_volume, reset_volume, start_volume
from walbd.model.address import Address
from walbd.model.compression import CompressOpt
from walbd.model.error import InvalidArgument
from walbd.model.limits import DEFAULT_BULK_BYTES, LB_BYTES, MIB_BYTES
from walbd.model.state import MetaState
from walbd.model.timetext import parse_pretty
from walbd.model.uuid_text import parse_uuid
from walbd.net.control import ControlRequest
from walbd.server.commands import Command
from walbd.server.parameters import Parameters
from walbd.server.stop_state import parse_stop_mode

TIME_PREFIX = "@"
ZERO_CLEAR = "zeroclear"
DEFAULT_MERGE_BYTES = 1 << 30


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

    async def restore_snapshot(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        is_time = given.text(1).startswith(TIME_PREFIX)
        wanted = Time(parse_pretty(given.text(1)[1:])) if is_time else given.number(1)
        await restore(archive, given.volume(), wanted, request)

    async def del_restored(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        await delete_restored(archive, given.volume(), given.number(1))

    async def del_cold(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        await delete_cold(archive, given.volume(), given.number(1))

    async def apply_diffs(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        await apply(archive, given.volume(), given.number(1), request)

    async def merge_diffs(request: ControlRequest) -> None:
        given = Parameters(request.params, 4, 4)
        await merge(archive, given.volume(), _merge_range(given), request)

    async def replicate_volume(request: ControlRequest) -> None:
        given = Parameters(request.params, 4, 9)
        await replicate(archive, given.volume(), _replication(given), request)

    async def enable_snapshot(request: ControlRequest) -> None:
        given = Parameters(request.params, 2)
        await change_snapshots(archive, given.volume(), given.numbers(1), is_enabled=True)

    async def disable_snapshot(request: ControlRequest) -> None:
        given = Parameters(request.params, 2)
        await change_snapshots(archive, given.volume(), given.numbers(1), is_enabled=False)

    async def gc_diff(request: ControlRequest) -> None:
        await collect_garbage(archive, Parameters(request.params, 1, 1).volume())

    async def resize_volume(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 3)
        if given.text(2, ZERO_CLEAR) != ZERO_CLEAR:
            raise InvalidArgument(f"bad resize parameter:{given.text(2)}", f"write VOL SIZE [{ZERO_CLEAR}]")
        await resize(archive, given.volume(), given.size_bytes(1) // LB_BYTES)

    async def bhash(request: ControlRequest) -> list[str]:
        # The fifth, a share of time to sleep, has no effect, as in the reference.
        given = Parameters(request.params, 2, 5)
        bulk_bytes, size_lb = given.bulk_bytes(2, DEFAULT_BULK_BYTES), given.size_bytes(3, 0) // LB_BYTES
        digest = await image_hash(archive, given.volume(), given.number(1), bulk_bytes, size_lb, request)
        return [digest.hex()]

    async def dbg_reload_metadata(request: ControlRequest) -> None:
        await debug.reload_metadata(archive, Parameters(request.params, 1, 1).volume())

    async def dbg_set_uuid(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        await debug.set_uuid(archive, given.volume(), parse_uuid(given.text(1)))

    async def dbg_set_state(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        await debug.set_state(archive, given.volume(), given.text(1))

    async def dbg_set_base(request: ControlRequest) -> None:
        given = Parameters(request.params, 2, 2)
        await debug.set_base(archive, given.volume(), MetaState.parse(given.text(1), archive.world.now()))

    return {
        "init-vol": Command(init_vol, "initVol"),
        "clear-vol": Command(clear_vol, "clearVol"),
        "reset-vol": Command(reset_vol, "reset"),
        "start": Command(start, "start"),
        "stop": Command(stop, "stop"),
        "restore": Command(restore_snapshot),
        "del-restored": Command(del_restored, "del-restored"),
        "del-cold": Command(del_cold, "del-cold"),
        "apply": Command(apply_diffs),
        "merge": Command(merge_diffs),
        "enable-snapshot": Command(enable_snapshot),
        "disable-snapshot": Command(disable_snapshot),
        "gc-diff": Command(gc_diff),
        "resize": Command(resize_volume),
        "replicate": Command(replicate_volume),
        "bhash": Command(bhash),
        "dbg-reload-metadata": Command(dbg_reload_metadata, "dbg-reload-metadata"),
        "dbg-set-uuid": Command(dbg_set_uuid, "dbg-set-uuid"),
        "dbg-set-state": Command(dbg_set_state, "dbg-set-state"),
        "dbg-set-base": Command(dbg_set_base, "dbg-set-base"),
    }


def _merge_range(given: Parameters) -> MergeRange:
    """VOL GIDB gid GIDE, or VOL GIDB size MIB."""
    gid_begin, kind, value = given.number(1), given.text(2), given.number(3)
    if kind == "size":
        return MergeRange(gid_begin, max_bytes=value * MIB_BYTES)
    if kind != "gid":
        raise InvalidArgument(f"bad merge parameter:{kind}", "write VOL GIDB gid GIDE, or VOL GIDB size MIB")
    if gid_begin >= value:
        raise InvalidArgument(f"bad gid range:{gid_begin}:{value}", "the second gid must be larger")
    return MergeRange(gid_begin, gid_end=value)


def _replication(given: Parameters) -> Replication:
    """`size MIB` or `gid GID`, HOST:PORT [RESYNC [DONTMERGE [CMPR [MAXMERGE [BULK]]]]]."""
    by, number = given.text(1), given.number(2)
    if by not in ("size", "gid"):
        raise InvalidArgument(f"bad replicate parameter:{by}", "write size MIB or gid GID")
    max_merge_bytes = given.size_bytes(7, DEFAULT_MERGE_BYTES)
    if max_merge_bytes == 0:
        raise InvalidArgument("MAXMERGE must not be 0")
    return Replication(
        Address.parse(given.text(3)),
        number * MIB_BYTES if by == "size" else 0,
        number if by == "gid" else None,
        given.number(4, 0) != 0,
        given.number(5, 0) == 0,
        CompressOpt.parse(given.text(6, "snappy:0:1")),
        max_merge_bytes,
        given.bulk_bytes(8, DEFAULT_BULK_BYTES),
    )

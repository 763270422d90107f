"""wldev-info: the super sector of a log device."""

from __future__ import annotations

import json
import struct

from walbd.model.limits import LB_BYTES
from walbd.model.uuid_text import uuid_hex
from walbd.tools.places import open_device
from walbd.tools.tool import DONE, JSON, VERBOSE, Tool, run_tool
from walbd.wlog.super_sector import SuperSector, read_super_sector
from walbd.world.command_line import Arguments

_HEAD = struct.Struct("<HHI")


def fields(super_sector: SuperSector) -> dict[str, int | str]:
    """What is shown, by the names that the reference gives it."""
    sector_type, version, checksum = _HEAD.unpack_from(super_sector.pack())
    return {
        "sectorType": sector_type,
        "version": version,
        "checksum": checksum,
        "lbs": LB_BYTES,
        "pbs": super_sector.pbs,
        "metadataSize": 0,
        "salt": super_sector.salt,
        "name": super_sector.name,
        "ringBufferSize": super_sector.ring_size_pb,
        "oldestLsid": super_sector.oldest_lsid,
        "writtenLsid": super_sector.written_lsid,
        "deviceSize": super_sector.device_size_lb,
        "ringBufferOffset": super_sector.ring_offset_pb,
        "uuid": uuid_hex(super_sector.uuid),
    }


def _run(arguments: Arguments) -> int:
    with open_device(arguments.positional[0]) as fd:
        shown = fields(read_super_sector(fd))
    if JSON.name in arguments:
        print(json.dumps(shown))
    else:
        print("\n".join(f"{key}: {value}" for key, value in shown.items()))
    return DONE


TOOL = Tool("wldev-info", "LDEV", "Shows the super sector of a log device.", (JSON, VERBOSE), _run, 1, 1)


def main() -> int:
    """Entry point."""
    return run_tool(TOOL)

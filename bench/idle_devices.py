"""A stand-in for many walb devices on which nothing happens: it answers what a storage asks of their control sockets.

python -m bench.idle_devices FOLDER COUNT      sockets FOLDER/dN.ctl, all on one formatted log device
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from walbd.device.control import CONTROL_SUFFIX, decode_line, encode_line, info_to_json, lsids_to_json
from walbd.device.device import DeviceInfo, LsidSet
from walbd.wlog.super_sector import read_super_sector

NOWHERE = LsidSet(0, 0, 0, 0, 0, 0, 0)


def device_name(number: int) -> str:
    """Of one of them."""
    return f"d{number}"


class IdleDevice:
    """Answers for one device."""

    def __init__(self, name: str, log: Path) -> None:
        with open(log, "rb") as file:
            sector = read_super_sector(file.fileno())
        self._info = DeviceInfo(
            name, "user", sector.device_size_lb, sector.pbs, sector.uuid, sector.salt, sector.ring_size_pb, False, 0,
            str(log), str(log),
        )  # fmt: skip

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while line := await reader.readline():
            request = decode_line(line)
            if request["op"] == "info":
                writer.write(encode_line({"ok": info_to_json(self._info)}))
                continue
            if request["op"] == "wait":
                await asyncio.sleep(float(request["timeout_sec"]))
            writer.write(encode_line({"ok": {"lsids": lsids_to_json(NOWHERE), "events": 0}}))
        writer.close()


async def main() -> None:
    """Serves until killed."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    for number in range(count):
        name = device_name(number)
        device = IdleDevice(name, folder / "idle.ldev")
        await asyncio.start_unix_server(device.serve, str(folder / (name + CONTROL_SUFFIX)))
    (folder / "ready").touch()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

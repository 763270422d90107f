"""A walb device of this process: the WalbDevice protocol over two plain files."""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from tests.wlog.pack_builder import PackBuilder
from walbd._core import ffi
from walbd.device.device import DeviceInfo, LsidSet
from walbd.model.error import InvalidArgument, NotFound, PeerUnreachable
from walbd.wlog.format_ldev import format_ldev
from walbd.wlog.super_sector import SuperSector, read_super_sector, write_super_sector

LB = 512


class FakeDevice:
    """Everything written is permanent at once and written back (`written_back`) when asked. `hangs`: requests are not
    answered; `is_away`: the device server is not there."""

    def __init__(self, folder: Path, name: str = "w0", size_lb: int = 256, ring_pb: int = 4096) -> None:
        folder.mkdir(exist_ok=True)
        self.name = name
        self.log_path, self.data_path = folder / f"{name}.log", folder / f"{name}.data"
        self.size_lb = size_lb
        if not self.log_path.exists():
            self.log_path.write_bytes(bytes((ring_pb + 10) * LB))
            self.data_path.write_bytes(bytes(size_lb * LB))
            with open(self.log_path, "r+b") as file:
                format_ldev(file.fileno(), size_lb, name)
        self.latest = self.permanent = self.written_back = self.oldest = 0
        self.is_overflow = False
        self.hangs = False
        self.is_waited_for = False
        self.is_away = False
        self.given_free: list[int] = []
        self.closed = 0
        self._changed = asyncio.Event()

    @property
    def super_sector(self) -> SuperSector:
        with open(self.log_path, "rb") as file:
            return read_super_sector(file.fileno())

    def content(self) -> bytes:
        return self.data_path.read_bytes()

    def write(self, offset_lb: int, data: bytes, *, is_permanent: bool = True) -> None:
        """A write as a file system would make it."""
        sector = self.super_sector
        builder = PackBuilder(sector)
        memory = ffi.from_buffer(data)
        builder.add(offset_lb, len(data) // LB, memory)
        builder.build(self.latest, self.oldest + sector.ring_size_pb)
        with open(self.log_path, "r+b") as file:
            builder.write(file.fileno())
        with open(self.data_path, "r+b") as file:
            os.pwrite(file.fileno(), data, offset_lb * LB)
        self.latest = builder.end_lsid
        if is_permanent:
            self.permanent = self.latest
        self.tell()

    def _write_super(self, sector: SuperSector) -> None:
        with open(self.log_path, "r+b") as file:
            write_super_sector(file.fileno(), sector)

    def damage_log(self, lsid: int) -> None:
        """Overwrites one block of the ring."""
        sector = self.super_sector
        with open(self.log_path, "r+b") as file:
            file.seek((sector.ring_offset_pb + lsid % sector.ring_size_pb) * sector.pbs)
            file.write(b"\x55" * sector.pbs)

    def checkpoint(self) -> None:
        """Everything is on the data device."""
        self.written_back = self.permanent
        self.tell()

    def tell(self) -> None:
        """Wakes whoever waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _check(self) -> None:
        await asyncio.sleep(0)
        while self.hangs:
            self.is_waited_for = True
            await self._changed.wait()
        if self.is_away:
            raise PeerUnreachable(f"cannot reach walb device {self.name}", "is walb-device running?")

    async def info(self) -> DeviceInfo:
        await self._check()
        sector = self.super_sector
        return DeviceInfo(
            self.name, "fake", self.size_lb, sector.pbs, sector.uuid, sector.salt, sector.ring_size_pb,
            self.is_overflow, self.latest - self.oldest, str(self.log_path), str(self.data_path),
        )  # fmt: skip

    async def lsids(self) -> LsidSet:
        await self._check()
        return LsidSet(
            self.latest, self.latest, self.permanent, self.permanent, self.written_back, self.written_back, self.oldest
        )

    async def wait(self, seen: LsidSet, timeout_sec: float) -> LsidSet:
        now = await self.lsids()
        if now == seen:
            try:
                async with asyncio.timeout(timeout_sec / 100):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return await self.lsids()

    async def set_oldest(self, lsid: int) -> None:
        await self._check()
        if not self.oldest <= lsid <= self.written_back:
            raise InvalidArgument(f"{lsid} is not in {self.oldest}..{self.written_back}")
        self.given_free.append(lsid)
        self.oldest = lsid
        self.tell()

    async def reset_wal(self) -> None:
        await self._check()
        sector = self.super_sector
        fresh = SuperSector(
            sector.pbs, secrets.randbits(32), secrets.token_bytes(16), sector.name, sector.ring_size_pb, 0, 0,
            sector.device_size_lb,
        )  # fmt: skip
        self._write_super(fresh)
        self.latest = self.permanent = self.written_back = self.oldest = 0
        self.is_overflow = False
        self.tell()

    async def resize(self, size_lb: int) -> None:
        await self._check()
        self.size_lb = size_lb or self.data_path.stat().st_size // LB

    def open_log(self) -> int:
        return os.open(self.log_path, os.O_RDONLY)

    def open_data(self) -> int:
        return os.open(self.data_path, os.O_RDONLY)

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Devices:
    """What resolve_device finds."""

    by_name: dict[str, FakeDevice]

    def resolve(self, spec: str, socket_dir: object) -> FakeDevice:
        device = self.by_name.get(spec.rpartition("/")[2])
        if device is None:
            raise NotFound(f"no walb device {spec}", "start it")
        return device

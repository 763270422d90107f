"""A walb-archive in this process, and peers that speak to it over the loopback."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.archive.packs import LB, Io, pack_stream
from walbd.archive.daemon import ArchiveDaemon
from walbd.archive.options import ArchiveSettings
from walbd.model.address import Address
from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.diff import Diff
from walbd.model.snapshot import Snapshot
from walbd.net import full_backup, hash_backup, virtual_scan, wdiff_transfer
from walbd.net.backup import BackupRequest
from walbd.net.client import connect
from walbd.net.control import call
from walbd.net.full_backup import FullBackupSender
from walbd.net.handshake import Identity
from walbd.net.hash_backup import HashBackupSender
from walbd.net.stream import Hooks
from walbd.net.virtual_scan import ScanReceiver, ScanRequest
from walbd.net.wdiff_transfer import Answer, WdiffRequest, WdiffSender
from walbd.server.base_directory import BaseDirectory
from walbd.server.log import Log
from walbd.server.repeats import Repeats
from walbd.server.runtime import Runtime
from walbd.wdiff.codec import decompress
from walbd.world.world import World

UUID = bytes(range(16))
OTHER_UUID = bytes(range(16, 32))
START_SEC = 1_700_000_000
BULK_BYTES = 64 << 10
WORLD = World()
PLAIN = CompressOpt(CompressionType.NONE, 0, 1)


class Records(logging.Handler):
    """Keeps `LEVEL text` of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


class Collected:
    """An image in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, _: int, data: memoryview) -> None:
        self.data += data

    def zeros(self, _: int, length: int) -> None:
        self.data += bytes(length)


@dataclass
class Peers:
    """What walbc, a storage and a proxy do with the archive at a port."""

    port: int

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    async def call(self, command: str, *params: str, wait: bool = True) -> list[str]:
        me = Identity("c0", "walbc")
        return (await call(WORLD, self.address, command, params, me, wait=wait)).strings

    async def get(self, *params: str) -> list[str]:
        return await self.call("get", *params)

    async def full_backup(
        self,
        image: bytes,
        snapshot: Snapshot = Snapshot(0, 1),  # noqa: B008 - a frozen value
        uuid: bytes = UUID,
        volume: str = "v0",
        before: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Sends an image as a storage does; `before` is called before each step."""
        request = BackupRequest("storage", volume, len(image) // LB, START_SEC, BULK_BYTES, PLAIN)

        def read_at(offset: int, memory: memoryview) -> None:
            memory[:] = image[offset : offset + len(memory)]

        me = Identity("s0", "storage")
        async with await connect(WORLD, self.address, full_backup.COMMAND, me) as connection:
            sender = FullBackupSender(connection, request)
            for step, action in (
                ("ask", sender.ask),
                ("uuid", lambda: sender.send_log_uuid(uuid)),
                ("image", lambda: sender.send_image(read_at)),
                ("snapshot", lambda: sender.send_snapshot(snapshot)),
            ):
                before(step)
                await action()

    async def hash_backup(
        self,
        image: bytes,
        gid_end: int,
        uuid: bytes = OTHER_UUID,
        volume: str = "v0",
        before: Callable[[str], None] = lambda _: None,
        bulk_bytes: int = 4096,
    ) -> int:
        """Sends what differs as a storage does; returns the begin gid of the snapshot, which ends with gid_end at
        least."""
        request = BackupRequest("storage", volume, len(image) // LB, START_SEC + 100, bulk_bytes, PLAIN)

        def read_at(offset: int, memory: memoryview) -> None:
            memory[:] = image[offset : offset + len(memory)]

        async with await connect(WORLD, self.address, hash_backup.COMMAND, Identity("s0", "storage")) as connection:
            sender = HashBackupSender(connection, request)
            before("ask")
            gid = await sender.ask()
            before("uuid")
            await sender.send_log_uuid(uuid)
            before("image")
            await sender.send_image(read_at)
            before("snapshot")
            await sender.send_snapshot(Snapshot(gid, max(gid, gid_end)))
        return gid

    async def offer(self, diff: Diff, ios: list[Io], **fields: Any) -> Answer:
        """Sends a diff as a proxy does; returns the archive's answer."""
        values: dict[str, Any] = {"host_kind": "proxy", "volume": "v0", "uuid": UUID, "size_lb": 128} | fields
        stream = memoryview(pack_stream(ios))
        position = 0

        def read(memory: memoryview) -> int:
            nonlocal position
            piece = stream[position : position + min(len(memory), 1000)]
            memory[: len(piece)] = piece
            position += len(piece)
            return len(piece)

        me = Identity("p0", "proxy")
        async with await connect(WORLD, self.address, wdiff_transfer.COMMAND, me) as connection:
            sender = WdiffSender(connection)
            answer = await sender.ask(WdiffRequest(diff=diff, **values))
            if answer is Answer.ACCEPT:
                await sender.send_packs(read)
            return answer

    async def scan(self, gid: int, volume: str = "v0", size_lb: int = 0) -> bytes:
        """The image of a gid as virt-full-scan gives it."""
        sink = Collected()
        async with await connect(WORLD, self.address, virtual_scan.COMMAND, Identity("c0", "walbc")) as connection:
            receiver = ScanReceiver(connection, ScanRequest(volume, gid, BULK_BYTES, size_lb, 0))
            size = await receiver.ask()
            unsnappy = partial(decompress, CompressionType.SNAPPY)
            await receiver.receive_image(size, sink, unsnappy, Hooks())
            await receiver.confirm()
        return bytes(sink.data)

    async def restored_content(self, gid: int, volume: str = "v0") -> bytes:
        """Restores a gid and returns its content."""
        await self.call("restore", volume, str(gid))
        (path,) = await self.get("restored-path", volume, str(gid))
        return content(Path(path))


@dataclass
class RunningArchive(Peers):
    """A daemon of this process."""

    daemon: ArchiveDaemon
    lines: list[str]
    task: asyncio.Task[bool]

    @property
    def base(self) -> Path:
        return self.daemon.base_dir

    async def until(self, condition: Callable[[], bool], limit_sec: float = 20) -> None:
        """Waits for a condition that depends on states and actions."""
        assert await self.daemon.runtime.changes.wait_for(condition, limit_sec)


@asynccontextmanager
async def running_archive(
    folder: Path, world: World | None = None, daemon_class: type[ArchiveDaemon] = ArchiveDaemon, **settings: Any
) -> AsyncIterator[RunningArchive]:
    """Runs a walb-archive on a free port; it is ended by force if the test has not."""
    world = world or World()
    records = Records()
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(records)
    runtime = Runtime.make(world, Log(logger, Repeats(world.monotonic)))
    base = BaseDirectory(world.files, folder, "archive", create=False)
    daemon = daemon_class(
        ArchiveSettings(**({"port": 0, "bind": "127.0.0.1", "node_id": "a0", "base_dir": str(folder)} | settings)),
        runtime,
    )
    task = asyncio.create_task(daemon.run(base.volume_names(runtime.log)))
    task.add_done_callback(lambda _: runtime.changes.notify())
    while not task.done() and not any("Ready to accept" in line for line in records.lines):  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    try:
        yield RunningArchive(daemon.port, daemon, records.lines, task)
    finally:
        if not task.done():
            runtime.shutdown.request("force")
        await task
        base.close()


def clean_diff(begin: int, end: int, is_mergeable: bool = True) -> Diff:
    """The diff |begin|-->|end|."""
    return Diff(Snapshot.clean(begin), Snapshot.clean(end), is_mergeable, timestamp=START_SEC + end)


def content(path: Path) -> bytes:
    return path.read_bytes()


def names(folder: Path, pattern: str = "*") -> list[str]:
    """Names in a folder that match a pattern."""
    return sorted(path.name for path in folder.glob(pattern))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""Each data conversation as a pair of programs with volumes in memory."""

from __future__ import annotations

import hashlib
import random
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from tests.net.net_testing import SERVER, STORAGE
from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.diff import Diff
from walbd.model.snapshot import Snapshot
from walbd.net import full_backup, hash_backup, wdiff_transfer, wlog_transfer
from walbd.net.backup import BackupRequest
from walbd.net.client import connect
from walbd.net.connection import Connection, Timing
from walbd.net.full_backup import FullBackupReceiver, FullBackupSender
from walbd.net.hash_backup import HashBackupReceiver, HashBackupSender
from walbd.net.stream import Hooks
from walbd.net.wdiff_transfer import Answer, WdiffReceiver, WdiffRequest, WdiffSender
from walbd.net.wlog_transfer import WlogEnd, WlogReceiver, WlogRequest, WlogSender
from walbd.wdiff.pack_file import PackReceiver
from walbd.wdiff.virtual import VirtualImage
from walbd.world.world import World

UUID = bytes(range(16))
DIFF = Diff(Snapshot.clean(3), Snapshot.clean(5), is_mergeable=True, timestamp=1_700_000_000)
SNAPSHOT = Snapshot(0, 2)
TIMING = Timing(timeout_sec=5.0)


def content(length: int, seed: int = 1) -> bytes:
    """Random bytes with zero areas and compressible ones."""
    rng, parts = random.Random(seed), []
    while sum(map(len, parts)) < length:
        parts.append(rng.choice([bytes(65536), rng.randbytes(65536), b"ab" * 32768]))
    return b"".join(parts)[:length]


@dataclass
class Source:
    """Sequential bytes, as LogSource and Merger give them."""

    data: bytes
    position: int = 0

    def read(self, buffer: memoryview) -> int:
        piece = self.data[self.position : self.position + len(buffer)]
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)


@dataclass
class Talk:
    """One conversation and what both sides made of it."""

    data: bytes
    received: bytearray = field(default_factory=bytearray)
    confirmed: bool = False
    """The server has made everything durable and is about to say so."""
    progress: list[int] = field(default_factory=list)
    client_hooks: Hooks = field(default_factory=Hooks)
    server_hooks: Hooks = field(default_factory=Hooks)

    command = ""

    async def serve(self, connection: Connection) -> None:
        raise NotImplementedError

    async def run(self, world: World, timing: Timing = TIMING) -> None:
        """The client's side."""
        async with await connect(world, SERVER, self.command, STORAGE, timing) as connection:
            await self.talk(connection)

    async def talk(self, connection: Connection) -> None:
        raise NotImplementedError


class FullBackup(Talk):
    command = full_backup.COMMAND
    log_uuid = b""

    def write(self, offset: int, data: memoryview) -> None:
        self.received[offset : offset + len(data)] = data

    def zeros(self, offset: int, length: int) -> None:
        self.received[offset : offset + length] = bytes(length)

    async def serve(self, connection: Connection) -> None:
        receiver = FullBackupReceiver(connection)
        request = await receiver.receive_request()
        self.received = bytearray(b"?" * (request.size_lb * 512))
        await receiver.accept()
        self.log_uuid = await receiver.receive_log_uuid()
        await receiver.confirm()
        await receiver.receive_image(self, lambda data, _: zlib.decompress(data), self.server_hooks)
        await receiver.confirm()
        assert await receiver.receive_snapshot() == SNAPSHOT
        self.confirmed = True
        await receiver.confirm()

    async def talk(self, connection: Connection) -> None:
        compress = CompressOpt(CompressionType.GZIP, 1, 2)
        request = BackupRequest("storage", "vol0", len(self.data) // 512, 1_700_000_000, 65536, compress)
        sender = FullBackupSender(connection, request)
        await sender.ask()
        await sender.send_log_uuid(UUID)

        def read_at(offset: int, buffer: memoryview) -> None:
            buffer[:] = self.data[offset : offset + len(buffer)]

        await sender.send_image(read_at, self.client_hooks)
        await sender.send_snapshot(SNAPSHOT)


class HashBackup(Talk):
    """Against an image of which every other 64 KiB differ; what was received is that image with the packs laid over."""

    command = hash_backup.COMMAND
    key = b""

    async def serve(self, connection: Connection) -> None:
        receiver, packs = HashBackupReceiver(connection), bytearray()
        request = await receiver.receive_request()
        assert request.backup.size_lb == len(self.data) // 512
        self.key = request.key
        older = bytearray(self.data)
        for at in range(0, len(older), 131072):
            older[at] ^= 1
        await receiver.accept(Snapshot(3, 5))
        assert await receiver.receive_log_uuid() == UUID
        await receiver.confirm()
        await receiver.receive_differences(Source(bytes(older)).read, packs.extend, self.server_hooks)
        self.received = laid_over(older, bytes(packs))
        await receiver.confirm()
        assert await receiver.receive_snapshot() == Snapshot(6, 7)
        self.confirmed = True
        await receiver.confirm()

    async def talk(self, connection: Connection) -> None:
        compress = CompressOpt(CompressionType.SNAPPY, 0, 2)
        request = BackupRequest("storage", "vol0", len(self.data) // 512, 1_700_000_000, 65536, compress)
        sender = HashBackupSender(connection, request)
        assert await sender.ask() == 6
        await sender.send_log_uuid(UUID)

        def read_at(offset: int, buffer: memoryview) -> None:
            buffer[:] = self.data[offset : offset + len(buffer)]

        await sender.send_image(read_at, self.client_hooks)
        await sender.send_snapshot(Snapshot(6, 7))


def laid_over(image: bytearray, packs: bytes) -> bytearray:
    """The image that packs make of another one."""
    with tempfile.TemporaryDirectory() as folder:
        base, diff = Path(folder) / "base", Path(folder) / "diff"
        base.write_bytes(image)
        with open(diff, "wb", buffering=0) as file:
            receiver = PackReceiver(file.fileno(), UUID)
            receiver.feed(packs)
            receiver.finish()
        with open(base, "rb") as file, VirtualImage(file.fileno(), [diff], len(image)) as virtual:
            virtual.read(image)
    return image


class WlogTransfer(Talk):
    command = wlog_transfer.COMMAND

    async def serve(self, connection: Connection) -> None:
        receiver = WlogReceiver(connection)
        request = await receiver.receive_request()
        await receiver.accept()
        end = await receiver.receive_log(self.received.extend, self.server_hooks)
        assert end == WlogEnd(request.begin_lsid + len(self.data) // 512, DIFF)
        self.confirmed = True
        await receiver.confirm()

    async def talk(self, connection: Connection) -> None:
        blocks = len(self.data) // 512
        sender = WlogSender(connection)
        await sender.ask(WlogRequest("vol0", UUID, 512, 7, 1 << 20, 100, blocks))
        await sender.send_log(Source(self.data).read, lambda: WlogEnd(100 + blocks, DIFF), self.client_hooks)


class WdiffTransfer(Talk):
    command = wdiff_transfer.COMMAND

    async def serve(self, connection: Connection) -> None:
        receiver = WdiffReceiver(connection)
        request = await receiver.receive_request()
        assert request == WdiffRequest("proxy", "vol0", UUID, 1 << 20, DIFF)
        await receiver.answer(Answer.ACCEPT)
        await receiver.receive_packs(self.received.extend, self.server_hooks)
        self.confirmed = True
        await receiver.confirm()

    async def talk(self, connection: Connection) -> None:
        sender = WdiffSender(connection)
        assert await sender.ask(WdiffRequest("proxy", "vol0", UUID, 1 << 20, DIFF)) is Answer.ACCEPT
        await sender.send_packs(Source(self.data).read, self.client_hooks)


TALKS = (FullBackup, HashBackup, WlogTransfer, WdiffTransfer)


def digest(data: bytes | bytearray) -> str:
    """For short messages when contents differ."""
    return hashlib.sha256(data).hexdigest()

"""Daemons in this process, with time that passes quickly, and stand-ins for their peers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from walbd.model.address import Address
from walbd.model.diff import Diff
from walbd.model.snapshot import Snapshot
from walbd.net import full_backup, hash_backup, wdiff_transfer, wlog_transfer
from walbd.net.connection import Connection
from walbd.net.control import ControlRequest, call, control_conversation
from walbd.net.full_backup import FullBackupReceiver
from walbd.net.handshake import Identity
from walbd.net.hash_backup import HashBackupReceiver
from walbd.net.server import Conversation, Server
from walbd.net.stream import Hooks
from walbd.net.wdiff_transfer import Answer, WdiffReceiver, WdiffRequest
from walbd.net.wlog_transfer import WlogReceiver, WlogRequest
from walbd.server.base_directory import BaseDirectory
from walbd.server.daemon import Daemon
from walbd.server.log import Log
from walbd.server.repeats import Repeats
from walbd.server.runtime import Runtime
from walbd.world.files import Files
from walbd.world.network import Network
from walbd.world.world import World

CONTROL = Identity("c0", "walbc")
LIMIT_SEC = 20.0
# So much faster than the real clock: a retry after a second or a check each ten seconds costs a test nothing.
SPEED = 100

D = TypeVar("D", bound=Daemon[Any, Any])


class QuickWorld(World):
    """The real world with a fast clock; now() counts from a fixed time."""

    def __init__(self, files: Files | None = None, network: Network | None = None, speed: float = SPEED) -> None:
        super().__init__(files, network)
        self._speed = speed
        self._begin = super().monotonic()

    def now(self) -> int:
        return 1_700_000_000 + int(self.monotonic() - self._begin * self._speed)

    def monotonic(self) -> float:
        return super().monotonic() * self._speed

    async def sleep(self, sec: float) -> None:
        await asyncio.sleep(max(sec, 0) / self._speed)


class Records(logging.Handler):
    """Keeps `LEVEL text` of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


async def until(condition: Callable[[], object], limit_sec: float = LIMIT_SEC) -> None:
    """Waits until a condition holds that has no event of its own."""
    async with asyncio.timeout(limit_sec):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


@dataclass
class Running(Generic[D]):
    """A daemon at work."""

    daemon: D
    lines: list[str]
    task: asyncio.Task[bool]
    world: World

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.daemon.port)

    async def call(self, command: str, *params: str, wait: bool = True) -> list[str]:
        async with asyncio.timeout(LIMIT_SEC):
            return (await call(self.world, self.address, command, params, CONTROL, wait=wait)).strings

    async def get(self, *params: str) -> list[str]:
        return await self.call("get", *params)

    async def state(self, volume: str = "v0") -> str:
        return (await self.get("state", volume))[0]

    def has_logged(self, text: str) -> bool:
        return any(text in line for line in self.lines)


@asynccontextmanager
async def running_daemon(
    daemon_class: type[D], settings: Any, world: World | None = None, mode: str = "force"
) -> AsyncIterator[Running[D]]:
    """Runs a daemon on a free port until the test leaves, and then ends it."""
    world = world or QuickWorld()
    records = Records()
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(records)
    runtime = Runtime.make(world, Log(logger, Repeats(world.monotonic)))
    base = BaseDirectory(world.files, Path(settings.base_dir), daemon_class.kind, create=True)
    daemon = daemon_class(settings, runtime)
    task = asyncio.create_task(daemon.run(base.volume_names(runtime.log)))
    try:
        await until(lambda: task.done() or any("Ready to accept" in line for line in records.lines))
        yield Running(daemon, records.lines, task, world)
    finally:
        if not task.done():
            runtime.shutdown.request(mode)
        async with asyncio.timeout(LIMIT_SEC):
            await task
        base.close()


@dataclass
class Received:
    """One transfer of log that a FakeProxy took."""

    request: WlogRequest
    data: bytes
    end_lsid: int
    diff: Diff


Handlers = Mapping[str, Conversation]


class FakePeer:
    """A server with scripted conversations. `start` may be called again after `stop`, on the same port."""

    def __init__(self, kind: str, node_id: str) -> None:
        self.kind = kind
        self.port = 0
        self._me = Identity(node_id, kind)
        self._world = World()
        self._serving: asyncio.Task[None] | None = None
        self._server: Server | None = None
        self.asked = 0

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.port)

    def conversations(self) -> dict[str, Callable[[Connection], Awaitable[None]]]:
        raise NotImplementedError

    async def start(self) -> None:
        listener = self._world.network.listen("127.0.0.1", self.port)
        self.port = listener.port
        table = {name: Conversation(serve, False) for name, serve in self.conversations().items()}
        table["get"] = control_conversation(self._get)
        self._server = Server(self._world, self._me, table, lambda *_: None)
        self._serving = asyncio.create_task(self._server.serve(listener))

    async def stop(self) -> None:
        if self._serving and self._server:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
            await self._server.end_connections()
            self._serving = None

    async def _get(self, request: ControlRequest) -> list[str]:
        self.asked += 1
        return [self.kind]


class FakeProxy(FakePeer):
    """Keeps the logs it gets. `before_ack` is called (and may wait or raise) when a log is complete."""

    def __init__(self, node_id: str = "p0") -> None:
        super().__init__("proxy", node_id)
        self.received: list[Received] = []
        self.refusal: Exception | None = None
        self.before_ack: Callable[[], Awaitable[None]] | None = None

    def conversations(self) -> dict[str, Callable[[Connection], Awaitable[None]]]:
        return {wlog_transfer.COMMAND: self._receive}

    async def _receive(self, connection: Connection) -> None:
        receiver, data = WlogReceiver(connection), bytearray()
        request = await receiver.receive_request()
        if self.refusal:
            raise self.refusal
        await receiver.accept()
        end = await receiver.receive_log(data.extend)
        self.received.append(Received(request, bytes(data), end.end_lsid, end.diff))
        if self.before_ack:
            await self.before_ack()
        await receiver.confirm()

    def diffs(self) -> list[str]:
        return [str(received.diff) for received in self.received]


@dataclass
class Offer:
    """One diff a FakeArchive was offered, and what came with it."""

    request: WdiffRequest
    answer: Answer
    packs: bytes = b""


class ImageMemory:
    """An ImageSink in memory."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(b"\xee" * size)

    def write(self, offset: int, data: memoryview) -> None:
        self.data[offset : offset + len(data)] = data

    def zeros(self, offset: int, length: int) -> None:
        self.data[offset : offset + length] = bytes(length)


@dataclass
class Backup:
    """A backup a FakeArchive took; `packs` are the differences of a hash backup from an image of zeros."""

    uuid: bytes = b""
    image: bytes = b""
    snapshot: Snapshot | None = None
    packs: bytes = b""


class FakeArchive(FakePeer):
    """Answers offers of diffs by `answers` (the last one for ever) and takes full and hash backups. `at_step` is called
    with ask, uuid, image, snapshot, pack, and may wait or raise. `latest` is what hash backups come after."""

    latest = Snapshot(3, 5)

    def __init__(self, node_id: str = "a0") -> None:
        super().__init__("archive", node_id)
        self.answers: list[Answer | Exception] = [Answer.ACCEPT]
        self.offers: list[Offer] = []
        self.backups: list[Backup] = []
        self.at_step: Callable[[str], Awaitable[None]] | None = None
        self.steps: list[str] = []

    def conversations(self) -> dict[str, Callable[[Connection], Awaitable[None]]]:
        return {
            wdiff_transfer.COMMAND: self._receive,
            full_backup.COMMAND: self._backup,
            hash_backup.COMMAND: self._hash_backup,
        }

    def accepted(self) -> list[str]:
        return [str(offer.request.diff) for offer in self.offers if offer.answer is Answer.ACCEPT]

    async def _step(self, name: str) -> None:
        self.steps.append(name)
        if self.at_step:
            await self.at_step(name)

    async def _receive(self, connection: Connection) -> None:
        receiver, data = WdiffReceiver(connection), bytearray()
        request = await receiver.receive_request()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        offer = Offer(request, answer)
        if answer is not Answer.ACCEPT:
            self.offers.append(offer)
        await receiver.answer(answer)
        if answer is Answer.ACCEPT:
            await receiver.receive_packs(data.extend)
            await self._step("pack")
            offer.packs = bytes(data)
            self.offers.append(offer)
            await receiver.confirm()

    async def _backup(self, connection: Connection) -> None:
        receiver, backup = FullBackupReceiver(connection), Backup()
        request = await receiver.receive_request()
        await self._step("ask")
        await receiver.accept()
        backup.uuid = await receiver.receive_log_uuid()
        await self._step("uuid")
        await receiver.confirm()
        memory = ImageMemory(request.size_lb * 512)
        await receiver.receive_image(memory, None)
        await self._step("image")
        await receiver.confirm()
        backup.image, backup.snapshot = bytes(memory.data), await receiver.receive_snapshot()
        await self._step("snapshot")
        self.backups.append(backup)
        await receiver.confirm()

    async def _hash_backup(self, connection: Connection) -> None:
        receiver, backup, packs = HashBackupReceiver(connection), Backup(), bytearray()
        await receiver.receive_request()
        await self._step("ask")
        await receiver.accept(self.latest)
        backup.uuid = await receiver.receive_log_uuid()
        await self._step("uuid")
        await receiver.confirm()

        def read(memory: memoryview) -> int:
            memory[:] = bytes(len(memory))
            return len(memory)

        await receiver.receive_differences(read, packs.extend, Hooks())
        await self._step("image")
        await receiver.confirm()
        backup.packs, backup.snapshot = bytes(packs), await receiver.receive_snapshot()
        await self._step("snapshot")
        self.backups.append(backup)
        await receiver.confirm()


class Gate:
    """Holds whoever calls it until the test opens it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, *_: object) -> None:
        self.reached.set()
        await self.opened.wait()


@dataclass
class FaultyFiles(Files):
    """Fails durable steps: `fails(operation, path)` decides, `log` notes all of them in order."""

    fails: Callable[[str, Path], bool] = lambda *_: False
    log: list[tuple[str, Path]] = field(default_factory=list)

    def _step(self, operation: str, path: Path) -> None:
        from walbd.model.error import StorageFailure

        self.log.append((operation, path))
        if self.fails(operation, path):
            raise StorageFailure(f"cannot {operation} {path}: No space left on device")

    def save(self, path: Path, data: bytes) -> None:
        self._step("save", path)
        super().save(path, data)

    def remove(self, path: Path) -> None:
        self._step("remove", path)
        super().remove(path)

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename", new)
        super().rename(old, new)

    def sync_folder(self, folder: Path) -> None:
        self._step("sync", folder)
        super().sync_folder(folder)

"""A small daemon for tests of what all daemons share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import FakeWorld
from walbd.model.address import Address
from walbd.net.connection import Connection
from walbd.net.control import ControlRequest, call
from walbd.net.control_reply import Outcome
from walbd.net.frame import FrameType
from walbd.net.handshake import Identity
from walbd.net.server import Handler
from walbd.server.command_rules import Answer, CommandRule, rule_table
from walbd.server.commands import Command, GetHandler
from walbd.server.common_options import CommonSettings
from walbd.server.daemon import Daemon
from walbd.server.log import Log
from walbd.server.parameters import Parameters
from walbd.server.repeats import Repeats
from walbd.server.runtime import Runtime
from walbd.server.state_machine import StateTable, Transition
from walbd.server.stop_state import StopMode, parse_stop_mode
from walbd.server.tasks import Slots
from walbd.server.volume import Volume
from walbd.world.world import World

TABLE = StateTable(
    "test",
    [
        Transition("Clear", "InitVol", "Ready", "init-vol"),
        Transition("Ready", "Backup", "Running", "full-bkp"),
        Transition("Ready", "Remove", "Clear", "clear-vol"),
        Transition("Ready", "Remove", "Ready", "clear-vol of a part"),
        Transition("Running", "Stop", "Ready", "stop"),
        Transition("Running", "Drain", "Ready", "stop empty"),
        Transition("Running", "Receive", "Running", "transfer"),
    ],
)
RULES = rule_table(
    CommandRule("stop", ("Running", "Receive", "Drain", "Backup"), Answer.ASYNC),
    CommandRule("start", ("Ready",), forbids=("Send",), not_stopping=True),
    CommandRule("get", None, not_stopping=True),
)


class Records(logging.Handler):
    """Keeps the text of each record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


def make_runtime(world: World | None = None) -> tuple[Runtime, list[str]]:
    """A runtime and the lines its log gets."""
    world = world or FakeWorld()
    logger = logging.Logger("test", logging.DEBUG)
    records = Records()
    logger.addHandler(records)
    return Runtime.make(world, Log(logger, Repeats(world.monotonic))), records.lines


class SmallVolume(Volume):
    """A volume that can be stopped from Running and drained."""

    def __init__(self, runtime: Runtime, state: str = "Running", name: str = "v0") -> None:
        super().__init__(name, runtime, TABLE, RULES, ("Send",), state)
        self.queued = 0
        self.ended: list[StopMode] = []

    def is_empty(self) -> bool:
        return self.queued == 0

    def stop_transition(self, mode: StopMode) -> str | None:
        if self.machine.state != "Running":
            return None
        return "Drain" if mode is StopMode.EMPTY else "Stop"

    async def end_service(self, mode: StopMode) -> None:
        self.ended.append(mode)


class SmallDaemon(Daemon[CommonSettings, SmallVolume]):
    """Has a command that works until told, a stop, and a failing command."""

    kind = "storage"

    def __init__(self, settings: CommonSettings, runtime: Runtime) -> None:
        super().__init__(settings, runtime)
        self.go = asyncio.Event()
        self.loaded: list[str] = []
        self.events: list[str] = []

    async def recover(self, volume_names: list[str]) -> None:
        self.loaded = volume_names
        self.volumes.add(SmallVolume(self.runtime))

    async def begin_service(self) -> None:
        self.events.append("begin")
        self.runtime.changes.notify()

    async def end_service(self) -> None:
        self.events.append("end")

    def command_table(self) -> Mapping[str, Command]:
        return {"restore": Command(self._work, "restore"), "stop": Command(self._stop, "stop")}

    def get_table(self) -> Mapping[str, GetHandler]:
        return {"word": self._word}

    async def status(self, params: list[str]) -> Sequence[str]:
        return [f"hostType {self.kind}", *params]

    def data_conversations(self) -> Mapping[str, Handler]:
        return {"transfer": self._transfer, "wait": self._wait}

    async def _work(self, request: ControlRequest) -> None:
        volume = self.volumes.get(Parameters(request.params, 1).volume())
        work = self.works.begin("restore", volume.name, Slots.FOREGROUND, volume.is_cancelled, 10)
        with work, volume.actions.running("Send"):
            await request.accept()
            self.events.append("accepted")
            self.runtime.changes.notify()
            await self.runtime.changes.wait_for(lambda: self.go.is_set() or work.is_cancelled())
            work.check_cancelled()

    async def _stop(self, request: ControlRequest) -> None:
        params = Parameters(request.params, 1, 2)
        volume = self.volumes.get(params.volume())
        pending = volume.request_stop(parse_stop_mode(params.text(1), may_be_empty=True))
        await request.accept()
        await volume.complete_stop(pending)

    async def _word(self, params: list[str]) -> Sequence[str]:
        return ["word", *params]

    async def _wait(self, connection: Connection) -> None:
        with self.works.begin("wait", "v0", Slots.RECEIVE):
            try:
                self.events.append("waiting")
                self.runtime.changes.notify()
                await connection.recv(FrameType.OK)
            except asyncio.CancelledError:
                self.events.append("cancelled")
                raise

    async def _transfer(self, connection: Connection) -> None:
        await connection.end()


@dataclass
class Running:
    """A daemon at work on a free port, with the real clock and network."""

    daemon: SmallDaemon
    lines: list[str]
    task: asyncio.Task[bool]

    async def call(self, command: str, *params: str, wait: bool = False) -> Outcome:
        me = Identity("c0", "walbc")
        return await call(World(), Address("127.0.0.1", self.daemon.port), command, params, me, wait=wait)

    async def until(self, event: str) -> None:
        await self.daemon.runtime.changes.wait_for(lambda: event in self.daemon.events)


@asynccontextmanager
async def running_daemon(folder: Path, **settings: object) -> AsyncIterator[Running]:
    """Runs a SmallDaemon and ends it by force if the test has not."""
    runtime, lines = make_runtime(World())
    values = CommonSettings(port=0, bind="127.0.0.1", node_id="s0", base_dir=str(folder), **settings)  # type: ignore[arg-type]
    daemon = SmallDaemon(values, runtime)
    task = asyncio.create_task(daemon.run(["v0"]))
    task.add_done_callback(lambda _: runtime.changes.notify())
    await runtime.changes.wait_for(lambda: "begin" in daemon.events or task.done())
    try:
        yield Running(daemon, lines, task)
    finally:
        if not task.done():
            runtime.shutdown.request("force")
            await task

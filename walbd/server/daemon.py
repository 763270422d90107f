"""The life of a daemon: start, service, shutdown (servers.md section 2.5).

Start: base directory, log (banner, options), recovery, port, `run:Ready to accept connections`.
End: `shutdown graceful` waits for running work; `shutdown force`, SIGTERM, SIGINT, SIGQUIT and SIGABRT end it at the
next block, and within 10 s in any case. SIGHUP reopens the log, SIGPIPE is ignored. A service manager is told of each
step.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from walbd.model.error import Cancelled, WalbError
from walbd.net.connection import Connection, Timing
from walbd.net.handshake import Identity
from walbd.net.server import Conversation, Server
from walbd.net.server import Handler as ConnectionHandler
from walbd.server.about import banner
from walbd.server.commands import Command, Commands, GetHandler
from walbd.server.common_options import CommonSettings
from walbd.server.exec_program import HostPrograms
from walbd.server.log import defect_text
from walbd.server.periodic import repeat
from walbd.server.runtime import Runtime
from walbd.server.shutdown import FORCE
from walbd.server.tasks import WorkTable
from walbd.server.volume import Volume
from walbd.server.volume_table import VolumeTable
from walbd.world.network import KeepAlive

FORCE_STEP_SEC = 2.0
CANCEL_SEC = 0.5
"""How long a forced shutdown lets each of its three steps end by itself, and then cancelled: within 10 s in all."""
SUPPRESSED_PERIOD_SEC = 10.0
FORCE_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT)

S = TypeVar("S", bound=CommonSettings)
V = TypeVar("V", bound=Volume)


class Daemon(ABC, Generic[S, V]):
    """Base of the three daemons. Subclasses load volumes, serve conversations and end their own services."""

    kind: ClassVar[str]
    creates_base: ClassVar[bool] = True

    def __init__(self, settings: S, runtime: Runtime) -> None:
        self.settings = settings
        self.runtime = runtime
        self.base_dir = Path(settings.base_dir)
        self.identity = Identity(settings.node_id, self.kind)
        self.volumes = VolumeTable[V]()
        self.works = WorkTable(runtime, settings.max_foreground, settings.max_connections)
        self.commands = Commands(
            runtime,
            settings.node_id,
            self.kind,
            self.volumes,
            self.works,
            self.status,
            self.command_table(),
            self.get_table(),
            HostPrograms(runtime, settings.allow_exec).serve,
        )
        self.port = 0
        self._server: Server | None = None

    @property
    def timing(self) -> Timing:
        """Time-outs of every connection of this daemon, accepted or its own."""
        settings = self.settings
        probes = KeepAlive(settings.keep_idle_sec, settings.keep_interval_sec, settings.keep_count)
        return Timing(settings.timeout_sec, probes if settings.keep_alive else None)

    @abstractmethod
    async def recover(self, volume_names: list[str]) -> None:
        """Loads the volumes and finishes what a crash has interrupted, before anything is accepted. A volume that
        cannot be loaded is marked failed; raising ends the daemon."""

    @abstractmethod
    def command_table(self) -> Mapping[str, Command]:
        """The commands besides the common ones; called by __init__, so handlers are bound methods."""

    @abstractmethod
    def get_table(self) -> Mapping[str, GetHandler]:
        """The get targets besides the common ones."""

    @abstractmethod
    async def status(self, params: list[str]) -> Sequence[str]:
        """The lines of `status`: of the volume that params names, or of the whole server when it is empty."""

    @abstractmethod
    def data_conversations(self) -> Mapping[str, ConnectionHandler]:
        """What other daemons may ask for. Each handler registers its work in `works`."""

    @classmethod
    def check_settings(cls, settings: S) -> list[str]:
        """What --check looks at for this kind of daemon alone; blocks and changes nothing. Returns warnings, raises
        WalbError when the daemon could not start."""
        return []

    async def begin_service(self) -> None:
        """Starts queues and monitors, once the port is open."""

    async def end_service(self) -> None:
        """Ends monitors, then queues, each waiting for its running task."""

    def is_idle(self) -> bool:
        """Whether a graceful shutdown may go on."""
        return not self.works.running() and not self.commands.running_count

    async def run(self, volume_names: list[str]) -> bool:
        """Serves until a shutdown is requested. False when work did not end in time and must be abandoned."""
        log, shutdown, manager = self.runtime.log, self.runtime.shutdown, self.runtime.manager
        with _signals(self.runtime):
            reporter = asyncio.create_task(self._report_suppressed())
            beating = asyncio.create_task(manager.keep_beating(self._status_line, self.runtime.world.sleep))
            try:
                await self._unless_forced(self.recover(volume_names))
                listener = self.runtime.world.network.listen(self.settings.bind, self.settings.port)
                self.port = listener.port
                self._server = Server(
                    self.runtime.world,
                    self.identity,
                    self._conversations(),
                    self._on_connection_error,
                    timing=self.timing,
                    max_data_connections=self.settings.max_connections,
                )
                serving = asyncio.create_task(self._server.serve(listener))
                serving.add_done_callback(lambda _: self.runtime.changes.notify())
                await self.begin_service()
                log.info("run", f"listening on {self.settings.bind or '*'}:{self.port}")
                log.info("run", "Ready to accept connections")
                manager.ready(self._status_line())
                await self.runtime.changes.wait_for(lambda: shutdown.is_requested or serving.done())
                if serving.done():
                    await serving
                return await self._end(serving)
            except Cancelled:
                return True
            finally:
                reporter.cancel()
                beating.cancel()

    def _conversations(self) -> dict[str, Conversation]:
        data = {name: Conversation(self._counted(serve), False) for name, serve in self.data_conversations().items()}
        return {**self.commands.conversations(), **data}

    def _counted(self, serve: ConnectionHandler) -> ConnectionHandler:
        async def counted(connection: Connection) -> None:
            stats, clock = self.commands.stats, self.runtime.world.monotonic
            stats.count_command(connection.command, connection.peer_id)
            begin = clock()
            await serve(connection)
            stats.add_latency(connection.command, clock() - begin)

        return counted

    async def _end(self, serving: asyncio.Task[None]) -> bool:
        log, shutdown, changes = self.runtime.log, self.runtime.shutdown, self.runtime.changes
        log.info("run", "Waiting for remaining tasks")
        self.runtime.manager.stopping(self._status_line(), is_patient=not shutdown.is_forced)
        # Connections are accepted meanwhile: `status`, and the second request that escalates.
        await changes.wait_for(lambda: shutdown.is_forced or self.is_idle())
        await self._within_limit(changes.wait_for(self.is_idle))
        serving.cancel()
        ended = await self._within_limit(self.end_service())
        if self._server:
            # What waits for a peer, and so did not see the request, is cancelled here. A peer that does not take its
            # last message is no reason to speak of abandoned work.
            await self._within_limit(self._server.end_connections())
        return ended and self.is_idle()

    async def _within_limit(self, step: Coroutine[Any, Any, object]) -> bool:
        """Runs a step of the shutdown; False when a forced one did not let it end in time, even cancelled."""
        task = asyncio.ensure_future(step)
        changes, shutdown = self.runtime.changes, self.runtime.shutdown
        task.add_done_callback(lambda _: changes.notify())
        await changes.wait_for(lambda: shutdown.is_forced or task.done())
        if not await changes.wait_for(task.done, FORCE_STEP_SEC):
            task.cancel()
            await changes.wait_for(task.done, CANCEL_SEC)
        if task.done() and not task.cancelled() and (error := task.exception()):
            self.runtime.log.error("shutdown", error if isinstance(error, WalbError) else defect_text(error))
        return task.done()

    async def _unless_forced(self, step: Coroutine[Any, Any, None]) -> None:
        """Runs a step of the start; a forced shutdown cancels it (raises Cancelled)."""
        task = asyncio.ensure_future(step)
        task.add_done_callback(lambda _: self.runtime.changes.notify())
        await self.runtime.changes.wait_for(lambda: task.done() or self.runtime.shutdown.is_forced)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise Cancelled("the start was ended by a shutdown")
        task.result()

    def _status_line(self) -> str:
        """What a service manager shows."""
        if self.runtime.shutdown.is_requested:
            return "waiting for remaining tasks"
        if not self.port:
            return "loading volumes"
        failed = sum(volume.failure is not None for volume in self.volumes)
        return f"port {self.port}, {len(self.volumes)} volumes" + (f", {failed} failed" if failed else "")

    async def _report_suppressed(self) -> None:
        async def report() -> None:
            self.runtime.log.write_suppressed()

        await repeat(self.runtime, "log", report, SUPPRESSED_PERIOD_SEC)

    def _on_connection_error(self, connection: Connection, error: BaseException) -> None:
        log = self.runtime.log.of_connection(self.settings.node_id, connection.peer_id or connection.peer)
        if isinstance(error, WalbError):
            log.warning(connection.command or "handshake", error)
        else:
            log.error(connection.command or "handshake", defect_text(error))


@contextlib.contextmanager
def _signals(runtime: Runtime) -> Any:
    """Handles the signals of a daemon while the block runs."""
    loop = asyncio.get_running_loop()

    def force(number: signal.Signals) -> None:
        runtime.log.info("shutdown", FORCE, number.name)
        runtime.shutdown.request(FORCE)

    def reload() -> None:
        with runtime.manager.reloading():
            runtime.log.reopen()

    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for number in FORCE_SIGNALS:
        loop.add_signal_handler(number, force, number)
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        for number in (*FORCE_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)


def banner_lines(daemon_kind: str, settings: CommonSettings) -> list[str]:
    """First lines of the log."""
    return [f"starting {banner(daemon_kind)}", *settings.dump()]

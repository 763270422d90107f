"""Control commands: dispatch, logging, and the commands all daemons have (servers.md sections 2.13 and 7).

A handler checks, does the work and returns the lines of its answer. One whose work is long calls `request.accept()`
as soon as the work is certain to begin. It goes on whether the client waits or not.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from walbd.model.error import InvalidArgument
from walbd.net.control import ControlRequest, control_conversation
from walbd.net.server import Conversation
from walbd.server.about import version_line
from walbd.server.handler_stats import HandlerStats
from walbd.server.parameters import Parameters
from walbd.server.runtime import Runtime
from walbd.server.shutdown import GRACEFUL
from walbd.server.tasks import WorkTable

Lines = Sequence[str] | None
CommandHandler = Callable[[ControlRequest], Awaitable[Lines]]
GetHandler = Callable[[list[str]], Awaitable[Sequence[str]]]
"""Takes the parameters after the target's name."""

MAX_SLEEP_SEC = 86400


@dataclass(frozen=True)
class Command:
    """A row of a daemon's command table. A command with a log name is logged when it succeeds, as `LOG_NAME
    succeeded:PARAMETER:...`; the first `name_words` parameters belong to the name, `logs_answer` adds the answer."""

    handler: CommandHandler
    log_name: str = ""
    name_words: int = 0
    logs_answer: bool = False


class Volumes(Protocol):
    """What the common get targets need of a daemon's volumes."""

    def state(self, name: str) -> str: ...

    def names(self) -> Iterable[str]: ...


class Commands:
    """The control commands of one daemon: its own tables and the common ones."""

    def __init__(
        self,
        runtime: Runtime,
        node_id: str,
        kind: str,
        volumes: Volumes,
        works: WorkTable,
        status: GetHandler,
        commands: Mapping[str, Command],
        get_targets: Mapping[str, GetHandler],
        exec_program: CommandHandler,
    ) -> None:
        self.stats = HandlerStats()
        self.running_count = 0
        self._runtime = runtime
        self._node_id = node_id
        self._kind = kind
        self._volumes = volumes
        self._works = works
        self._status = status
        self._exec_program = exec_program
        self._commands = {**self._common_commands(), **commands}
        self._get_targets = {**self._common_targets(), **get_targets}

    def conversations(self) -> dict[str, Conversation]:
        """The commands as the net layer serves them."""
        return {name: control_conversation(self._served(command)) for name, command in self._commands.items()}

    def _served(self, command: Command) -> CommandHandler:
        async def serve(request: ControlRequest) -> Lines:
            self.running_count += 1
            self.stats.count_command(request.command, request.peer_id)
            begin = self._runtime.world.monotonic()
            try:
                lines = await command.handler(request)
            finally:
                self.running_count -= 1
                self._runtime.changes.notify()
            self.stats.add_latency(request.command, self._runtime.world.monotonic() - begin)
            self._log_success(command, request, lines)
            return lines

        return serve

    def _log_success(self, command: Command, request: ControlRequest, lines: Lines) -> None:
        if command.log_name:
            words = [command.log_name, *request.params[: command.name_words], "succeeded"]
            fields = [*request.params[command.name_words :], *(lines or () if command.logs_answer else ())]
            self._runtime.log.of_connection(self._node_id, request.peer_id).info(" ".join(words), *fields)

    def _common_commands(self) -> dict[str, Command]:
        return {
            "shutdown": Command(self._do_shutdown),
            "sleep": Command(self._do_sleep),
            "version": Command(self._do_version),
            "status": Command(self._do_status),
            "get": Command(self._do_get),
            "exec": Command(self._exec_program),
        }

    def _common_targets(self) -> dict[str, GetHandler]:
        return {
            "host-type": self._get_host_type,
            "pid": self._get_pid,
            "vol": self._get_vol,
            "state": self._get_state,
            "handler-stat": self._get_handler_stat,
            "tasks": self._get_tasks,
            "last-result": self._get_last_result,
        }

    async def _do_shutdown(self, request: ControlRequest) -> Lines:
        mode = self._runtime.shutdown.request(Parameters(request.params, 0, 1).text(0, GRACEFUL))
        self._runtime.log.of_connection(self._node_id, request.peer_id).info("shutdown", mode, request.peer_id)
        # The daemon does not end before this handler has.
        await request.accept()
        return None

    async def _do_sleep(self, request: ControlRequest) -> Lines:
        sec = Parameters(request.params, 0, 1).number_in(0, "seconds", 0, MAX_SLEEP_SEC, 1)
        await self._runtime.changes.wait_for(lambda: self._runtime.shutdown.is_forced, sec)
        return None

    async def _do_version(self, request: ControlRequest) -> Lines:
        return [version_line()]

    async def _do_status(self, request: ControlRequest) -> Lines:
        if request.params:
            Parameters(request.params, 1).volume()
        return await self._status(request.params[:1])

    async def _do_get(self, request: ControlRequest) -> Lines:
        if not request.params:
            raise InvalidArgument("target not specified", "see 'walbc get -h'")
        target, *params = request.params
        handler = self._get_targets.get(target)
        if handler is None:
            raise InvalidArgument(f"runGetCommandServer:no such target:{target}", "see 'walbc get -h'")
        self.stats.count_target(target, request.peer_id)
        return await handler(params)

    async def _get_host_type(self, params: list[str]) -> Sequence[str]:
        return [self._kind]

    async def _get_pid(self, params: list[str]) -> Sequence[str]:
        return [str(os.getpid())]

    async def _get_vol(self, params: list[str]) -> Sequence[str]:
        return list(self._volumes.names())

    async def _get_state(self, params: list[str]) -> Sequence[str]:
        return [self._volumes.state(Parameters(params, 1, 1).volume())]

    async def _get_handler_stat(self, params: list[str]) -> Sequence[str]:
        return self.stats.take_lines()

    async def _get_tasks(self, params: list[str]) -> Sequence[str]:
        given = Parameters(params, 0, 1)
        return self._works.lines(given.volume() if len(given) else "")

    async def _get_last_result(self, params: list[str]) -> Sequence[str]:
        return self._works.last_results(Parameters(params, 1, 1).volume())

"""Control conversation: one command, its parameters, and what becomes of it (docs/protocol.md, "Control").

client: REQUEST(parameters, wait)
server: OK(strings)                       the command is done
      | ERROR                             it is not, or refused
      | ACCEPT(strings), then when the client waits: PROGRESS ..., then OK or ERROR
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from walbd.model.address import Address
from walbd.model.error import PeerUnreachable
from walbd.net.client import connect
from walbd.net.connection import Connection, Timing
from walbd.net.control_reply import Outcome, ReplyReader
from walbd.net.frame import FrameType
from walbd.net.handshake import Identity
from walbd.net.messages import Params, Progress, Result
from walbd.net.server import Conversation
from walbd.net.tasks import wait_ended
from walbd.world.world import World

# How often at most a waiting client hears of progress.
PROGRESS_SEC = 0.2


class ControlRequest:
    """A command as its server sees it."""

    def __init__(self, connection: Connection, params: Params) -> None:
        self._connection = connection
        self.command = connection.command
        self.params = list(params.params)
        self.wait = params.wait
        self.peer_id = connection.peer_id
        self.peer_kind = connection.peer_kind
        self.is_accepted = False
        self._progress: Progress | None = None

    async def accept(self, *lines: str) -> None:
        """Tells the client that the work has been started, and what it ought to know about it. A client that does not
        wait is let go here; what the handler returns or raises afterwards concerns only the server's log. The work goes
        on also when the client has gone."""
        self.is_accepted = True
        with contextlib.suppress(PeerUnreachable):
            await self._connection.send(FrameType.ACCEPT, Result(lines).encode())
            if not self.wait:
                await self._connection.end()

    def progress(self, done: int, total: int, unit: str, phase: str = "") -> None:
        """Notes how far the work has come (total 0: not known); a waiting client is told now and then. May be called
        from any thread, as often as wanted."""
        self._progress = Progress(done, total, unit, phase)

    async def report(self) -> None:
        """Sends progress to a waiting client until cancelled, or until the client has gone (the work goes on)."""
        told: Progress | None = None
        with contextlib.suppress(PeerUnreachable):
            while True:
                latest = self._progress
                if latest is not None and latest != told and self.is_accepted:
                    await self._connection.send(FrameType.PROGRESS, latest.encode())
                    told = latest
                await self._connection.world.sleep(PROGRESS_SEC)


ControlHandler = Callable[[ControlRequest], Awaitable[Sequence[str] | None]]


def control_conversation(handler: ControlHandler) -> Conversation:
    """The server's side: `handler` does the work and returns the strings of OK, or raises."""

    async def serve(connection: Connection) -> None:
        frame = await connection.recv(FrameType.REQUEST)
        request = ControlRequest(connection, Params.decode(frame.payload, f"request from {connection}"))
        strings = await _work(request, handler)
        if request.wait or not request.is_accepted:
            await connection.send(FrameType.OK, Result(tuple(strings or ())).encode())

    return Conversation(serve, is_control=True)


async def _work(request: ControlRequest, handler: ControlHandler) -> Sequence[str] | None:
    if not request.wait:
        return await handler(request)
    reporter = asyncio.create_task(request.report())
    try:
        return await handler(request)
    finally:
        reporter.cancel()
        await wait_ended([reporter])


async def call(
    world: World,
    server: Address,
    command: str,
    params: Sequence[str],
    me: Identity,
    *,
    timing: Timing | None = None,
    wait: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    """The client's side: the outcome of one command. Raises as `connect`, and Refused with the server's reason."""
    async with await connect(world, server, command, me, timing) as connection:
        await connection.send(FrameType.REQUEST, Params(tuple(params), wait).encode())
        reader = ReplyReader(wait, str(connection))
        while True:
            frame = await connection.recv(*reader.expected())
            reply = reader.take(frame)
            if isinstance(reply, Outcome):
                return dataclasses.replace(reply, server_id=connection.peer_id)
            if reply and on_progress:
                on_progress(reply)

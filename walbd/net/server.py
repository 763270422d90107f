"""The accept loop: handshake, dispatch by command name, limits, and errors that reach the peer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from walbd.model.error import Cancelled, PeerUnreachable, Refused
from walbd.net.connection import Connection, Timing
from walbd.net.frame import ForeignProtocol, FrameType
from walbd.net.handshake import Identity, answer_to_foreign, judge_hello
from walbd.net.messages import Hello
from walbd.net.tasks import wait_ended
from walbd.world.network import Listener, Stream
from walbd.world.world import World

Handler = Callable[[Connection], Awaitable[None]]
# The connection that failed (peer, peer_id and command are known as far as the handshake came) and how.
OnError = Callable[[Connection, BaseException], None]

MAX_CONTROL_CONNECTIONS = 256
# Connections whose handshake is not complete.
MAX_GREETING_CONNECTIONS = 64
# A peer that connects has this long to say who it is, also where time-outs are off.
GREETING_SEC = 10.0


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a server does for one command name. Data conversations move volumes' contents and have a limit of their own
    (`-maxconn`), so that they never keep a control command out."""

    handler: Handler
    is_control: bool


class Server:
    """Serves a table of conversations until cancelled; nothing a peer does ends it."""

    def __init__(
        self,
        world: World,
        me: Identity,
        conversations: Mapping[str, Conversation],
        on_error: OnError,
        *,
        timing: Timing | None = None,
        max_data_connections: int = 10,
    ) -> None:
        self._world = world
        self._me = me
        self._conversations = conversations
        self._on_error = on_error
        self._timing = timing or Timing()
        self._limits = {True: MAX_CONTROL_CONNECTIONS, False: max_data_connections}
        self._open = {True: 0, False: 0}
        self._greeting_count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open_count(self) -> int:
        """Connections past their handshake."""
        return self._open[True] + self._open[False]

    async def serve(self, listener: Listener) -> None:
        """Accepts and serves until cancelled. Handlers at work then go on; `end_connections` ends them."""
        try:
            await listener.serve(self._on_stream)
        finally:
            listener.close()

    async def end_connections(self) -> None:
        """Ends what handlers are doing; their peers are told that the server shuts down."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await wait_ended(tasks)

    async def _on_stream(self, stream: Stream) -> None:
        """Runs one connection in the listener's task. Raises nothing but CancelledError."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve_stream(stream)
        finally:
            self._tasks.discard(task)

    async def _serve_stream(self, stream: Stream) -> None:
        connection = Connection(stream, self._world, GREETING_SEC)
        try:
            handler = await self._greet(connection)
            connection.start_heartbeats()
            await handler(connection)
            await connection.end()
        except ForeignProtocol as error:
            self._on_error(connection, error)
            await connection.send_last(answer_to_foreign(self._me, error))
        except asyncio.CancelledError:
            await connection.send_error(Cancelled(f"server {self._me.node_id} is shutting down"))
            raise
        except Exception as error:
            self._on_error(connection, error)
            await connection.send_error(error)
        finally:
            connection.close()

    async def _greet(self, connection: Connection) -> Handler:
        """Handshake; returns what to do. The connection counts as open until it is closed."""
        with self._greeting_place():
            try:
                async with asyncio.timeout(GREETING_SEC):
                    frame = await connection.recv(FrameType.HELLO)
                    hello = Hello.decode(frame.payload, f"greeting of {connection.peer}")
                    connection.introduce(hello.node_id, hello.kind, hello.command)
                    welcome = judge_hello(self._me, hello)
                    conversation = self._find(hello)
                    self._take_place(connection, conversation)
                    await connection.send(FrameType.WELCOME, welcome.encode())
            except TimeoutError:
                raise PeerUnreachable(f"{connection} did not introduce itself within {GREETING_SEC:g} s") from None
        connection.set_timing(self._timing)
        return conversation.handler

    def _find(self, hello: Hello) -> Conversation:
        conversation = self._conversations.get(hello.command)
        if conversation is None:
            raise Refused(
                f"bad protocol:{hello.command}:{hello.node_id}",
                f"walb-{self._me.kind} has no such command; ask another kind of server",
            )
        return conversation

    @contextlib.contextmanager
    def _greeting_place(self) -> Iterator[None]:
        if self._greeting_count >= MAX_GREETING_CONNECTIONS:
            raise Refused(f"server {self._me.node_id} has too many connections that say nothing", "try again later")
        self._greeting_count += 1
        try:
            yield
        finally:
            self._greeting_count -= 1

    def _take_place(self, connection: Connection, conversation: Conversation) -> None:
        is_control = conversation.is_control
        limit = self._limits[is_control]
        if self._open[is_control] >= limit:
            kind = "control" if is_control else "data"
            raise Refused(f"server {self._me.node_id} exceeds max {kind} connections:{limit}", "try again later")
        self._open[is_control] += 1
        connection.on_close(lambda: self._leave(is_control))

    def _leave(self, is_control: bool) -> None:
        self._open[is_control] -= 1

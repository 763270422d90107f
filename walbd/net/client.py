"""Opening a conversation with a server."""

from __future__ import annotations

from walbd.model.address import Address
from walbd.model.error import PeerUnreachable
from walbd.net.connection import Connection, Timing
from walbd.net.frame import FrameType
from walbd.net.handshake import Identity, hello, judge_welcome
from walbd.net.messages import Welcome
from walbd.world.world import World


async def connect(
    world: World, server: Address, command: str, me: Identity, timing: Timing | None = None
) -> Connection:
    """A connection to the server, ready for the conversation `command`. Use it as a context manager.

    Raises PeerUnreachable, Refused (no common version or authentication, unknown command, too many connections),
    ProtocolViolation (something else listens there)."""
    timing = timing or Timing()
    stream = await world.network.connect(server.host, server.port, timing.timeout_sec)
    connection = Connection(stream, world, timing.timeout_sec)
    try:
        greeting = hello(me, command)
        await connection.send(FrameType.HELLO, greeting.encode())
        frame = await connection.recv(FrameType.WELCOME)
        answer = Welcome.decode(frame.payload, f"greeting of {connection.peer}")
        judge_welcome(greeting, answer)
        connection.introduce(answer.node_id, answer.kind, command)
        connection.set_timing(timing)
        return connection
    except PeerUnreachable as error:
        connection.close()
        raise PeerUnreachable(error.message, error.hint or "is a WalB server running there?") from error
    except BaseException:
        connection.close()
        raise

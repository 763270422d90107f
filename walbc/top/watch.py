"""Keeps asking servers, each in a thread of its own: one that hangs holds up nothing but its own lines."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from walbc.connection import Connection
from walbc.top.collect import ask_server
from walbc.top.views import ServerView
from walbd.net.blocking import call
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind

PERIOD_SEC = 2.0


def ask(connection: Connection, command: str, *parameters: str) -> list[str]:
    """One question; raises what connecting raises, and Refused."""
    me = Identity(connection.client_id, PeerKind.CONTROL)
    return call(connection.address, command, parameters, me, timeout_sec=connection.timeout_sec).strings


def look(connection: Connection) -> ServerView:
    """A server as it is now."""
    return ask_server(*_names(connection), partial(ask, connection))


def _names(connection: Connection) -> tuple[str, str]:
    """Name and address."""
    address = f"{connection.host}:{connection.port}"
    return connection.name or address, address


class Watch:
    """Looks at servers again and again until closed."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections
        self._found: list[ServerView | None] = [None] * len(connections)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        for index in range(len(connections)):
            # Daemons: a server that does not answer must not hold up the end of the program.
            threading.Thread(target=self._look_again, args=(index,), daemon=True).start()

    def wait_for_all(self) -> None:
        """Returns when each server has answered, or has not within its time-out."""
        with self._changed:
            self._changed.wait_for(lambda: None not in self._found)

    def views(self) -> list[ServerView]:
        """What is known now."""
        return [
            found or ServerView(*_names(connection))
            for found, connection in zip(self._found, self._connections, strict=True)
        ]

    def close(self) -> None:
        """Asks no more."""
        self._closing.set()

    def _look_again(self, index: int) -> None:
        while not self._closing.is_set():
            found = look(self._connections[index])
            with self._changed:
                self._found[index] = found
                self._changed.notify_all()
            self._closing.wait(PERIOD_SEC)

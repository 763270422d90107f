"""The way to the servers: one connection per command, no program in between."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from walbc.library.servers import AnyServer
from walbd.model.address import Address
from walbd.model.error import PeerUnreachable
from walbd.net.blocking import call
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind

CLIENT_ID = "ctl"
DEFAULT_TIMEOUT_SEC = 10
_REPEATED = ("get", "status")
_REPETITIONS = 2
_REPEAT_SEC = 0.1
# Their values come at the end of their work.
_AWAITED = ("bhash",)
_OLD_SEPARATOR = "---"


class Channel(Protocol):
    """Carries commands to servers."""

    def ask(self, server: AnyServer, command: str, params: Sequence[str], timeout_sec: int) -> list[str]:
        """The values answered to one command; an asynchronous one has only begun then. Raises WalbError."""


class TcpChannel:
    """Channel over TCP. Only `get` and `status` are repeated, and only when the connection fails."""

    def ask(self, server: AnyServer, command: str, params: Sequence[str], timeout_sec: int) -> list[str]:
        if command == "exec" and params[:1] == [_OLD_SEPARATOR]:
            params = params[1:]
        for _ in range(_REPETITIONS if command in _REPEATED else 0):
            try:
                return self._ask(server, command, params, timeout_sec)
            except PeerUnreachable:
                time.sleep(_REPEAT_SEC)
        return self._ask(server, command, params, timeout_sec)

    def _ask(self, server: AnyServer, command: str, params: Sequence[str], timeout_sec: int) -> list[str]:
        return call(
            Address(server.address, server.port),
            command,
            params,
            Identity(CLIENT_ID, PeerKind.CONTROL),
            timeout_sec=timeout_sec or DEFAULT_TIMEOUT_SEC,
            wait=command in _AWAITED,
        ).strings

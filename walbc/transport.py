"""The network side of a request."""

from __future__ import annotations

from collections.abc import Callable

from walbc.options import Request
from walbd.net.blocking import call
from walbd.net.handshake import Identity
from walbd.net.messages import PeerKind, Progress


class TcpTransport:
    """Transport over TCP."""

    def ask(
        self, request: Request, on_accept: Callable[[], None], on_progress: Callable[[Progress], None]
    ) -> list[str]:
        return call(
            request.server,
            request.command.name,
            request.parameters,
            Identity(request.client_id, PeerKind.CONTROL),
            timeout_sec=request.timeout_sec,
            wait=request.wait,
            on_progress=on_progress,
            on_accept=on_accept,
        ).strings

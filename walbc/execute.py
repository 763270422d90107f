"""Carries a request out: attempts, waiting for the work, its progress (walbc.md section 3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from walbc import console
from walbc.commands import COMMANDS
from walbc.options import Request
from walbc.table import KIND_NAMES
from walbc.waiting import Waiting, shown
from walbd.model.error import PeerUnreachable, Refused
from walbd.net.messages import Progress

RETRY_DELAY_SEC = 0.1
_PROBE_PERIOD_SEC = 0.2
_MAX_UNCLEAR = 3


class Transport(Protocol):
    """The way to a server."""

    def ask(
        self, request: Request, on_accept: Callable[[], None], on_progress: Callable[[Progress], None]
    ) -> list[str]:
        """One attempt: connects, sends, and returns the values answered. `on_accept` is called when the server has
        begun; when the request waits, `on_progress` follows until the work has ended. Raises PeerUnreachable,
        Refused, ProtocolViolation."""


def execute(request: Request, transport: Transport) -> list[str]:
    """The values the server answers. Only failures of the connection are tried again."""
    for attempt in range(request.retries):
        try:
            return _attempt(request, transport)
        except PeerUnreachable as error:
            console.write_message(f"error: {error}\n")
            time.sleep(RETRY_DELAY_SEC)
            console.write_message(f"retry {attempt + 1}\n")
    return _attempt(request, transport)


def _attempt(request: Request, transport: Transport) -> list[str]:
    _debug(request, f"{request.command.name} to {request.server} as {request.client_id}")
    try:
        if request.wait:
            values = _attempt_waiting(request, transport)
        else:
            values = transport.ask(request, lambda: None, lambda latest: None)
    except Refused as error:
        raise _explained(request, error) from error
    except PeerUnreachable as error:
        if error.hint or request.command.retries:
            raise
        raise PeerUnreachable(error.message, "it may have been done or not; look before repeating it") from error
    _debug(request, f"{len(values)} values answered")
    return values


def _explained(request: Request, error: Refused) -> Refused:
    """A server that does not know the command is mostly one of the wrong kind: only we know which is the right one."""
    form, kinds = request.form, [name for letter, name in KIND_NAMES.items() if letter in request.form.kinds]
    # A server also passes on that another one does not know what it was asked for.
    unknown = (f"bad protocol:{request.command.name}:", "no such target:")
    if not any(text in error.message for text in unknown) or len(kinds) == len(KIND_NAMES):
        return error
    what = form.name if form is request.command else f"{request.command.name} {form.name}"
    known = " or ".join(f"{'an' if kind == 'archive' else 'a'} {kind}" for kind in kinds)
    return Refused(error.message, f"{what} is for {known}; 'get host-type' tells what this server is")


def _debug(request: Request, text: str) -> None:
    if request.debug:
        console.write_message(console.log_line("DEBUG", text))


def _attempt_waiting(request: Request, transport: Transport) -> list[str]:
    with shown(request) as waiting:
        if request.command.name == "shutdown":
            _shut_down(request, transport, waiting)
            return []
        try:
            return transport.ask(request, waiting.begin, waiting.show)
        except PeerUnreachable as error:
            if not waiting.is_accepted:
                raise
            raise PeerUnreachable(error.message, "the server may go on with it; 'get tasks' tells") from error


def _shut_down(request: Request, transport: Transport, waiting: Waiting) -> None:
    """Waits until the process that accepted the shutdown no longer serves: nobody does, or another process."""
    pid = _pid(request, transport)
    try:
        transport.ask(request, waiting.begin, waiting.show)
    except (PeerUnreachable, Refused):
        # An accepted shutdown may end its own connection too; whether the server is gone shows below.
        if not waiting.is_accepted:
            raise
    unclear = 0
    while True:
        try:
            if _pid(request, transport) != pid:
                return
            unclear = 0
        except Refused:
            unclear = 0  # still there, but it takes no more requests
        except PeerUnreachable as error:
            if isinstance(error.__cause__, ConnectionRefusedError):
                return
            unclear += 1
            if unclear == _MAX_UNCLEAR:
                raise
        time.sleep(_PROBE_PERIOD_SEC)


def _pid(request: Request, transport: Transport) -> list[str]:
    question = request._replace(command=COMMANDS["get"], parameters=["pid"], wait=False)
    return transport.ask(question, lambda: None, lambda latest: None)

"""The request to end a daemon: graceful lets running work end, force ends it at the next block."""

from __future__ import annotations

from walbd.model.error import BadState, InvalidArgument
from walbd.server.changes import Changes

GRACEFUL = "graceful"
FORCE = "force"


class Shutdown:
    """Whether and how the daemon is to end. A second request escalates to force."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._mode = ""

    @property
    def mode(self) -> str:
        """`graceful`, `force`, or nothing while the daemon goes on."""
        return self._mode

    @property
    def is_requested(self) -> bool:
        return bool(self._mode)

    @property
    def is_forced(self) -> bool:
        return self._mode == FORCE

    def request(self, mode: str) -> str:
        """Asks for the end; returns the mode that now holds. Raises InvalidArgument for an unknown mode."""
        if mode not in (GRACEFUL, FORCE):
            raise InvalidArgument(f"parseShutdownParam:bad option:{mode}", f"use {GRACEFUL} or {FORCE}")
        self._mode = FORCE if self._mode else mode
        self._changes.notify()
        return self._mode

    def check_none(self) -> None:
        """Refuses new work during a shutdown."""
        if self._mode:
            raise BadState("the server is shutting down", "try again after it was restarted")

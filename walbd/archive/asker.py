"""Who asks an archive for long work (a ControlRequest)."""

from __future__ import annotations

from typing import Protocol


class Asker(Protocol):
    """Hears that the work is certain to begin, and how far it is."""

    async def accept(self, *lines: str) -> None:
        """Called once nothing speaks against the work any more; the lines are told to the user."""

    def progress(self, done: int, total: int, unit: str, phase: str = "") -> None:
        """Called now and then from any thread."""

"""Errors of the library (python-library.md section 11)."""

from __future__ import annotations

from collections.abc import Sequence


class ControlError(Exception):
    """An operation of the library failed. `args` are a message and what explains it: server names, the volume, then
    gids, sizes or states."""


class CommandError(ControlError):
    """A command failed at a server, or a program with a status other than 0.

    Its one argument is the text scripts know, `command error [ARGV] STATUS` and a line break. `stderr` is the reason.
    """

    def __init__(self, argv: Sequence[str], status: int, stderr: str = "") -> None:
        super().__init__(f"command error {list(argv)} {status}\n")
        self.argv = list(argv)
        self.status = status
        self.stderr = stderr
        if stderr:
            self.add_note(stderr)

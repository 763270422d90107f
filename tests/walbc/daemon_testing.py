"""walbc against the daemons of this process."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import NamedTuple
from unittest import mock

from walbc.main import main


class Ran(NamedTuple):
    """What one run of walbc did."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What a command that succeeded printed."""
        assert (self.status, self.err) == (0, ""), self.err
        return self.out.splitlines()

    @property
    def error(self) -> str:
        """The one line of a command that failed, without its time."""
        assert (self.status, self.out) == (1, "")
        stamp, text = self.err.split(" ERROR walbc error: ")
        assert stamp.count("\n") == 0 and text.count("\n") == 1
        return text.rstrip("\n")


class _Text(io.TextIOWrapper):
    """A standard stream in memory."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, "utf-8")

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode()


def _run(words: list[str]) -> Ran:
    out, err = _Text(), _Text()
    with mock.patch.object(sys, "stdout", out), mock.patch.object(sys, "stderr", err):
        status = main(words)
    return Ran(status, out.text, err.text)


async def walbc(port: int, *words: str) -> Ran:
    """Runs walbc, in a thread, against a server on the loopback."""
    return await asyncio.to_thread(_run, ["-a", "127.0.0.1", "-p", str(port), "-id", "c0", *words])

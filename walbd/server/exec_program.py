"""`exec`: runs a program at the server's host as the server's user, where `-allow-exec` permits it (walbc.md 5.5)."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from walbd.model.error import Cancelled, InvalidArgument, NotFound, Refused, StorageFailure, one_line
from walbd.net.control import ControlRequest
from walbd.server.runtime import Runtime

MAX_OUTPUT_BYTES = 1 << 20
"""Most a program may write to stdout and stderr together."""
_LOOK_AGAIN_SEC = 0.5


class HostPrograms:
    """Runs programs for `exec`; each in a session of its own, which a forced shutdown kills."""

    def __init__(self, runtime: Runtime, is_allowed: bool) -> None:
        self._runtime = runtime
        self._is_allowed = is_allowed

    async def serve(self, request: ControlRequest) -> Sequence[str]:
        """The handler: non-empty lines of stdout, trimmed. Raises Refused for a status other than 0."""
        if not self._is_allowed:
            raise Refused("exec command is not allowed", "start the server with -allow-exec")
        command = request.params
        _check(command)
        self._runtime.log.info("exec", request.peer_id, " ".join(command))
        # Files, not pipes: a program that leaves a daemon behind has ended although its output stays open.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            code = await self._run(command, out, err)
            if code:
                status = code << 8 if code > 0 else -code
                raise Refused(f"child process has returned non-zero:{status}:{command[0]}", _first_line(_text(err)))
            return [line.strip(" \t") for line in _text(out).splitlines() if line.strip(" \t")]

    async def _run(self, command: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
        except OSError as error:
            raise StorageFailure(f"cannot run {command[0]}: {error.strerror}") from error
        ended = asyncio.ensure_future(process.wait())
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=_LOOK_AGAIN_SEC)
                if _size(out) + _size(err) > MAX_OUTPUT_BYTES:
                    raise Refused(f"exec: more than {MAX_OUTPUT_BYTES} bytes of output", "send the output to a file")
                if self._runtime.shutdown.is_forced:
                    raise Cancelled("exec was ended by a shutdown")
        finally:
            if not ended.done():
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await ended
        return ended.result()


def _size(file: IO[bytes]) -> int:
    return os.fstat(file.fileno()).st_size


def _text(file: IO[bytes]) -> str:
    return os.pread(file.fileno(), MAX_OUTPUT_BYTES, 0).decode(errors="replace")


def _check(command: Sequence[str]) -> None:
    if not command:
        raise InvalidArgument("exec: no command given", "write the absolute path of a program and its arguments")
    for index, word in enumerate(command):
        if not word or "\0" in word:
            raise InvalidArgument(f"empty string:{index}", "no argument of exec may be empty")
    if not command[0].startswith("/"):
        raise InvalidArgument(f"exec: not an absolute path:{command[0][:80]}", "write /bin/sh, not sh")
    if not os.access(command[0], os.X_OK) or os.path.isdir(command[0]):
        raise NotFound(f"command not found:{command[0][:255]}")


def _first_line(text: str) -> str:
    lines = text.splitlines()
    return one_line(lines[0][:500]) if lines else ""

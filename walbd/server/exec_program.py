"""`exec`: runs a program at the server's host as the server's user, where `-allow-exec` permits it (walbc.md 5.5)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from walbd.model.error import Cancelled, InvalidArgument, NotFound, Refused, StorageFailure, one_line
from walbd.net.control import ControlRequest
from walbd.server.runtime import Runtime

MAX_OUTPUT_BYTES = 1 << 20
"""Most a program may write to stdout and stderr together."""
_READ_BYTES = 64 << 10
_LOOK_AGAIN_SEC = 1.0


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
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise StorageFailure(f"cannot run {command[0]}: {error.strerror}") from error
        try:
            out, err = await self._output(process)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            code = await process.wait()
        if code:
            status = code << 8 if code > 0 else -code
            raise Refused(f"child process has returned non-zero:{status}:{command[0]}", _first_line(err))
        return [line.strip(" \t") for line in out.decode(errors="replace").splitlines() if line.strip(" \t")]

    async def _output(self, process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
        assert process.stdout and process.stderr
        room = [MAX_OUTPUT_BYTES]
        both = asyncio.gather(_read(process.stdout, room), _read(process.stderr, room))
        try:
            while not both.done():
                await asyncio.wait({both}, timeout=_LOOK_AGAIN_SEC)
                if self._runtime.shutdown.is_forced:
                    raise Cancelled("exec was ended by a shutdown")
            out, err = both.result()
        finally:
            both.cancel()
        return out, err


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


async def _read(stream: asyncio.StreamReader, room: list[int]) -> bytes:
    data = bytearray()
    while piece := await stream.read(_READ_BYTES):
        room[0] -= len(piece)
        if room[0] < 0:
            raise Refused(f"exec: more than {MAX_OUTPUT_BYTES} bytes of output", "send the output to a file")
        data += piece
    return bytes(data)


def _first_line(text: bytes) -> str:
    lines = text.decode(errors="replace").splitlines()
    return one_line(lines[0][:500]) if lines else ""

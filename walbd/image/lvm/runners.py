"""Two ways to run LVM commands: liblvm2cmd in a helper process, or else the `lvm` program once per command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from walbd.image.lvm.commands import Runner
from walbd.model.error import NotFound, StorageFailure

COMMAND_TIMEOUT_SEC = 120.0
"""A command waits for devices to flush what was written to them, which takes long on a busy disk."""
END_SEC = 5.0
MAX_ANSWER_BYTES = 64 << 20
PROGRAM = "lvm"
UNKNOWN = "whether it was done is seen with 'lvs' and 'dmsetup info' (State: SUSPENDED); then try again"
HELPER = (sys.executable, "-m", "walbd.image.lvm.helper")


def make_runner() -> Runner:
    """The helper where the library is, else the program. Raises NotFound when LVM is not installed."""
    helper = HelperRunner()
    missing = helper.start()
    if not missing:
        return helper
    helper.close()
    if shutil.which(PROGRAM) is None:
        raise NotFound(f"LVM is not installed: {missing}", "install lvm2, or leave -vg out for images in plain files")
    return ProgramRunner()


class HelperRunner:
    """Hands commands to a helper process (helper.py), which is started when there is none. After a time-out it is
    killed."""

    def __init__(self, timeout_sec: float = COMMAND_TIMEOUT_SEC, command: Sequence[str] = HELPER) -> None:
        """`command` starts a helper; the number of a descriptor is added to it."""
        self._timeout_sec = timeout_sec
        self._command = command
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def start(self) -> str:
        """Starts the helper; returns why the library cannot be used, empty when it can."""
        with self._lock:
            return self._start()

    def run(self, words: Sequence[str]) -> str:
        command = " ".join(words)
        with self._lock:
            if self._channel is None and (missing := self._start()):
                raise StorageFailure(f"lvm {words[0]}: {missing}", "is lvm2 being upgraded? Try again, or restart")
            answer = self._ask(command, words)
        if not answer["is_done"]:
            raise StorageFailure(f"lvm {words[0]}: {answer['errors'] or 'failed without a message'}")
        return str(answer["report"])

    def close(self) -> None:
        with self._lock:
            self._end()

    def _start(self) -> str:
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: signals from the terminal are not for it.
            self.process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ours.settimeout(self._timeout_sec)
        self._channel = ours
        return str(self._receive("start")["missing"])

    def _ask(self, command: str, words: Sequence[str]) -> dict[str, Any]:
        assert self._channel is not None
        with contextlib.suppress(OSError):  # it has died; the answer that does not come says so
            self._channel.sendall(json.dumps({"words": list(words)}).encode() + b"\n")
        return self._receive(command)

    def _receive(self, command: str) -> dict[str, Any]:
        assert self._channel is not None
        received = bytearray()
        while not received.endswith(b"\n"):
            try:
                piece = self._channel.recv(1 << 16)
            except TimeoutError as error:
                self._kill()
                raise StorageFailure(f"lvm did not end within {self._timeout_sec:g} s: {command}", UNKNOWN) from error
            except OSError:
                piece = b""
            received += piece
            if not piece or len(received) > MAX_ANSWER_BYTES:
                self._kill()
                raise StorageFailure(f"the LVM helper process ended unexpectedly: {command}", UNKNOWN)
        answer = json.loads(received)
        assert isinstance(answer, dict)
        return answer

    def _kill(self) -> None:
        if self.process:
            self.process.kill()
        self._end()

    def _end(self) -> None:
        """Closes the channel, which ends the helper after its command. One that hangs in the kernel is left alone."""
        if self._channel:
            self._channel.close()
            self._channel = None
        if self.process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SEC)
            self.process = None


class ProgramRunner:
    """Starts the `lvm` program for each command."""

    def __init__(self, program: str = PROGRAM, timeout_sec: float = COMMAND_TIMEOUT_SEC) -> None:
        self._program = program
        self._timeout_sec = timeout_sec
        self._lock = threading.Lock()

    def run(self, words: Sequence[str]) -> str:
        command = " ".join(words)
        try:
            with self._lock:
                done = subprocess.run(
                    [self._program, *words],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=self._timeout_sec,
                    check=False,
                    start_new_session=True,
                    env={**os.environ, "LC_ALL": "C"},
                )
        except subprocess.TimeoutExpired as error:
            raise StorageFailure(f"lvm did not end within {self._timeout_sec:g} s: {command}", UNKNOWN) from error
        except OSError as error:
            raise StorageFailure(f"cannot run {self._program}: {error.strerror}", "is lvm2 installed?") from error
        if done.returncode:
            lines = done.stderr.decode(errors="replace").splitlines()
            message = "; ".join(filter(None, map(str.strip, lines)))
            raise StorageFailure(f"lvm {words[0]}: {message or f'status {done.returncode}'}")
        return done.stdout.decode(errors="replace")

    def close(self) -> None:
        """Nothing is left running."""

"""The reader's shell: one bash for a whole page, so that variables and background jobs last."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from demo.group import HOST, wait_until
from tests.guide.place import Place

MARK = "end of the command"
COMMAND_SEC = 60.0
START_SEC = 30.0
STOP_SEC = 15.0


class Shell:
    """Runs commands one after the other. Use it as a context manager: it ends what the page has started."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._script = place.folder / "command"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=place.environment(),
            cwd=place.real("/root"),
            start_new_session=True,
        )
        # So that it outlives the signal that ends what it has started.
        self._send("trap : TERM")

    def run(self, command: str) -> tuple[list[str], int]:
        """Runs a command of the page to its end, or starts it when it ends with &; (lines printed, exit status).
        Raises TimeoutError."""
        is_background = command.endswith("&")
        # Bash tells of the end of its jobs; a reader's terminal would do so, too, but at no certain moment.
        self._script.write_text(self._place.real(command) + ("\ndisown\n" if is_background else "\n"))
        # stdin is that of bash, whose next commands a program must not read.
        self._send(f"(exit ${{status:-0}}); . {self._script} </dev/null; status=$?; printf '\\n{MARK} %s\\n' $status")
        output = self._read()
        text, _, status = output.rpartition(f"\n{MARK} ")
        if is_background:
            self._wait_listening(self._place.real(command))
        return self._place.shown(text).removesuffix("\n").splitlines(), int(status)

    def _send(self, line: str) -> None:
        assert self._bash.stdin
        self._bash.stdin.write(line.encode() + b"\n")
        self._bash.stdin.flush()

    def _read(self) -> str:
        assert self._bash.stdout
        fd, output = self._bash.stdout.fileno(), b""
        end = time.monotonic() + COMMAND_SEC
        while not re.search(rb"\n" + MARK.encode() + rb" \d+\n\Z", output):
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError(
                    f"not within {COMMAND_SEC:g} s; printed so far: {self._place.shown(output.decode())}"
                )
            piece = os.read(fd, 1 << 16)
            if not piece:
                raise EOFError("the shell has ended")
            output += piece
        return output.decode(errors="replace")

    def _wait_listening(self, command: str) -> None:
        """Until a server of the page accepts connections: a reader does not type that fast."""
        port = re.search(r" -p (\d+)", command)
        if port:
            wait_until(lambda: _listens(int(port.group(1))), START_SEC, f"listening: {self._place.shown(command)}")

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        for path in Path(self._place.real("/run/walb")).glob("*.ctl"):
            with suppress(OSError):
                os.kill(_server_pid(path), signal.SIGKILL)
        os.killpg(self._bash.pid, signal.SIGTERM)
        with suppress(TimeoutError):
            wait_until(lambda: not self._started(), STOP_SEC, "the end of all servers")
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()

    def _started(self) -> list[int]:
        """Processes of this shell that still run."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, _, group = path.read_text().rpartition(") ")[2].split()[:3]
                if int(group) == self._bash.pid and state != "Z" and int(path.parent.name) != self._bash.pid:
                    found.append(int(path.parent.name))
        return found


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _server_pid(control_socket: Path) -> int:
    """Of the walb-device that serves a device."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(control_socket))
        sock.sendall(b'{"op": "info"}\n')
        with sock.makefile() as answers:
            return int(json.loads(answers.readline())["ok"]["pid"])

"""The project's programs without the start of Python: a process that has loaded all of them forks each run.

A run is a process with its own arguments, environment, output, signals and end, as a program started from the shell is;
only the loading of modules is shared, which would take most of the tests' time.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

MAX_REQUEST_BYTES = 1 << 17
# With a request come: the connection of the run, its stdout, its stderr.
N_FDS = 3
START_SEC = 60.0


class ForkedProcess:
    """A run of a program; what tests use of subprocess.Popen."""

    def __init__(
        self,
        command: Sequence[str],
        stdout: int,
        stderr: int,
        environment: Mapping[str, str] | None = None,
        folder: str | None = None,
    ) -> None:
        self.args = list(command)
        self.returncode: int | None = None
        self._connection, theirs = socket.socketpair()
        with theirs:
            fds = [theirs.fileno(), stdout, stderr]
            _loader().begin(self.args, folder or os.getcwd(), {**os.environ, **(environment or {})}, fds)
        self._answers = self._connection.makefile("r")
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._end_within(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status; negative when a signal ended it."""
        status = self._end_within(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Does nothing once it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has, and we are about to be told
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _end_within(self, timeout_sec: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], timeout_sec)[0]:
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._connection.close()
        return self.returncode


def run_forked(
    command: Sequence[str],
    timeout_sec: float,
    environment: Mapping[str, str] | None = None,
    folder: str | None = None,
) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a run, with some more in its environment, in this folder or another. Raises
    subprocess.TimeoutExpired."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = ForkedProcess(command, out.fileno(), err.fileno(), environment, folder)
        try:
            status = process.wait(timeout_sec)
        finally:
            process.kill()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return status, texts[0], texts[1]


class Loader:
    """The process that has loaded the programs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                cwd=Path(__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._requests.settimeout(START_SEC)

    def begin(self, command: list[str], folder: str, environment: dict[str, str], fds: list[int]) -> None:
        """Has a program run."""
        request = json.dumps({"command": command, "folder": folder, "environment": environment})
        with self._lock:
            socket.send_fds(self._requests, [request.encode()], fds)

    def end(self) -> None:
        """Ends it; what it forked is ended by the closed connections."""
        self._requests.close()
        self._process.wait()


_loaders: list[Loader] = []
_loaders_lock = threading.Lock()


def _loader() -> Loader:
    with _loaders_lock:
        if not _loaders:
            _loaders.append(Loader())
            atexit.register(_loaders[0].end)
        return _loaders[0]


Program = Callable[[], object]


def serve(requests: socket.socket, programs: dict[str, Program]) -> Program | None:
    """Forks a process for each request. Returns None when no more come, and in the process of a run its program."""
    while True:
        data, fds, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, N_FDS)
        if not data:
            return None
        if not os.fork():
            break
        for fd in fds:
            os.close(fd)
        while _reap():
            pass
    requests.close()
    pid = os.fork()
    if pid:
        _watch(pid, socket.socket(fileno=fds[0]))
    return _become(json.loads(data), fds, programs)


def _reap() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _watch(pid: int, connection: socket.socket) -> None:
    """Tells pid and exit status of a run; kills it when nobody wants to know any more. Does not return."""
    connection.sendall(b"%d\n" % pid)
    end = os.pidfd_open(pid)
    ready, _, _ = select.select([end, connection], [], [])
    if end not in ready:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        connection.sendall(b"%d\n" % status)
    except OSError:
        pass  # nobody wants to know
    os._exit(0)


def _become(request: dict[str, object], fds: list[int], programs: dict[str, Program]) -> Program:
    """Makes this process what it would be, had the program been started in it."""
    connection, out, err = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    for fd in (connection, out, err):
        os.close(fd)
    os.setsid()
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.argv = list(request["command"])  # type: ignore[call-overload]
    return programs[Path(sys.argv[0]).name]


def main() -> object:
    """What the process of the loader does, and then that of each run."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    scripts = distribution("walb").entry_points.select(group="console_scripts")
    programs = {script.name: script.load() for script in scripts}
    gc.freeze()
    program = serve(requests, programs)
    return program() if program else 0


if __name__ == "__main__":
    sys.exit(main())

"""One backup group on this machine: a walb device, storage, proxy and archive as real processes on loopback.

Driven only by the public commands, as an operator would. The system tests and the benchmarks use it too.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, ClassVar

BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
START_TIMEOUT_SEC = 30.0
STOP_TIMEOUT_SEC = 20.0
POLL_SEC = 0.02


class CommandFailed(Exception):
    """A public command ended with a status other than 0; the text is its last line of stderr."""


def free_port() -> int:
    """A TCP port nobody listens on at the moment."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], bool], timeout_sec: float, what: str) -> None:
    """Waits for a condition with a bound; TimeoutError names what was waited for."""
    end = time.monotonic() + timeout_sec
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout_sec:g} s: {what}")
        time.sleep(POLL_SEC)


def run_command(program: str, *args: object) -> str:
    """Runs one of the project's programs to its end; returns its stdout."""
    done = subprocess.run([BIN / program, *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        raise CommandFailed(f"{program} {' '.join(map(str, args))}: {lines[-1]}")
    return done.stdout


@dataclass
class Process:
    """A program that keeps running; its output goes to a file."""

    command: list[str]
    log: Path
    popen: subprocess.Popen[bytes] | None = None
    is_any_starting: ClassVar[bool] = False
    """Whether a process may exist that `popen` does not name yet: no moment for an interrupt."""

    def start(self) -> None:
        """Starts it; does not wait until it serves."""
        Process.is_any_starting = True
        try:
            with open(self.log, "ab") as out:
                self.popen = self.spawn(out)
        finally:
            Process.is_any_starting = False

    def spawn(self, out: BinaryIO) -> subprocess.Popen[bytes]:
        """Starts it, with its output in a file. In a session of its own: Ctrl-C reaches only us, and we stop the group
        in order."""
        return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def is_running(self) -> bool:
        """True while the process lives."""
        return self.popen is not None and self.popen.poll() is None

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Ends it and returns its exit status; kills it when it does not end in time."""
        assert self.popen is not None
        with suppress(ProcessLookupError):
            self.popen.send_signal(signal_number)
        try:
            return self.popen.wait(STOP_TIMEOUT_SEC)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()

    def tail(self) -> str:
        """The last line it printed, for error messages."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1] if lines else "(no output)"


@dataclass
class Server(Process):
    """One of the three daemons."""

    port: int = 0
    host: str = HOST

    def wait_ready(self) -> None:
        """Returns once the server accepts connections."""

        def is_ready() -> bool:
            if not self.is_running():
                raise CommandFailed(f"{self.command[0]} did not start: {self.tail()}")
            with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return True
            return False

        wait_until(is_ready, START_TIMEOUT_SEC, f"{Path(self.command[0]).name} accepts connections")


@dataclass
class Group:
    """s0, p0 and a0 below one folder. Use it as a context manager: everything is stopped at the end.

    socket_dir should be short: Unix socket paths are limited to about 100 bytes.
    """

    folder: Path
    socket_dir: Path
    options: dict[str, list[str]] = field(default_factory=dict)
    process_type: ClassVar[type[Process]] = Process
    server_type: ClassVar[type[Server]] = Server

    def __post_init__(self) -> None:
        self.archive_port, self.proxy_port, self.storage_port = free_port(), free_port(), free_port()
        self.devices: dict[str, Process] = {}
        self._stack = ExitStack()
        for kind in ("storage", "proxy", "archive"):
            (self.folder / kind).mkdir(parents=True, exist_ok=True)
        self.socket_dir.mkdir(parents=True, exist_ok=True)
        self.archive = self._server("archive", "a0", self.archive_port, [])
        self.proxy = self._server("proxy", "p0", self.proxy_port, [])
        peers = ["-archive", f"{HOST}:{self.archive_port}", "-proxy", f"{HOST}:{self.proxy_port}"]
        self.storage = self._server("storage", "s0", self.storage_port, [*peers, "-s", str(self.socket_dir)])

    def _server(self, kind: str, node_id: str, port: int, more: list[str]) -> Server:
        command = [str(BIN / f"walb-{kind}"), "-b", str(self.folder / kind), "-p", str(port), "-bind", HOST]
        command += ["-id", node_id, "-l", str(self.folder / f"{node_id}.log"), *more, *self.options.get(kind, [])]
        return self.server_type(command, self.folder / f"{node_id}.out", port=port)

    def start(self) -> None:
        """Starts the three servers at once (their order is free) and waits until they serve."""
        servers = [self.archive, self.proxy, self.storage]
        for server in servers:
            server.start()
        for server in servers:
            server.wait_ready()

    def create_device(self, name: str, size_bytes: int, log_bytes: int) -> None:
        """Makes log and data files, formats the log and starts a user-space walb device on them."""
        ldev, ddev = self.folder / f"{name}.ldev", self.folder / f"{name}.ddev"
        for path, size in ((ldev, log_bytes), (ddev, size_bytes)):
            with open(path, "wb") as file:
                file.truncate(size)
        self.wdevc("format-ldev", ldev, ddev, "-n", name)
        self.start_device(name)

    def start_device(self, name: str) -> None:
        """Starts the device server of a device made before."""
        files = ["-ldev", str(self.folder / f"{name}.ldev"), "-ddev", str(self.folder / f"{name}.ddev")]
        command = [str(BIN / "walb-device"), "-n", name, *files, "-s", str(self.socket_dir)]
        device = self.process_type(command, self.folder / f"{name}.out")
        self.devices[name] = device
        device.start()

        def is_ready() -> bool:
            if not device.is_running():
                raise CommandFailed(f"walb-device {name} did not start: {device.tail()}")
            with socket.socket(socket.AF_UNIX) as sock, suppress(OSError):
                # The last of its sockets to be there.
                sock.connect(str(self.control_socket(name)))
                return True
            return False

        wait_until(is_ready, START_TIMEOUT_SEC, f"walb-device {name} serves")

    def nbd_socket(self, name: str) -> Path:
        """Where the device serves NBD."""
        return self.socket_dir / f"{name}.nbd"

    def control_socket(self, name: str) -> Path:
        """Where wdevc and walb-storage talk to the device."""
        return self.socket_dir / f"{name}.ctl"

    def wdevc(self, *args: object) -> str:
        """Runs wdevc; returns its stdout."""
        return run_command("wdevc", *args)

    def walbc(self, server: Server, *args: object) -> str:
        """Runs walbc against a server; returns its stdout."""
        return run_command("walbc", "-a", server.host, "-p", server.port, *args)

    def stop(self) -> None:
        """Stops everything, storage first; calling it again does nothing."""
        for process in (self.storage, self.proxy, self.archive, *self.devices.values()):
            if process.is_running():
                process.stop()

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def sanitized_environment() -> dict[str, str]:
    """The environment with sbin in PATH, where e2fsprogs lie and plain users do not look."""
    return {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}

"""What a service manager such as systemd is told of a program that it runs (sd_notify(3)).

Messages are datagrams of `NAME=VALUE` lines to the socket in $NOTIFY_SOCKET; without one, nothing is told to anybody.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from enum import Enum

from walbd.model.error import one_line

SOCKET, WATCHDOG_USEC, WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
DEFAULT_BEAT_SEC = 30.0
# How many beats may be lost before a start or a patient end counts as hanging.
EXTENSION_BEATS = 4
MAX_STATUS = 500
# The manager's queue is full only when it hangs itself.
SEND_SEC = 1.0


class Phase(Enum):
    """Where in its life a service is."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


class ServiceManager:
    """The manager of this process, silent when `address` is empty. `watchdog_sec`: it wants to hear from us in so long
    a time, 0 = it does not wait for us."""

    def __init__(self, address: str = "", watchdog_sec: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_sec = watchdog_sec
        self._phase = Phase.STARTING
        self._is_patient = True

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """The one the environment names. The variables are removed: programs that this one starts are not the
        service."""
        address = environment.pop(SOCKET, "")
        usec, pid = environment.pop(WATCHDOG_USEC, ""), environment.pop(WATCHDOG_PID, "")
        is_ours = usec.isdigit() and pid in ("", str(os.getpid()))
        return cls(address, int(usec) / 1e6 if is_ours else 0.0)

    @property
    def is_present(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    @property
    def beat_sec(self) -> float:
        """How often `beat` is to be called."""
        return self._watchdog_sec / 2 or DEFAULT_BEAT_SEC

    def ready(self, status: str) -> None:
        """The service does its work from now on."""
        self._phase = Phase.SERVING
        self._tell("READY=1", _status(status))

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """While the block runs, the service takes up a changed configuration."""
        is_told = self._phase is Phase.SERVING
        if is_told:
            now_usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._tell("RELOADING=1", f"MONOTONIC_USEC={now_usec}")
        try:
            yield
        finally:
            if is_told:
                self._tell("READY=1")

    def stopping(self, status: str, *, is_patient: bool) -> None:
        """The service begins to end. is_patient: as long as it beats, it may take the time it needs."""
        self._phase, self._is_patient = Phase.STOPPING, is_patient
        self._tell("STOPPING=1", _status(status))
        self.beat()

    def beat(self, status: str = "") -> None:
        """The service is alive: no watchdog bites, and a start or a patient end is given more time."""
        lines = [_status(status)] if status else []
        if self._phase is Phase.SERVING:
            lines += ["WATCHDOG=1"] * bool(self._watchdog_sec)
        elif self._is_patient:
            lines.append(f"EXTEND_TIMEOUT_USEC={int(EXTENSION_BEATS * self.beat_sec * 1e6)}")
        if lines:
            self._tell(*lines)

    async def keep_beating(self, status: Callable[[], str], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Beats as long as the event loop turns and somebody listens; cancel it at the end."""
        while self.is_present:
            self.beat(status())
            await sleep(self.beat_sec)

    def _tell(self, *lines: str) -> None:
        if not self.is_present:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(SEND_SEC)
            # A manager that is gone does not end its services.
            with contextlib.suppress(OSError):
                sock.sendto("\n".join(lines).encode(errors="replace"), self._address)


def _status(text: str) -> str:
    return f"STATUS={one_line(text)[:MAX_STATUS]}"

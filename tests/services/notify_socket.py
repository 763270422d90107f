"""What systemd does for a service, as the service sees it: a socket for messages, and the variables naming it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

LIMIT_SEC = 30.0


class NotifySocket:
    """Receives what services tell; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))
        self._socket.settimeout(LIMIT_SEC)

    def environment(self, watchdog_sec: float = 0) -> dict[str, str]:
        """For a service; WATCHDOG_PID is left out, as it is known only after the fork."""
        watchdog = {"WATCHDOG_USEC": str(int(watchdog_sec * 1e6))} if watchdog_sec else {}
        return {**os.environ, "NOTIFY_SOCKET": str(self.path), **watchdog}

    def next(self) -> str:
        """The next message."""
        return self._socket.recv(4096).decode()

    def take(self, count: int) -> list[str]:
        """The next messages."""
        return [self.next() for _ in range(count)]

    def until(self, is_meant: Callable[[str], bool]) -> str:
        """The first message that fits; those before it are passed over."""
        while not is_meant(message := self.next()):
            pass
        return message

    def take_until_silent(self, silence_sec: float) -> None:
        """Takes what is there; raises TimeoutError when nothing more has come for so long."""
        self._socket.settimeout(silence_sec)
        try:
            while True:
                self.next()
        finally:
            self._socket.settimeout(LIMIT_SEC)

    def __enter__(self) -> NotifySocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

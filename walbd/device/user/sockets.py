"""Unix sockets of a device: a dead server's are replaced, a living one's refused."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from walbd.model.error import AlreadyExists, InvalidArgument, StorageFailure

MAX_PATH_BYTES = 107
SOCKET_MODE = 0o600
BACKLOG = 64


class SocketFolder:
    """The sockets of the device `name` in one folder. A locked file beside them tells a living server from a dead."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._name = name
        self._paths: list[Path] = []
        self._lock_fd = -1

    def take(self) -> None:
        """Makes this process the server of that name. Raises AlreadyExists when there is one."""
        lock = self.folder / f"{self._name}.lock"
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            hint = "name a folder of yours with -s"
            raise StorageFailure(f"cannot use socket folder {self.folder}: {error.strerror}", hint) from error
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock_fd)
            raise self._is_served() from error

    def _is_served(self) -> AlreadyExists:
        return AlreadyExists(f"a walb device {self._name} is served in {self.folder}", "choose another -n or -s")

    def listen(self, suffix: str) -> socket.socket:
        """A listening socket at NAME + suffix. Its name appears when it listens: who sees it can connect."""
        path = socket_path(self.folder, self._name, suffix)
        unseen = path.with_name(path.name + "~")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            if is_answered(path):
                raise self._is_served()
            unseen.unlink(missing_ok=True)
            sock.bind(str(unseen))
            os.chmod(unseen, SOCKET_MODE)
            sock.listen(BACKLOG)
            sock.setblocking(False)
            unseen.rename(path)
        except OSError as error:
            sock.close()
            raise StorageFailure(f"cannot listen on {path}: {error.strerror}") from error
        except BaseException:
            sock.close()
            raise
        self._paths.append(path)
        return sock

    def remove(self) -> None:
        """Removes the sockets; the control socket, made last, goes last."""
        for path in self._paths:
            path.unlink(missing_ok=True)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def socket_path(folder: Path, name: str, suffix: str) -> Path:
    """NAME + suffix in the folder. Raises InvalidArgument when that is too long for a socket."""
    path = folder / (name + suffix)
    if len(os.fsencode(path)) + 1 > MAX_PATH_BYTES:
        raise InvalidArgument(f"socket path is too long: {path}", f"at most {MAX_PATH_BYTES - 1} bytes")
    return path


def is_answered(path: Path) -> bool:
    """True when a server, even one that takes no lock, listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True

"""The base directory of a daemon: one owner, one kind of server, volumes in folders (snapshot-model.md section 13).

All functions block: call them through World.run.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from walbd.model.error import BadState, InvalidArgument, StorageFailure
from walbd.model.limits import check_volume_name
from walbd.server.log import Log
from walbd.server.volume_files import LEFTOVER_PREFIX, sweep_leftovers
from walbd.world.files import FOLDER_MODE, Files

LOCKS = Path("/proc/locks")
# What a volume of each kind of server always has, and no volume of another kind.
MARKS = {"storage": ("path", "done", "queue"), "proxy": ("received",), "archive": ("base", "archive_uuid")}


class BaseDirectory:
    """An opened base directory. No other daemon can open it until `close`."""

    def __init__(self, files: Files, path: Path, kind: str, create: bool) -> None:
        """Raises StorageFailure when the directory is missing (create makes the last component) or cannot be written,
        BadState when another daemon has it, InvalidArgument when it belongs to another kind of server."""
        self.path = path
        self._kind = kind
        if create:
            _create(path)
        self._fd = _lock(path)
        try:
            _check_kind(path, kind)
            files.new_file(path).discard()
            self.swept = sweep_leftovers(path)
        except BaseException:
            self.close()
            raise

    def volume_names(self, log: Log) -> list[str]:
        """Names of the volumes' folders in order; logs what else lies there."""
        names = []
        for path in sorted(self.path.iterdir()):
            if path.is_symlink() or not path.is_dir() or path.name.startswith(LEFTOVER_PREFIX):
                continue
            if _is_volume(path, self._kind):
                names.append(path.name)
            else:
                log.warning("ignored a directory that is no volume", path)
        return names

    def close(self) -> None:
        """Lets other daemons have it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def check_base_directory(path: Path, kind: str, create: bool) -> list[Path]:
    """Raises what opening it as a BaseDirectory would raise, without touching it, and whether or not a daemon uses it.
    Returns the volumes' folders."""
    if create and not path.exists():
        if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
            raise _cannot_create(path, errno.EACCES if path.parent.is_dir() else errno.ENOENT)
        return []
    try:
        folders = sorted(folder for folder in path.iterdir() if _is_volume(folder, kind))
    except OSError as error:
        raise _cannot_open(path, error) from error
    _check_kind(path, kind)
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        raise StorageFailure(f"cannot create a file in {path}", "it must be writable for the user of the daemon")
    return folders


def is_in_use(path: Path) -> bool:
    """Whether a daemon has it. Only looks: taking the lock, even for a moment, could keep a daemon from starting."""
    try:
        status = path.stat()
        locks = LOCKS.read_text()
    except OSError:
        return False
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:"
    # Some file systems (btrfs) tell stat of another device than that of their locks.
    ends = f":{status.st_ino}" if os.major(status.st_dev) == 0 else f"{device}{status.st_ino}"
    return any(words[1] == "FLOCK" and words[5].endswith(ends) for words in map(str.split, locks.splitlines()))


def _check_kind(base: Path, own_kind: str) -> None:
    for path in base.iterdir():
        for kind, marks in MARKS.items():
            if kind != own_kind and _has_any(path, marks):
                raise InvalidArgument(
                    f"base directory {base} belongs to a walb-{kind}: volume {path.name}",
                    "name another directory with -b",
                )


def _is_volume(path: Path, kind: str) -> bool:
    try:
        check_volume_name(path.name)
    except InvalidArgument:
        return False
    # A damaged volume must be reported, not overlooked: any file of ours makes it one.
    marks = (*MARKS[kind], "state", "uuid", "size", "sendto")
    return _has_any(path, marks)


def _has_any(folder: Path, names: tuple[str, ...]) -> bool:
    """False also for a folder that may not be looked into (lost+found)."""
    return any(os.path.exists(folder / name) for name in names)


def _create(path: Path) -> None:
    try:
        path.mkdir(FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise _cannot_create(path, error.errno or errno.EIO) from error


def _cannot_create(path: Path, number: int) -> StorageFailure:
    return StorageFailure(
        f"cannot create the base directory {path}: {os.strerror(number)}", "its parent must exist and be writable"
    )


def _cannot_open(path: Path, error: OSError) -> StorageFailure:
    return StorageFailure(f"cannot open the base directory {path}: {error.strerror}", "create it, or use -b")


def _lock(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_open(path, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise BadState(
            f"another daemon uses the base directory {path}", "stop it, or name another directory with -b"
        ) from error
    return fd

"""Where a tool writes: a new file that appears whole or not at all, or a pipe or device as it is."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

from walbd.model.error import StorageFailure
from walbd.world.files import Files, NewFile

STANDARD_OUTPUT = "-"
# What fsync says of pipes, terminals and some devices.
_NOT_SYNCABLE = (errno.EINVAL, errno.ENOTSUP, errno.EROFS)


class Output:
    """An output under construction. Leaving the context without commit removes a new file.

    fd: written by the user; is_file: whether it is a regular file, new and empty; folder: where temporary files may
    lie, the output's own when it has one."""

    def __init__(self, fd: int, folder: Path, new: NewFile | None, name: str) -> None:
        self.fd = fd
        self.is_file = new is not None
        self.folder = folder
        self._new = new
        self._name = name

    def commit(self) -> None:
        """Makes the content durable and a new file visible. Raises StorageFailure."""
        if self._new is not None:
            self._new.commit(Path(self._name).name)
            return
        try:
            os.fsync(self.fd)
        except OSError as error:
            if error.errno not in _NOT_SYNCABLE:
                raise StorageFailure(f"cannot sync {self._name}: {error.strerror}") from error

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        if self._new is not None:
            self._new.discard()
        else:
            os.close(self.fd)


def open_output(name: str, files: Files | None = None) -> Output:
    """The output of a name on a command line: `-` is standard output; a pipe or device is opened; anything else is a
    file that replaces what is there on commit. Raises StorageFailure."""
    temporary = Path(tempfile.gettempdir())
    try:
        if name == STANDARD_OUTPUT:
            return Output(os.dup(1), temporary, None, "standard output")
        path = Path(name)
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            return Output(os.open(path, os.O_WRONLY | os.O_CLOEXEC), temporary, None, name)
    except OSError as error:
        raise StorageFailure(f"cannot open {name}: {error.strerror}") from error
    # The file that a symbolic link leads to is replaced, not the link.
    final = path.resolve()
    new = (files or Files()).new_file(final.parent)
    return Output(new.fd, final.parent, new, str(final))

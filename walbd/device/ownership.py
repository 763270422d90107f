"""Exclusive ownership of a log or data device."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from walbd.model.error import BadState, InvalidArgument, StorageFailure


class OwnedFile:
    """A file or block device open for reading and writing, for this process alone: O_EXCL on a block device (which the
    kernel driver uses too), a lock on a file. Raises BadState when someone else has it."""

    def __init__(self, path: str) -> None:
        try:
            mode = os.stat(path).st_mode
            if not stat.S_ISBLK(mode) and not stat.S_ISREG(mode):
                raise InvalidArgument(f"{path} is neither a file nor a block device")
            exclusive = os.O_EXCL if stat.S_ISBLK(mode) else 0
            self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | exclusive)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise _in_use(path) from error
            raise StorageFailure(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self.fd)
            raise _in_use(path) from error

    def close(self) -> None:
        """Gives it free."""
        os.close(self.fd)


def _in_use(path: str) -> BadState:
    return BadState(f"{path} is in use", "does another walb device use it, is it mounted?")

"""Copying an image file: as a reflink where the file system shares blocks, otherwise data only, holes stay holes."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator

from walbd.image.store import IsCancelled, OnProgress
from walbd.model.error import Cancelled

STEP_BYTES = 16 << 20
FICLONE = 0x40049409
"""ioctl of linux/fs.h: the target becomes a copy-on-write clone of the source."""

_NO_REFLINK = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}
_NO_KERNEL_COPY = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EPERM}


def copy_image(source: int, target: int, size_bytes: int, is_cancelled: IsCancelled, on_progress: OnProgress) -> None:
    """Makes the empty file `target` equal to the first `size_bytes` of `source`. Raises OSError and Cancelled."""
    _stop_if(is_cancelled)
    shared = reflink(source, target)
    os.ftruncate(target, size_bytes)
    if not shared:
        for begin, end in data_ranges(source, size_bytes):
            position = begin
            while position < end:
                _stop_if(is_cancelled)
                position += _copy_step(source, target, position, min(STEP_BYTES, end - position))
                on_progress(position)
    on_progress(size_bytes)


def _stop_if(is_cancelled: IsCancelled) -> None:
    if is_cancelled():
        raise Cancelled("copying the base image was cancelled")


def reflink(source: int, target: int) -> bool:
    """Shares all blocks of source with target; False when the file system cannot."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in _NO_REFLINK:
            return False
        raise
    return True


def data_ranges(fd: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of each part of the first `size_bytes` of a file that is not a hole, ascending."""
    position = 0
    while position < size_bytes:
        try:
            begin = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        if begin >= size_bytes:
            return
        position = min(os.lseek(fd, begin, os.SEEK_HOLE), size_bytes)
        yield begin, position


def _copy_step(source: int, target: int, position: int, length: int) -> int:
    """Copies 1 to `length` bytes at `position`, inside the kernel where it can; returns how many."""
    try:
        copied = os.copy_file_range(source, target, length, position, position)
    except OSError as error:
        if error.errno not in _NO_KERNEL_COPY:
            raise
        copied = os.pwrite(target, os.pread(source, length, position), position)
    if copied == 0:
        raise OSError(errno.EIO, "the image became shorter while it was copied")
    return copied

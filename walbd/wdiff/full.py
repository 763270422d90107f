"""A whole image as a wdiff file (wdiff-format.md section 13.2, wdiff-full)."""

from __future__ import annotations

import os
import stat
import threading
from io import FileIO

from walbd._core import ffi, lib
from walbd.model.error import InvalidArgument, StorageFailure
from walbd.model.limits import LB_BYTES, check_range
from walbd.wdiff.builder import LogOptions, WdiffBuilding
from walbd.wdiff.native import error_of, new_failure
from walbd.wdiff.reader import WdiffKind
from walbd.wdiff.threads import run_threads

DEFAULT_IO_BYTES = 64 << 10
MAX_IO_BYTES = 32 << 20
# What one thread takes at a time.
PART_BYTES = 2 << 20


class _Parts:
    """Ranges of an image for threads, in order: number, byte offset, length."""

    def __init__(self, size: int, part_bytes: int) -> None:
        self._size, self._part_bytes = size, part_bytes
        self._next = 0
        self._lock = threading.Lock()

    def take(self) -> tuple[int, int, int] | None:
        """The next range, None when there is none."""
        with self._lock:
            number, offset = self._next, self._next * self._part_bytes
            self._next += 1
        return (number, offset, min(self._part_bytes, self._size - offset)) if offset < self._size else None


def image_to_wdiff(
    image: FileIO,
    out_fd: int,
    kind: WdiffKind,
    options: LogOptions | None = None,
    io_bytes: int = DEFAULT_IO_BYTES,
) -> int:
    """Writes all of an image, a file, device or pipe, as normal records of io_bytes, snappy, with uuid zero, to an
    empty file or a pipe (not synced). Returns the image's size in bytes. Zeros are not looked for. Blocks.

    Raises InvalidArgument when io_bytes or the image is no number of whole blocks; StorageFailure."""
    check_range("IO size", io_bytes, LB_BYTES, MAX_IO_BYTES)
    if io_bytes % LB_BYTES:
        raise InvalidArgument(f"IO size is no multiple of {LB_BYTES}:{io_bytes}")
    given = options or LogOptions()
    own = LogOptions(io_bytes // LB_BYTES, given.threads, given.folder, given.strict)
    with WdiffBuilding(out_fd, kind is WdiffKind.SORTED, bytes(16), own) as building:
        try:
            status = os.fstat(image.fileno())
            if stat.S_ISREG(status.st_mode):
                size = _from_file(building, image.fileno(), status.st_size, own.threads, io_bytes)
            else:
                size = _from_pipe(building, image, io_bytes)
        except OSError as error:
            raise StorageFailure(f"cannot read the image: {error.strerror}") from error
        building.finish()
    return size


def _check_whole(size: int) -> int:
    if size % LB_BYTES:
        raise InvalidArgument(f"the image has {size} bytes, no multiple of {LB_BYTES}")
    return size


def _part_bytes(io_bytes: int) -> int:
    return max(io_bytes, PART_BYTES // io_bytes * io_bytes)


def _from_file(building: WdiffBuilding, fd: int, size: int, n_threads: int, io_bytes: int) -> int:
    building.set_source(fd)
    parts = _Parts(_check_whole(size), _part_bytes(io_bytes))

    def work(failure: object) -> int:
        result = 0
        while result == 0 and (part := parts.take()) is not None:
            number, offset, length = part
            result = lib.walb_wdiff_from_image_part(
                building.handle, number, fd, offset, ffi.NULL, length, offset // LB_BYTES, io_bytes // LB_BYTES, failure
            )
        return result

    run_threads(n_threads, work, lambda failure: error_of(failure, "image"))
    return size


def _from_pipe(building: WdiffBuilding, image: FileIO, io_bytes: int) -> int:
    buffer = memoryview(bytearray(_part_bytes(io_bytes)))
    failure = new_failure()
    number = done = 0
    while True:
        filled = 0
        while filled < len(buffer) and (count := image.readinto(buffer[filled:])):
            filled += count
        _check_whole(done + filled)
        if filled == 0:
            return done
        if lib.walb_wdiff_from_image_part(
            building.handle,
            number,
            -1,
            0,
            ffi.from_buffer(buffer),
            filled,
            done // LB_BYTES,
            io_bytes // LB_BYTES,
            failure,
        ):
            raise error_of(failure, "image")
        number, done = number + 1, done + filled

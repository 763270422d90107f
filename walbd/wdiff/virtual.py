"""The image of a snapshot that was never made: a base and the diffs after it (wdiff-format.md section 8)."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from walbd._core import ffi, lib
from walbd.model.error import Cancelled, StorageFailure
from walbd.model.limits import LB_BYTES, MAX_VOLUME_SIZE_LB, check_range
from walbd.wdiff.merge import open_inputs
from walbd.wdiff.native import Bytes, error_of, new_failure
from walbd.wdiff.sorted_output import is_new_file, write_bytes

# Of memory that begins at a page border: to just behind one, some processors copy the page cache three times as slowly.
STEP_BYTES = 1 << 20
BASE = "base image"


class VirtualImage:
    """A sequential read of the image: what the base holds with the diffs, oldest first, over it. Discards and zeros
    read as zeros, as they do after applying. Neither is changed.

    Memory depends on neither sizes nor number of diffs. Blocks. Use it as a context manager."""

    def __init__(self, base_fd: int | None, paths: Sequence[Path], size_bytes: int) -> None:
        """base_fd is a file or device, or a pipe, which is then read once; without one, or behind its end, all is
        zeros. size_bytes is that of the volume: records are clipped to it.

        Raises NotFound, StorageFailure, and Corrupted naming the file."""
        check_range("image size in bytes", size_bytes, 0, MAX_VOLUME_SIZE_LB * LB_BYTES)
        self._inputs = open_inputs(paths, is_one_log=False)
        failure = self._inputs.failure
        fd = -1 if base_fd is None else base_fd
        image = lib.walb_wdiff_virtual_new(self._inputs.handle, fd, fd >= 0 and _can_seek(fd), size_bytes, failure)
        if not image:
            raise self._inputs.error()
        self._image = ffi.gc(image, lib.walb_wdiff_virtual_free)

    def read(self, buffer: Bytes) -> int:
        """Fills the buffer with the next bytes; returns how many, fewer than its size only at the end, 0 behind it.

        Raises Corrupted naming file, offset and field, StorageFailure."""
        place = ffi.from_buffer(buffer, require_writable=True)
        with place:
            n = int(lib.walb_wdiff_virtual_read(self._image, place, len(place), self._inputs.failure))
        if n < 0:
            raise self._inputs.error(BASE)
        return n

    def close(self) -> None:
        """Closes the diffs; nothing else may be called afterwards."""
        self._inputs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _can_seek(fd: int) -> bool:
    try:
        os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return False
    return True


def write_virtual(
    base_fd: int | None,
    paths: Sequence[Path],
    size_bytes: int,
    out_fd: int,
    cancelled: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Writes the whole image, not synced: to a new file, where long zeros become holes, or in sequence to anything
    else, such as a pipe or device. `cancelled` is asked, and `progress` told the bytes done, once per MiB.

    Raises Cancelled, NotFound, StorageFailure, and Corrupted naming file, offset and field."""
    makes_holes = is_new_file(out_fd)
    buffer = memoryview(mmap.mmap(-1, STEP_BYTES))
    failure = new_failure()
    done = 0
    with VirtualImage(base_fd, paths, size_bytes) as image:
        while n := image.read(buffer):
            if cancelled():
                raise Cancelled("writing the image was stopped")
            if not makes_holes:
                write_bytes(out_fd, buffer[:n])
            elif lib.walb_write_with_holes(out_fd, ffi.from_buffer(buffer), n, done, failure):
                raise error_of(failure, "output")
            done += n
            progress(done)
    if makes_holes:
        try:
            os.ftruncate(out_fd, size_bytes)
            os.lseek(out_fd, 0, os.SEEK_END)
        except OSError as error:
            raise StorageFailure(f"output: cannot set its size: {error.strerror}") from error

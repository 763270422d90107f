"""Building wdiff files from IOs in order of arrival (native/wdiff_builder.h)."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Self

from walbd._core import ffi, lib
from walbd.model.compression import CompressOpt
from walbd.model.error import StorageFailure, WalbError
from walbd.model.limits import MAX_IO_LB
from walbd.wdiff import codec as _codecs_of_the_core  # noqa: F401
from walbd.wdiff.native import error_of, new_failure
from walbd.wdiff.sorted_output import file_header, is_new_file, write_bytes, write_sorted

MAX_THREADS = 4
# Records kept in memory before they become a run: 10 MiB, and about twice that while they are sorted.
MAX_RUN_RECORDS = 256 << 10
# An index record's length is a power of two, and 2 GiB in bytes still fit 32 bits, which some readers compute with.
LARGEST_PIECE_LB = 1 << 22


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a diff is built: longest normal record in blocks (0: no limit), threads, the folder for temporary files
    without a name, and whether a log file must have an end block."""

    max_io_lb: int = MAX_IO_LB
    threads: int = min(MAX_THREADS, os.cpu_count() or 1)
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    strict: bool = True


def unnamed_file(folder: Path) -> FileIO:
    """A file that is gone when it is closed. Raises StorageFailure."""
    try:
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise StorageFailure(f"cannot create a temporary file in {folder}: {error.strerror}") from error


class WdiffBuilding:
    """A sorted or indexed file under construction. Memory depends on neither the number nor the sizes of the IOs: what
    is visible of them is kept in a temporary file, and so are, for a sorted file, the data, unless they can be read
    again from their source.

    Use it as a context manager; `handle` is for the parts."""

    def __init__(self, out_fd: int, is_sorted: bool, uuid: bytes, options: LogOptions) -> None:
        """out_fd is an empty file or a pipe, where the file header is written at once when it is an indexed one."""
        self._out_fd = out_fd
        self._uuid = uuid
        self._options = options
        self._is_sorted = is_sorted
        self._files = ExitStack()
        self._failure = new_failure()
        run_fd = self._temporary()
        if is_sorted:
            images_fd, offset, can_seek, slice_lb = self._temporary(), 0, True, options.max_io_lb
        else:
            can_seek = is_new_file(out_fd)
            header = file_header(lib.WALB_WDIFF_INDEXED, uuid)
            write_bytes(out_fd, header)
            # Images are cut like the reference's index records at the most, longer ones only when all may be long.
            slice_lb = max(options.max_io_lb, MAX_IO_LB) if options.max_io_lb else 0
            images_fd, offset = out_fd, len(header)
        handle = lib.walb_wdiff_builder_new(
            images_fd, offset, can_seek, run_fd, MAX_RUN_RECORDS, slice_lb, not is_sorted, self._failure
        )
        if not handle:
            raise self.error(self._failure)
        self.handle = ffi.gc(handle, lib.walb_wdiff_builder_free)

    def _temporary(self) -> int:
        return self._files.enter_context(unnamed_file(self._options.folder)).fileno()

    def error(self, failure: Any) -> WalbError:
        """The error of a failure that belongs to no input."""
        return error_of(failure, "output")

    def set_source(self, fd: int) -> None:
        """Names the file whose parts come next, -1 for none; it must stay open and unchanged until the end."""
        if self._is_sorted and lib.walb_wdiff_builder_source(self.handle, fd, self._failure):
            raise self.error(self._failure)

    @property
    def n_ios(self) -> int:
        """IOs so far."""
        return int(lib.walb_wdiff_builder_n_ios(self.handle))

    def finish(self) -> int:
        """Completes the file (not synced); returns its size in bytes. Raises StorageFailure, Corrupted."""
        return self._finish_sorted() if self._is_sorted else self._finish_indexed()

    def _finish_sorted(self) -> int:
        runs, count = ffi.new("walb_wdiff_run **"), ffi.new("size_t *")
        if lib.walb_wdiff_builder_runs(self.handle, ffi.cast("const walb_wdiff_run **", runs), count, self._failure):
            raise self.error(self._failure)
        merge = lib.walb_wdiff_merge_new_runs(runs[0], count[0], self._uuid, self._failure)
        if not merge:
            raise self.error(self._failure)
        merge = ffi.gc(merge, lib.walb_wdiff_merge_free)
        compress = CompressOpt(threads=self._options.threads)
        return write_sorted(merge, self._uuid, compress, self._out_fd, self.error)[0]

    def _finish_indexed(self) -> int:
        piece_lb = min(self._options.max_io_lb or LARGEST_PIECE_LB, LARGEST_PIECE_LB)
        n_records, size = ffi.new("uint32_t *"), ffi.new("uint64_t *")
        piece_lb = 1 << (piece_lb.bit_length() - 1)
        if lib.walb_wdiff_builder_finish_indexed(self.handle, piece_lb, n_records, size, self._failure):
            raise self.error(self._failure)
        return int(size[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

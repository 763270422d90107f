"""Log bytes to an indexed wdiff file (wdiff-format.md sections 4 and 6.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from walbd._core import ffi, lib
from walbd.model.limits import MAX_IO_LB
from walbd.wdiff.builder import MAX_RUN_RECORDS, LogOptions, unnamed_file
from walbd.wdiff.from_log import LogConverted, convert_log
from walbd.wdiff.native import Bytes, error_of, new_failure
from walbd.wdiff.sorted_output import file_header, write_bytes


def log_to_indexed(
    streams: Sequence[FileIO],
    out_fd: int,
    options: LogOptions | None = None,
    on_end: Callable[[int], None] = lambda _: None,
) -> LogConverted:
    """Converts log files to an indexed wdiff; the rest is as with `log_to_sorted`. Index records have at most
    options.max_io_lb blocks, rounded down to a power of two."""
    return convert_log(streams, out_fd, False, options or LogOptions(), on_end)


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion gave. The diff holds the log up to `end_lsid` (a pack boundary)."""

    end_lsid: int
    size_bytes: int
    n_ios: int
    n_index_records: int


class LogToIndexedWdiff:
    """Writes an indexed wdiff while log bytes come in: images at once (snappy, at most 1 MiB each, all-zero ones as
    records without data), the index at the end. Memory is that of MAX_RUN_RECORDS records, whatever the log is made of:
    what is visible of more of them waits in a temporary file.

    The file is complete only after `finish`; on any error throw it away. Use it as a context manager. Blocks: call it
    through World.run."""

    def __init__(self, fd: int, uuid: bytes, pbs: int, salt: int, begin_lsid: int, folder: Path) -> None:
        """fd is an empty file; uuid (16 bytes), physical block size and salt are the log's. folder: of the temporary
        file, which has no name. Raises StorageFailure."""
        self._failure = new_failure()
        header = file_header(lib.WALB_WDIFF_INDEXED, uuid)
        write_bytes(fd, header)
        self._runs = unnamed_file(folder)
        builder = lib.walb_wdiff_builder_new(
            fd, len(header), False, self._runs.fileno(), MAX_RUN_RECORDS, MAX_IO_LB, True, self._failure
        )
        if not builder:
            raise error_of(self._failure, "log")
        self._builder = ffi.gc(builder, lib.walb_wdiff_builder_free)
        handle = lib.walb_wdiff_from_log_new(self._builder, 0, pbs, salt, begin_lsid, self._failure)
        if not handle:
            raise error_of(self._failure, "log")
        self._handle = ffi.gc(handle, lib.walb_wdiff_from_log_free)

    def feed(self, data: Bytes) -> None:
        """Takes the next log bytes, cut anywhere. Raises Corrupted naming the lsid, StorageFailure."""
        if lib.walb_wdiff_from_log_feed(self._handle, ffi.from_buffer(data), len(data), self._failure):
            raise error_of(self._failure, "log")

    def finish(self) -> Converted:
        """Completes the file (not synced). Raises Corrupted when the log ends inside a pack, StorageFailure."""
        end_lsid, n_records, size = ffi.new("uint64_t *"), ffi.new("uint32_t *"), ffi.new("uint64_t *")
        if lib.walb_wdiff_from_log_end(self._handle, end_lsid, self._failure) or (
            lib.walb_wdiff_builder_finish_indexed(self._builder, MAX_IO_LB, n_records, size, self._failure)
        ):
            raise error_of(self._failure, "log")
        n_ios = int(lib.walb_wdiff_builder_n_ios(self._builder))
        return Converted(int(end_lsid[0]), int(size[0]), n_ios, int(n_records[0]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runs.close()

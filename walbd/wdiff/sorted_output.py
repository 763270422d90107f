"""Writing sorted wdiff files from a merge (wdiff-format.md sections 3 and 7.6)."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from walbd._core import ffi, lib
from walbd.model.compression import CompressOpt
from walbd.model.error import StorageFailure, WalbError
from walbd.wdiff.native import Bytes
from walbd.wdiff.threads import run_threads


@dataclass(frozen=True, slots=True)
class WdiffStatistics:
    """Records and blocks by kind, and stored bytes (wdiff-format.md section 7.7)."""

    n_normal: int
    n_zero: int
    n_discard: int
    normal_lb: int
    zero_lb: int
    discard_lb: int
    data_bytes: int

    @classmethod
    def of(cls, raw: Any) -> WdiffStatistics:
        """From the core's `walb_wdiff_statistics`."""
        return cls(*(int(n) for n in (*raw.n_records, *raw.blocks_lb, raw.data_bytes)))


def is_new_file(fd: int) -> bool:
    """Whether a descriptor is an empty regular file that may be written by position."""
    try:
        status = os.fstat(fd)
        appends = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
        return stat.S_ISREG(status.st_mode) and status.st_size == 0 and not appends
    except OSError as error:
        raise StorageFailure(f"output: {error.strerror}") from error


def write_bytes(fd: int, data: Bytes) -> None:
    """Appends at the descriptor's position. Raises StorageFailure."""
    try:
        written = 0
        while written < len(data):
            written += os.write(fd, memoryview(data)[written:])
    except OSError as error:
        raise StorageFailure(f"output: cannot write: {error.strerror}") from error


def file_header(kind: int, uuid: bytes) -> bytearray:
    """The first 32 bytes of a wdiff file."""
    header = bytearray(lib.WALB_WDIFF_FILE_HEADER_BYTES)
    lib.walb_wdiff_build_header(ffi.from_buffer(header), kind, uuid)
    return header


def write_sorted(
    merge: Any, uuid: bytes, compress: CompressOpt, fd: int, error: Callable[[Any], WalbError]
) -> tuple[int, WdiffStatistics]:
    """Writes a merge of the core as a sorted file to an empty file or a pipe (not synced), with as many threads as the
    option says. Returns its size in bytes and what it holds; `error` makes an error of a failure."""
    can_seek = is_new_file(fd)
    header = file_header(lib.WALB_WDIFF_SORTED, uuid)
    write_bytes(fd, header)
    failure = ffi.new("walb_failure *", {"source": -1})
    writer = lib.walb_wdiff_pack_writer_new(
        merge, compress.type, compress.level, compress.threads, fd, len(header), can_seek, failure
    )
    if not writer:
        raise error(failure)
    writer = ffi.gc(writer, lib.walb_wdiff_pack_writer_free)
    run_threads(compress.threads, lambda own: int(lib.walb_wdiff_write_packs(writer, own)), error)
    end = bytearray(lib.WALB_WDIFF_PACK_HEADER_BYTES)
    lib.walb_wdiff_build_end(ffi.from_buffer(end))
    if can_seek:
        os.lseek(fd, lib.walb_wdiff_pack_writer_offset(writer), os.SEEK_SET)
    write_bytes(fd, end)
    statistics = ffi.new("walb_wdiff_statistics *")
    lib.walb_wdiff_pack_writer_statistics(writer, statistics)
    return int(lib.walb_wdiff_pack_writer_offset(writer)) + len(end), WdiffStatistics.of(statistics)

"""Log bytes to an indexed wdiff file (wdiff-format.md sections 4 and 6.4)."""

from __future__ import annotations

from dataclasses import dataclass

from walbd._core import ffi, lib
from walbd.wdiff.native import Bytes, error_of, new_failure


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion gave. The diff holds the log up to `end_lsid` (a pack boundary)."""

    end_lsid: int
    size_bytes: int
    n_ios: int
    n_index_records: int


class LogToIndexedWdiff:
    """Writes an indexed wdiff while log bytes come in: images at once (snappy, at most 1 MiB each, all-zero ones as
    records without data), the index at the end. Memory is that of the index.

    The file is complete only after `finish`; on any error throw it away. Blocks: call it through World.run."""

    def __init__(self, fd: int, uuid: bytes, pbs: int, salt: int, begin_lsid: int) -> None:
        """fd is an empty file; uuid (16 bytes), physical block size and salt are the log's."""
        self._failure = new_failure()
        handle = lib.walb_wdiff_from_log_new(fd, uuid, pbs, salt, begin_lsid, self._failure)
        if not handle:
            raise error_of(self._failure, "log")
        self._handle = ffi.gc(handle, lib.walb_wdiff_from_log_free)

    def feed(self, data: Bytes) -> None:
        """Takes the next log bytes, cut anywhere. Raises Corrupted naming the lsid, StorageFailure."""
        if lib.walb_wdiff_from_log_feed(self._handle, ffi.from_buffer(data), len(data), self._failure):
            raise error_of(self._failure, "log")

    def finish(self) -> Converted:
        """Completes the file (not synced). Raises Corrupted when the log ends inside a pack, StorageFailure."""
        result = ffi.new("walb_wdiff_converted *")
        if lib.walb_wdiff_from_log_finish(self._handle, result, self._failure):
            raise error_of(self._failure, "log")
        return Converted(result.next_lsid, result.file_bytes, result.n_ios, result.n_index_records)

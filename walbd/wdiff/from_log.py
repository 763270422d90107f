"""Log files to wdiff files (wdiff-format.md section 6)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO

from walbd._core import ffi, lib
from walbd.model.error import Corrupted, StorageFailure
from walbd.wdiff.builder import LogOptions, WdiffBuilding
from walbd.wdiff.native import error_of, new_failure
from walbd.wdiff.threads import run_threads
from walbd.wlog.log_file import HEADER_BYTES, LogFileHeader, LogFileReader

EMPTY_UUID = bytes(16)


@dataclass(frozen=True, slots=True)
class LogConverted:
    """What a conversion gave: the diff holds the log of this uuid from begin_lsid to end_lsid."""

    uuid: bytes
    begin_lsid: int
    end_lsid: int
    n_ios: int
    size_bytes: int


class _Conversion:
    """The log files of several streams, one after the other."""

    def __init__(self, out_fd: int, is_sorted: bool, options: LogOptions, on_end: Callable[[int], None]) -> None:
        self._out_fd, self._is_sorted, self._options, self._on_end = out_fd, is_sorted, options, on_end
        self._first: LogFileHeader | None = None
        self._end_lsid = 0
        self._next_part = 0
        self._building: WdiffBuilding | None = None

    def _begin(self, header: LogFileHeader, name: str) -> WdiffBuilding:
        """Takes over a file's header: the first decides uuid and begin, the others must go on where the log ended."""
        if self._first is None or self._building is None:
            self._first, self._end_lsid = header, header.begin_lsid
            self._building = WdiffBuilding(self._out_fd, self._is_sorted, header.uuid, self._options)
        elif (header.uuid, header.begin_lsid) != (self._first.uuid, self._end_lsid):
            raise Corrupted(
                f"{name}: lsid mismatch: the log file begins at lsid {header.begin_lsid} of {header.uuid.hex()}, "
                f"the one before ended at lsid {self._end_lsid} of {self._first.uuid.hex()}"
            )
        return self._building

    def _ended(self, lsid: int) -> None:
        self._end_lsid = lsid
        self._on_end(lsid)

    def take(self, stream: FileIO) -> None:
        """All log files of a stream."""
        name = _name(stream)
        try:
            status = os.fstat(stream.fileno())
            if stat.S_ISREG(status.st_mode):
                self._take_file(stream.fileno(), stream.tell(), status.st_size, name)
            else:
                self._take_pipe(stream, name)
        except OSError as error:
            raise StorageFailure(f"cannot read {name}: {error.strerror}") from error

    def _take_file(self, fd: int, offset: int, size: int, name: str) -> None:
        while offset < size:
            header = _parse_header(os.pread(fd, HEADER_BYTES, offset), f"{name}: offset {offset}")
            building = self._begin(header, name)
            building.set_source(fd)
            failure = new_failure()
            walk = lib.walb_log_walk_new(
                fd, offset + HEADER_BYTES, size, header.pbs, header.salt, header.begin_lsid, self._options.strict,
                self._next_part, failure,
            )  # fmt: skip
            if not walk:
                raise error_of(failure, name)
            walk = ffi.gc(walk, lib.walb_log_walk_free)
            self._convert(building, walk, name)
            end = ffi.new("walb_log_walk_end *")
            lib.walb_log_walk_get_end(walk, end)
            offset, self._next_part = int(end.offset), int(end.next_number)
            self._ended(int(end.lsid))
            if not end.has_end_block:
                return

    def _convert(self, building: WdiffBuilding, walk: object, name: str) -> None:
        run_threads(
            self._options.threads,
            lambda failure: int(lib.walb_wdiff_from_log_parts(building.handle, walk, failure)),
            lambda failure: error_of(failure, name),
        )

    def _take_pipe(self, stream: FileIO, name: str) -> None:
        reader = LogFileReader(stream, strict=self._options.strict)
        while True:
            header = reader.header
            building = self._begin(header, name)
            building.set_source(-1)
            self._feed(building, reader, name)
            self._ended(reader.end_lsid)
            if not reader.is_complete or not reader.next_file():
                return

    def _feed(self, building: WdiffBuilding, reader: LogFileReader, name: str) -> None:
        failure, header = new_failure(), reader.header
        feed = lib.walb_wdiff_from_log_new(
            building.handle, self._next_part, header.pbs, header.salt, header.begin_lsid, failure
        )
        if not feed:
            raise error_of(failure, name)
        feed = ffi.gc(feed, lib.walb_wdiff_from_log_free)
        for chunk in reader.chunks():
            if lib.walb_wdiff_from_log_feed(feed, ffi.from_buffer(chunk), len(chunk), failure):
                raise error_of(failure, name)
        if lib.walb_wdiff_from_log_end(feed, ffi.new("uint64_t *"), failure):
            raise error_of(failure, name)
        self._next_part += 1

    def finish(self) -> LogConverted:
        """Completes the diff."""
        first, building = self._first, self._building
        if first is None or building is None:
            building = self._building = WdiffBuilding(self._out_fd, self._is_sorted, EMPTY_UUID, self._options)
        uuid, begin = (first.uuid, first.begin_lsid) if first else (EMPTY_UUID, 0)
        return LogConverted(uuid, begin, self._end_lsid, building.n_ios, building.finish())

    def close(self) -> None:
        """Drops the temporary files."""
        if self._building is not None:
            self._building.__exit__()


def _name(stream: FileIO) -> str:
    name = stream.name
    return "standard input" if name == 0 else "log" if isinstance(name, int) else str(name)


def _parse_header(block: bytes, where: str) -> LogFileHeader:
    try:
        return LogFileHeader.parse(block)
    except Corrupted as error:
        raise Corrupted(f"{where}: {error.message}", error.hint) from error


def convert_log(
    streams: Sequence[FileIO], out_fd: int, is_sorted: bool, options: LogOptions, on_end: Callable[[int], None]
) -> LogConverted:
    """Converts log files to one wdiff: `log_to_sorted` and `log_to_indexed`."""
    conversion = _Conversion(out_fd, is_sorted, options, on_end)
    try:
        for stream in streams:
            conversion.take(stream)
        return conversion.finish()
    finally:
        conversion.close()

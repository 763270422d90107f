"""The files that a merge reads."""

from __future__ import annotations

from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from walbd._core import ffi, lib
from walbd.model.error import NotFound, StorageFailure, WalbError
from walbd.model.limits import MAX_IO_LB
from walbd.wdiff import codec as _codecs_of_the_core  # noqa: F401
from walbd.wdiff.native import error_of, new_failure
from walbd.wdiff.sorted_output import WdiffStatistics

UUID_BYTES = 16


def open_wdiff(path: Path) -> FileIO:
    """Opens for reading; raises NotFound or StorageFailure naming the file."""
    try:
        return FileIO(path, "rb")
    except FileNotFoundError as error:
        raise NotFound(f"diff file {path} does not exist") from error
    except OSError as error:
        raise StorageFailure(f"cannot open {path}: {error.strerror}") from error


class MergeInputs:
    """Open files of one merge, oldest first, and the core's merge over them (`handle`, `failure`).

    uuid: that of the newest file; all-zero means unknown and fits every other."""

    def __init__(
        self, files: Sequence[FileIO], names: Sequence[str], max_io_lb: int = MAX_IO_LB, *, is_one_log: bool = True
    ) -> None:
        """Normal pieces have at most max_io_lb blocks (0: any number).

        Raises Corrupted naming the file when a header is damaged or, with is_one_log, the uuids differ."""
        self._files = list(files)
        self.names = list(names)
        self.failure = new_failure()
        fds = [file.fileno() for file in files]
        handle = lib.walb_wdiff_merge_new(fds, len(fds), is_one_log, max_io_lb, self.failure)
        if not handle:
            self.close()
            raise self.error()
        self.handle = ffi.gc(handle, lib.walb_wdiff_merge_free)
        uuid = bytearray(UUID_BYTES)
        lib.walb_wdiff_merge_uuid(self.handle, ffi.from_buffer(uuid))
        self.uuid = bytes(uuid)

    def error(self, output: str = "diff") -> WalbError:
        """The error of the call that just failed; `output` names what was written, if that failed."""
        return error_of(self.failure, output, self.names)

    def error_of(self, failure: Any) -> WalbError:
        """The error of a thread's own failure."""
        return error_of(failure, "output", self.names)

    def statistics(self) -> WdiffStatistics:
        """What the files hold, once all of the merge was taken."""
        statistics = ffi.new("walb_wdiff_statistics *")
        lib.walb_wdiff_merge_statistics(self.handle, statistics)
        return WdiffStatistics.of(statistics)

    def close(self) -> None:
        """Closes the files; nothing else may be called afterwards."""
        for file in self._files:
            file.close()

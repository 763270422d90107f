"""Log files to a sorted wdiff file (wdiff-format.md sections 6.1 to 6.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import FileIO

from walbd.wdiff.builder import LogOptions
from walbd.wdiff.from_log import LogConverted, convert_log


def log_to_sorted(
    streams: Sequence[FileIO],
    out_fd: int,
    options: LogOptions | None = None,
    on_end: Callable[[int], None] = lambda _: None,
) -> LogConverted:
    """Converts log files to a sorted wdiff, snappy, written to an empty file or a pipe (not synced).

    Each stream is a file or pipe, unbuffered, with one log file or several back to back; all must be of one log and
    without gaps. on_end is told the end lsid of each. Without any input the result is a valid empty file.

    Normal IOs are cut to options.max_io_lb blocks from their own start; zeros and discards are not. Memory stays
    below 128 MiB with the default options, whatever the log's length. Regular files must not change meanwhile: data
    that do not compress are read from them a second time (and verified again). Blocks.

    Raises Corrupted naming file, offset or lsid, and field; StorageFailure."""
    return convert_log(streams, out_fd, True, options or LogOptions(), on_end)

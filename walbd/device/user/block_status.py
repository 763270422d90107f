"""Which ranges hold data and which read as zeros: the data device's holes, under the writes that are not there yet."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator

from walbd.device import nbd_protocol as nbd
from walbd.model.error import StorageFailure
from walbd.model.limits import LB_BYTES

DATA = 0
HOLE = nbd.STATE_HOLE | nbd.STATE_ZERO
MAX_EXTENTS = 1024
Extent = tuple[int, int, int]
"""(begin, end, state) in logical blocks."""


def file_extents(fd: int, path: str, begin_lb: int, end_lb: int) -> list[Extent]:
    """Data and holes of the data device in a range, at most MAX_EXTENTS from its begin on. A block device is all data.
    Blocks; raises StorageFailure."""
    extents: list[Extent] = []
    position = begin_lb
    try:
        while position < end_lb and len(extents) < MAX_EXTENTS:
            data = min(_next_data_lb(fd, position, end_lb), end_lb)
            if data > position:
                extents.append((position, data, HOLE))
            if data < end_lb:
                hole_bytes = os.lseek(fd, data * LB_BYTES, os.SEEK_HOLE)
                hole = min(max(-(-hole_bytes // LB_BYTES), data + 1), end_lb)
                extents.append((data, hole, DATA))
                position = hole
            else:
                position = end_lb
    except OSError as error:
        raise StorageFailure(f"cannot map data device {path}: {error.strerror}") from error
    return extents


def _next_data_lb(fd: int, position_lb: int, end_lb: int) -> int:
    try:
        return max(os.lseek(fd, position_lb * LB_BYTES, os.SEEK_DATA) // LB_BYTES, position_lb)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole up to the end
            return end_lb
        raise


def with_pending(extents: list[Extent], pending: Iterable[tuple[int, int]]) -> list[Extent]:
    """The extents, with data wherever a write, (begin, end), is on its way to the data device: of a discard, too, since
    what a write after it will have filled is not known yet, and data is the answer that misleads nobody."""
    spans = iter(sorted(pending))
    result: list[Extent] = []
    begin, end = next(spans, (0, 0))
    for extent_begin, extent_end, state in extents:
        position = extent_begin
        while position < extent_end:
            while end <= position and (following := next(spans, None)):
                begin, end = following
            is_pending = begin <= position < end
            border = end if is_pending else begin if begin > position else extent_end
            stop = min(border, extent_end)
            result.append((position, stop, DATA if is_pending else state))
            position = stop
    return result


def joined(extents: Iterable[Extent]) -> Iterator[tuple[int, int]]:
    """(size in bytes, state), neighbours of one state as one."""
    size_lb, last = 0, DATA
    for begin, end, state in extents:
        if size_lb and state != last:
            yield size_lb * LB_BYTES, last
            size_lb = 0
        size_lb, last = size_lb + end - begin, state
    if size_lb:
        yield size_lb * LB_BYTES, last

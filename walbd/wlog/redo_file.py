"""Redo of a log file onto a data device (wlog-format.md sections 13 and 14)."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from walbd._core import lib
from walbd.model.error import Corrupted, StorageFailure
from walbd.model.limits import LB_BYTES
from walbd.wlog.log_file import HEADER_BYTES, LogFileHeader, read_into, read_up_to
from walbd.wlog.pack import LogPack, LogRecord
from walbd.wlog.pack_walk import MISSING_END_HINT, PackWalk
from walbd.wlog.redo import MAX_RECORD_BYTES, READ_BYTES, LogRedo
from walbd.wlog.stream import END, MORE, NO_PACK, reason

Progress = Callable[[int], None]


@dataclass(slots=True)
class Redone:
    """What a redo did: the log [begin_lsid, end_lsid) is applied except for n_outside records that do not lie wholly on
    the device."""

    begin_lsid: int
    end_lsid: int
    normal_lb: int = 0
    discard_lb: int = 0
    padding_pb: int = 0
    n_outside: int = 0


def redo_file(
    file: BinaryIO,
    data_fd: int,
    size_lb: int,
    *,
    ignores_discards: bool = False,
    strict: bool = True,
    check_header: Callable[[LogFileHeader], None] = lambda _: None,
    progress: Progress = lambda _: None,
) -> Redone:
    """Applies the first log file of a stream, record by record, each verified before it is written; not synced.

    strict: a missing end block, or an invalid block in its place, is an error. `check_header` may refuse the log,
    `progress` is told the bytes read. Raises Corrupted, behind everything that precedes the damage; StorageFailure."""
    header = LogFileHeader.parse(read_up_to(file, HEADER_BYTES))
    check_header(header)
    redo = LogRedo(
        header.pbs, header.salt, header.begin_lsid, data_fd, size_lb, ignores_discards=ignores_discards
    )  # fmt: skip
    _feed_all(file, redo, header, strict, progress)
    return Redone(
        header.begin_lsid, redo.next_lsid, redo.normal_lb, redo.discard_lb, redo.padding_pb, redo.outside_count
    )  # fmt: skip


def _feed_all(file: BinaryIO, redo: LogRedo, header: LogFileHeader, strict: bool, progress: Progress) -> None:
    pbs, filled, window = header.pbs, 0, memoryview(mmap.mmap(-1, MAX_RECORD_BYTES + READ_BYTES))
    while True:
        wanted = max(redo.need_pb * pbs, READ_BYTES)
        filled += read_into(file, window[filled:wanted])
        if filled < redo.need_pb * pbs:
            _check_end(redo, header, strict)
            return
        before = redo.read_lsid
        result = redo.feed(window[: filled // pbs * pbs])
        used = (redo.read_lsid - before) * pbs
        kept = bytes(window[used:filled])
        window[: len(kept)] = kept
        _skip(file, max(0, used - filled), redo)
        filled = len(kept)
        progress((redo.read_lsid - header.begin_lsid) * pbs)
        if result == END:
            return
        if result != MORE:
            if result in NO_PACK and not strict:
                return
            where = f"pack at lsid {redo.next_lsid}"
            if result == lib.WALB_LOG_BAD_DATA:
                where += f", record {redo.record}"
            raise Corrupted(f"{where}: {reason(result)}", MISSING_END_HINT if result in NO_PACK else "")


def _check_end(redo: LogRedo, header: LogFileHeader, strict: bool) -> None:
    where = f"pack at lsid {redo.next_lsid}"
    if redo.read_lsid != redo.next_lsid:
        raise Corrupted(f"{where}: the file ends inside the data")
    if strict:
        raise Corrupted(f"{where}: the file ends without an end block", MISSING_END_HINT)


def _skip(file: BinaryIO, size: int, redo: LogRedo) -> None:
    """Passes over padding behind what was read."""
    while size > 0:
        part = file.read(min(size, READ_BYTES))
        if not part:
            raise Corrupted(f"pack at lsid {redo.next_lsid}: the file ends inside the data")
        size -= len(part)


def redo_unverified(walk: PackWalk, data_fd: int, size_lb: int, *, ignores_discards: bool = False) -> Redone:
    """The same without looking at checksums of data: to save what can be saved of a damaged log. Not synced."""
    done = Redone(walk.header.begin_lsid, walk.header.begin_lsid)
    for pack in walk:
        _redo_pack(walk, pack, data_fd, size_lb, ignores_discards, done)
        done.end_lsid = pack.end_lsid
    return done


def _redo_pack(
    walk: PackWalk, pack: LogPack, data_fd: int, size_lb: int, ignores_discards: bool, done: Redone
) -> None:  # fmt: skip
    data = walk.data(pack)
    for record in pack.records:
        content = b""
        left = record.data_pb(walk.header.pbs) * walk.header.pbs
        while left > 0:
            _, content = next(data)
            left -= len(content)
        if record.is_padding:
            done.padding_pb += record.data_pb(walk.header.pbs) or record.size_lb * LB_BYTES // walk.header.pbs
        elif record.is_discard and ignores_discards:
            continue
        elif record.offset_lb + record.size_lb > size_lb:
            done.n_outside += 1
        elif record.is_discard:
            _zero(data_fd, record)
            done.discard_lb += record.size_lb
        else:
            _write(data_fd, record, content)
            done.normal_lb += record.size_lb


def _zero(fd: int, record: LogRecord) -> None:
    result = lib.walb_zero_range(fd, record.offset_lb * LB_BYTES, record.size_lb * LB_BYTES)
    if result:
        raise StorageFailure(f"cannot write to the data device: {os.strerror(-result)}")


def _write(fd: int, record: LogRecord, content: bytes) -> None:
    view, place = memoryview(content)[: record.size_lb * LB_BYTES], record.offset_lb * LB_BYTES
    try:
        while view:
            count = os.pwrite(fd, view, place)
            view, place = view[count:], place + count
    except OSError as error:
        raise StorageFailure(f"cannot write to the data device: {error.strerror}") from error

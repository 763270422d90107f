"""A log file pack by pack (wlog-format.md section 13), for showing and restoring it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from walbd._core import ffi, lib
from walbd.model.error import Corrupted
from walbd.model.limits import LB_BYTES
from walbd.wlog.log_file import HEADER_BYTES, LogFileHeader, read_up_to
from walbd.wlog.pack import LogPack, LogRecord, parse_pack
from walbd.wlog.stream import END, NO_PACK, reason

MISSING_END_HINT = "it was cut off or never completed; -noend takes this for its end"
_PIECE_BYTES = 1 << 20


class PackWalk:
    """The first log file of a stream: iterate over its packs, and take the data of each before the next one.

    strict: a missing end block, or an invalid block in its place, is an error; else it is taken for the end. Raises
    Corrupted when the header is wrong."""

    def __init__(self, file: BinaryIO, *, strict: bool = True) -> None:
        self._file = file
        self._strict = strict
        self.header = LogFileHeader.parse(read_up_to(file, HEADER_BYTES))
        self.end_lsid = self.header.begin_lsid
        self._left_bytes = 0

    def __iter__(self) -> Iterator[LogPack]:
        pbs = self.header.pbs
        while True:
            block = read_up_to(self._file, pbs)
            if len(block) < pbs:
                return self._ended("the file ends without an end block")
            pack = parse_pack(block, pbs, self.header.salt, self.end_lsid)
            if not isinstance(pack, LogPack):
                if pack == END:
                    return None
                if pack not in NO_PACK:
                    raise Corrupted(f"{self._where}: {reason(pack)}")
                return self._ended(reason(pack))
            self._left_bytes = pack.total_pb * pbs
            yield pack
            while self._left_bytes > 0:
                self._take(min(_PIECE_BYTES, self._left_bytes))
            self.end_lsid = pack.end_lsid

    def data(self, pack: LogPack) -> Iterator[tuple[LogRecord, bytes]]:
        """The records of the pack just given that have data, with all their blocks as they lie in the log. Data of one
        record come as one piece, at most 32 MiB; padding in pieces of 1 MiB."""
        for record in pack.records:
            left = record.data_pb(self.header.pbs) * self.header.pbs
            while left > 0:
                piece = self._take(min(left, _PIECE_BYTES) if record.is_padding else left)
                left -= len(piece)
                yield record, piece

    def checksum(self, record: LogRecord, data: bytes) -> int:
        """What the checksum of a normal record with these data should be."""
        return int(lib.walb_csum(ffi.from_buffer(data), record.size_lb * LB_BYTES, self.header.salt))

    def check(self, record: LogRecord, data: bytes) -> None:
        """Raises Corrupted when the data of a normal record do not match its checksum."""
        if not record.is_padding and self.checksum(record, data) != record.csum:
            raise Corrupted(f"{self._where}, record at lsid {record.lsid}: {reason(lib.WALB_LOG_BAD_DATA)}")

    @property
    def _where(self) -> str:
        return f"log file, pack at lsid {self.end_lsid}"

    def _take(self, size: int) -> bytes:
        piece = read_up_to(self._file, size)
        if len(piece) < size:
            raise Corrupted(f"{self._where}: the file ends inside the data")
        self._left_bytes -= size
        return piece

    def _ended(self, why: str) -> None:
        if self._strict:
            raise Corrupted(f"{self._where}: {why}", MISSING_END_HINT)

"""Log files (wlog-format.md section 13): a header, the blocks of a ring from one lsid on, and an end block.

Several may follow each other in one stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from walbd._core import ffi, lib
from walbd.model.error import Corrupted, InvalidArgument
from walbd.model.limits import INVALID_LSID
from walbd.wlog.stream import END, NO_PACK, LogStream, reason
from walbd.wlog.super_sector import checksum

HEADER_BYTES: int = lib.WALB_LOG_FILE_HEADER_BYTES
SECTOR_TYPE_PACK = 3
READ_BYTES = 1 << 20

_PACK = struct.Struct("<IHHQHHI")


def end_block(pbs: int, salt: int) -> bytes:
    """The block that ends a log file: a header without records at the invalid lsid (section 8)."""
    block = bytearray(pbs)
    _PACK.pack_into(block, 0, 0, SECTOR_TYPE_PACK, 0, INVALID_LSID, 0, 0, 0)
    struct.pack_into("<I", block, 0, checksum(block, salt))
    return bytes(block)


@dataclass(frozen=True, slots=True)
class LogFileHeader:
    """First 4096 bytes of a log file. end_lsid is the range once asked for (2^64-1 when unknown), not the true end."""

    pbs: int
    salt: int
    uuid: bytes
    begin_lsid: int
    end_lsid: int = INVALID_LSID

    def pack(self) -> bytes:
        """The header with its checksum."""
        block = bytearray(HEADER_BYTES)
        fields = {field: getattr(self, field) for field in self.__slots__}
        lib.walb_log_file_header_build(ffi.from_buffer(block), ffi.new("walb_log_file_header *", fields))
        return bytes(block)

    @classmethod
    def parse(cls, block: bytes, name: str = "log file") -> LogFileHeader:
        """Decodes and checks a header. Raises Corrupted with the name, the place and the rule broken."""
        if len(block) != HEADER_BYTES:
            raise Corrupted(f"{name}: log file header: offset {len(block)}: the file ends too early")
        raw, failure = ffi.new("walb_log_file_header *"), ffi.new("walb_failure *")
        if lib.walb_log_file_header_parse(block, raw, failure):
            raise Corrupted(f"{name}: log file header: {ffi.string(failure.text).decode()}")
        return cls(raw.pbs, raw.salt, bytes(raw.uuid), raw.begin_lsid, raw.end_lsid)


class LogFileReader:
    """Reads one log file from a binary file object. Raises Corrupted when its header is wrong; errors name the file by
    the name of the object, and the offset of the pack in question.

    strict: a missing end block, or an invalid block in its place, is an error; else it is taken for the end, as the
    reference does. Wrong or cut data of a record, and a header that contradicts itself, are errors in both modes.
    """

    def __init__(self, file: BinaryIO, *, strict: bool = True) -> None:
        self._file = file
        self._strict = strict
        self._rest = b""
        name = getattr(file, "name", None)
        self._name = name if isinstance(name, str) else "log file"
        self._header_offset = 0
        self._read_header()

    def _read_header(self) -> None:
        block = self._rest + read_up_to(self._file, HEADER_BYTES - len(self._rest))
        self.header = LogFileHeader.parse(block[:HEADER_BYTES], self._name)
        self._rest = block[HEADER_BYTES:]
        self._stream = LogStream(self.header.pbs, self.header.salt, self.header.begin_lsid)
        self._is_complete = False

    @property
    def end_lsid(self) -> int:
        """End of the packs read so far; of the file when chunks() has ended."""
        return self._stream.next_lsid

    @property
    def _offset(self) -> int:
        """Of the block at end_lsid."""
        return self._header_offset + HEADER_BYTES + (self.end_lsid - self.header.begin_lsid) * self.header.pbs

    @property
    def is_complete(self) -> bool:
        """The file was read up to its end block."""
        return self._is_complete

    def chunks(self) -> Iterator[memoryview]:
        """The log of the file, verified, in pieces of at most 1 MiB: header blocks and data, without the end block.

        What precedes an error comes before it. A piece is good until the next one is asked for. Raises Corrupted."""
        buffer, pbs = memoryview(bytearray(READ_BYTES)), self.header.pbs
        while True:
            kept = len(self._rest)
            buffer[:kept] = self._rest
            filled = kept + read_into(self._file, buffer[kept:])
            whole = filled // pbs * pbs
            verified = self._stream.verify(buffer[:whole])
            self._rest = bytes(buffer[whole:filled])
            self._is_complete = verified.result == END
            used = verified.used_bytes - (pbs if self._is_complete else 0)
            if used > 0:
                yield buffer[:used]
            if self._is_complete:
                self._rest = bytes(buffer[verified.used_bytes : filled])
                return
            if verified.result < 0 or whole == 0:
                self._check_end(verified.result)
                return

    def _check_end(self, result: int) -> None:
        """The log has no end block: raises Corrupted unless that may be taken for the end."""
        where = f"{self._name}: offset {self._offset}: pack at lsid {self.end_lsid}"
        if result < 0 and (self._strict or result not in NO_PACK):
            raise Corrupted(f"{where}: {reason(result)}")
        if result >= 0 and not self._stream.is_at_boundary:
            raise Corrupted(f"{where}: the file ends inside the data")
        if result >= 0 and self._strict:
            raise Corrupted(f"{where}: the file ends without an end block", "it was cut off or never completed")

    def next_file(self) -> bool:
        """Goes on to the log file behind this one in the same stream, after chunks() has ended. False at its end.

        Raises Corrupted when it belongs to another log sequence or does not begin where this one ended."""
        if not self._is_complete:
            raise InvalidArgument("the log file was not read up to its end block")
        self._rest = self._rest or read_up_to(self._file, 1)
        if not self._rest:
            return False
        uuid, end_lsid = self.header.uuid, self.end_lsid
        self._header_offset = self._offset + self.header.pbs
        self._read_header()
        if (self.header.uuid, self.header.begin_lsid) != (uuid, end_lsid):
            raise Corrupted(
                f"{self._name}: offset {self._header_offset}: log file begins at lsid {self.header.begin_lsid} of "
                f"{self.header.uuid.hex()}, the one before ended at lsid {end_lsid} of {uuid.hex()}"
            )
        return True


class LogFileWriter:
    """Writes a log file to a binary file object: the header at once, log in pieces, the end block on finish()."""

    def __init__(self, file: BinaryIO, header: LogFileHeader) -> None:
        self._file = file
        self._header = header
        self._stream = LogStream(header.pbs, header.salt, header.begin_lsid)
        file.write(header.pack())

    def write(self, data: memoryview | bytes) -> None:
        """Appends blocks of the log, which are verified. Raises Corrupted."""
        verified = self._stream.verify(data)
        if verified.result < 0 or verified.result == END:
            what = reason(verified.result) if verified.result < 0 else "end block inside the log"
            raise Corrupted(f"log pack at lsid {self._stream.next_lsid}: {what}")
        self._file.write(data)

    def finish(self) -> int:
        """Writes the end block; returns the true end lsid. Raises InvalidArgument inside a pack."""
        if not self._stream.is_at_boundary:
            raise InvalidArgument(f"log ends inside the pack at lsid {self._stream.next_lsid}")
        self._file.write(end_block(self._header.pbs, self._header.salt))
        return self._stream.next_lsid


def read_into(file: BinaryIO, buffer: memoryview) -> int:
    """Fills the buffer unless the file ends before."""
    done = 0
    while done < len(buffer):
        count = file.readinto(buffer[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done


def read_up_to(file: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end of the file."""
    buffer = bytearray(max(0, size))
    return bytes(buffer[: read_into(file, memoryview(buffer))])

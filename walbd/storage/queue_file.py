"""The storage server's queue file: snapshot positions waiting to be sent (wdiff-format.md section 12).

    0    header copy 1   28 bytes: preamble, checksum (salt 0), salt, begin, end (offsets below byte 56)
    28   header copy 2
    56   records, newest first: preamble, checksum of the data (file's salt), data size, distance back to the record
         before it, data; a stub header stands at `end`

The queue is short, so every change writes the whole file anew under a temporary name: the reference's layout with
our one durability idiom instead of its in-place update.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from walbd._core import ffi, lib
from walbd.model.error import Corrupted
from walbd.wdiff.native import error_of, new_failure

PREAMBLE: int = lib.WALB_QUEUE_PREAMBLE
HEADER = struct.Struct("<IIIQQ")
RECORD = struct.Struct("<IIII")
RECORD_AREA = 2 * HEADER.size
PAGE_BYTES = 4096
MAX_QUEUE_FILE_BYTES = 64 << 20
MAX_RECORD_BYTES: int = lib.WALB_QUEUE_MAX_RECORD_BYTES


def _csum(data: bytes, salt: int) -> int:
    return int(lib.walb_csum(data, len(data), salt))


def encode_queue(records: Sequence[bytes], salt: int) -> bytes:
    """The file for records given newest first, each one serialised position record."""
    area = bytearray()
    to_previous = 0
    for data in records:
        area += RECORD.pack(PREAMBLE, _csum(data, salt), len(data), to_previous) + data
        to_previous = RECORD.size + len(data)
    end = len(area)
    area += RECORD.pack(PREAMBLE, 0, 0, to_previous)
    blank = HEADER.pack(PREAMBLE, 0, salt, 0, end)
    header = HEADER.pack(PREAMBLE, _csum(blank, 0), salt, 0, end)
    file = header + header + area
    return file + bytes(-len(file) % PAGE_BYTES)


def decode_queue(file: bytes, what: str) -> list[bytes]:
    """Records of a queue file, newest first. `what` names the file in errors.

    Header copy 1 is used when it and its whole chain of records verify, else copy 2. Raises Corrupted when neither
    does."""
    reasons = []
    for copy in (1, 2):
        try:
            return _records_by_header(file, copy)
        except Corrupted as error:
            reasons.append(error.message)
    raise Corrupted(
        f"{what}: both headers of the queue file are broken ({'; '.join(reasons)})",
        "the snapshots to be sent are lost: remove the volume's directory, restart, init-vol, and back it up anew",
    )


def _records_by_header(file: bytes, copy: int) -> list[bytes]:
    failure = new_failure()
    walk = ffi.new("walb_queue_walk *")
    content = ffi.from_buffer(file)
    result = lib.walb_queue_open(walk, content, len(file), copy, failure)
    records: list[bytes] = []
    while result == 0 and (result := lib.walb_queue_next(walk, failure)) > 0:
        records.append(file[walk.offset : walk.offset + walk.size])
        result = 0
    if result < 0:
        raise error_of(failure, f"copy {copy}")
    return records

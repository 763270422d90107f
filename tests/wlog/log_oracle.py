"""Log packs in plain Python, written from the format's description alone: what the native code must agree with."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

EXIST, PADDING, DISCARD = 1, 2, 4
HEADER = struct.Struct("<IHHQHHI")
RECORD = struct.Struct("<IIQIHHQ")
END_LSID = 2**64 - 1


class Invalid(Exception):
    """The block is no valid pack header."""


def csum(data: bytes, salt: int) -> int:
    words = struct.unpack(f"<{(len(data) + 3) // 4}I", data + bytes(-len(data) % 4))
    return -(salt + sum(words)) % 2**32


def lb_to_pb(size_lb: int, pbs: int) -> int:
    return -(-size_lb * 512 // pbs)


@dataclass(frozen=True)
class Record:
    offset_lb: int
    size_lb: int
    flags: int
    lsid: int
    csum: int
    lsid_local: int

    def data_pb(self, pbs: int) -> int:
        return 0 if self.flags & DISCARD else lb_to_pb(self.size_lb, pbs)


@dataclass(frozen=True)
class Write:
    """One request: data None is a discard."""

    offset_lb: int
    size_lb: int
    data: bytes | None

    def apply(self, image: bytearray) -> None:
        begin, end = self.offset_lb * 512, (self.offset_lb + self.size_lb) * 512
        image[begin:end] = bytes(end - begin) if self.data is None else self.data


def signed(block: bytes, salt: int) -> bytes:
    """The block with its checksum at the front."""
    rest = bytes(4) + block[4:]
    return struct.pack("<I", csum(rest, salt)) + rest[4:]


def make_header(pbs: int, salt: int, lsid: int, records: list[Record]) -> bytes:
    total = sum(record.data_pb(pbs) for record in records)
    padding = sum(bool(record.flags & PADDING) for record in records)
    block = HEADER.pack(0, 3, total, lsid, len(records), padding, 0)
    for r in records:
        block += RECORD.pack(r.csum, r.flags, r.offset_lb, r.size_lb, r.lsid_local, 0, r.lsid)
    return signed(block.ljust(pbs, b"\0"), salt)


def parse_header(block: bytes, pbs: int, salt: int, expected_lsid: int) -> list[Record] | None:
    """Records of a pack; None for the end block."""
    _, kind, total, lsid, count, padding, _ = HEADER.unpack_from(block)
    if kind != 3:
        raise Invalid("type")
    if count == 0:
        if (lsid, total, padding) == (END_LSID, 0, 0):
            return None
        raise Invalid("empty")
    if csum(block, salt) != 0 or lsid != expected_lsid:
        raise Invalid("checksum or lsid")
    if count > (pbs - 24) // 32 or padding > min(1, count) or lsid + 1 + total > END_LSID:
        raise Invalid("limits")
    records, local = [], 1
    for i in range(count):
        checksum, flags, offset, size, lsid_local, _, record_lsid = RECORD.unpack_from(block, 24 + 32 * i)
        record = Record(offset, size, flags & 7, record_lsid, checksum, lsid_local)
        if not flags & EXIST or (size == 0 and not flags & PADDING) or (size > 65535 and not flags & DISCARD):
            raise Invalid("record")
        if lsid_local != local or record_lsid != lsid + lsid_local or record_lsid == END_LSID:
            raise Invalid("lsid of a record")
        if not flags & PADDING and offset + size >= 2**64:
            raise Invalid("offset")
        local += record.data_pb(pbs)
        records.append(record)
    if local != 1 + total or sum(bool(record.flags & PADDING) for record in records) > 1:
        raise Invalid("total")
    return records


def parse_log(log: bytes, pbs: int, salt: int, lsid: int) -> Iterator[tuple[Record, bytes]]:
    """Records of whole packs end to end with their data, verified; padding is left out."""
    at = 0
    while at < len(log):
        records = parse_header(log[at : at + pbs], pbs, salt, lsid)
        assert records is not None
        at += pbs
        for record in records:
            data = log[at : at + record.size_lb * 512] if not record.flags & DISCARD else b""
            at += record.data_pb(pbs) * pbs
            if record.flags & PADDING:
                continue
            if not record.flags & DISCARD and csum(data, salt) != record.csum:
                raise Invalid("data")
            yield record, data
        lsid += 1 + sum(record.data_pb(pbs) for record in records)


class PackWriter:
    """Forms packs as section 10 says, one write after the other."""

    def __init__(self, pbs: int, salt: int, ring_size_pb: int, lsid: int, max_pack_pb: int = 0) -> None:
        self.pbs, self.salt, self.ring_size_pb, self.max_pack_pb = pbs, salt, ring_size_pb, max_pack_pb
        self.lsid = lsid
        self.records: list[Record] = []
        self.data = b""
        self.packs: list[tuple[int, bytes, bytes]] = []

    @property
    def total(self) -> int:
        return len(self.data) // self.pbs

    @property
    def next_lsid(self) -> int:
        return self.lsid + 1 + self.total

    def close(self) -> None:
        if self.records:
            self.packs.append((self.lsid, make_header(self.pbs, self.salt, self.lsid, self.records), self.data))
            self.lsid, self.records, self.data = self.next_lsid, [], b""

    def _add(self, offset_lb: int, size_lb: int, flags: int, data: bytes) -> None:
        checksum = csum(data, self.salt) if flags == EXIST else 0
        self.records.append(Record(offset_lb, size_lb, flags, self.next_lsid, checksum, 1 + self.total))
        self.data += data + bytes(-len(data) % self.pbs)

    def _fits(self, slots: int, size_pb: int) -> bool:
        total = self.total + size_pb
        if len(self.records) + slots > (self.pbs - 24) // 32 or total > 65534:
            return False
        return size_pb == 0 or not self.records or not self.max_pack_pb or total <= self.max_pack_pb

    def add(self, write: Write) -> None:
        if write.data is None:
            if not self._fits(1, 0):
                self.close()
            self._add(write.offset_lb, write.size_lb, EXIST | DISCARD, b"")
            return
        for begin in range(0, write.size_lb, 65528):
            size = min(65528, write.size_lb - begin)
            self._add_normal(write.offset_lb + begin, size, write.data[begin * 512 : (begin + size) * 512])

    def _add_normal(self, offset_lb: int, size_lb: int, data: bytes) -> None:
        size_pb = lb_to_pb(size_lb, self.pbs)
        while True:
            left = self.ring_size_pb - self.next_lsid % self.ring_size_pb
            has_padding = any(record.flags & PADDING for record in self.records)
            if left >= size_pb and self._fits(1, size_pb):
                break
            if left < size_pb and not has_padding and (self._fits(2, left + size_pb) or not self.records):
                is_room = self._fits(2, left + size_pb)
                self._add(0, left * self.pbs // 512, EXIST | PADDING, bytes(left * self.pbs))
                if is_room:
                    break
                continue
            self.close()
        self._add(offset_lb, size_lb, EXIST, data)

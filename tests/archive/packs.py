"""Pack streams for tests, built from what they mean (wdiff-format.md section 3): uncompressed, one pack each."""

from __future__ import annotations

import struct
from dataclasses import dataclass

LB = 512
_PACK_HEADER_BYTES = 4096
_ZERO, _DISCARD = 2, 4


@dataclass(frozen=True)
class Write:
    """Blocks written at an address."""

    address_lb: int
    data: bytes

    @property
    def blocks(self) -> int:
        return len(self.data) // LB


@dataclass(frozen=True)
class Zero:
    """Blocks that become zero, as data or (is_discard) as discard."""

    address_lb: int
    blocks: int
    is_discard: bool = False


Io = Write | Zero


def checksum(data: bytes) -> int:
    """The 32-bit checksum of all formats."""
    padded = data + bytes(-len(data) % 4)
    return -sum(struct.unpack(f"<{len(padded) // 4}I", padded)) & 0xFFFF_FFFF


def pack_stream(ios: list[Io]) -> bytes:
    """One pack with these IOs, which must be in order and must not overlap; nothing for no IO."""
    if not ios:
        return b""
    records, data = b"", b""
    for io in ios:
        flags, stored = (0, io.data) if isinstance(io, Write) else (_DISCARD if io.is_discard else _ZERO, b"")
        records += struct.pack(
            "<QIBBHIIII", io.address_lb, io.blocks, flags, 0, 0, len(data), len(stored), checksum(stored), 0
        )
        data += stored
    head = struct.pack("<HBBII", len(ios), 0, 0, len(data), 0) + records
    block = (bytes(4) + head).ljust(_PACK_HEADER_BYTES, b"\0")
    return struct.pack("<I", checksum(block)) + block[4:] + data


def apply_ios(image: bytearray, ios: list[Io]) -> None:
    """What the IOs make of an image: the oracle of restores."""
    for io in ios:
        begin, end = io.address_lb * LB, (io.address_lb + io.blocks) * LB
        image[begin:end] = io.data if isinstance(io, Write) else bytes(end - begin)

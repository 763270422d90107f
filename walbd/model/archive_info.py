"""What a proxy knows of one archive: the content of its file `NAME.archive` (snapshot-model.md sections 3, 15)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from walbd.model.address import Address
from walbd.model.compression import CompressOpt
from walbd.model.limits import check_range
from walbd.model.varint import Decoder, Encoder, Record

_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class ArchiveInfo(Record):
    """Address of an archive, compression of what is sent there, and how long received diffs wait before, in seconds."""

    address: Address
    compress: CompressOpt = field(default_factory=CompressOpt)
    delay_sec: int = 0

    def __post_init__(self) -> None:
        check_range("delay of sending diffs in seconds", self.delay_sec, 0, _UINT32_MAX)

    def __str__(self) -> str:
        return f"{self.address} {self.compress} {self.delay_sec}"

    def write(self, out: Encoder) -> None:
        self.address.write(out)
        self.compress.write(out)
        out.varint32(self.delay_sec)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, Address.read(data), CompressOpt.read(data), data.varint32())

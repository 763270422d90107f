"""How bulk data and diffs are compressed: `TYPE:LEVEL:CPUS` (snapshot-model.md section 3, walbc.md section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from walbd.model.error import InvalidArgument
from walbd.model.limits import check_range
from walbd.model.size import parse_uint
from walbd.model.varint import Decoder, Encoder, Record

_MAX_LEVEL = 9
_MAX_THREADS = 255


class CompressionType(IntEnum):
    """The values are those of the stored form."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZMA = 3
    LZ4 = 4
    ZSTD = 5

    def __str__(self) -> str:
        return self.name.lower()


_NAMES = {str(kind): kind for kind in CompressionType}


@dataclass(frozen=True, slots=True)
class CompressOpt(Record):
    """Compression type, level 0-9 and number of threads 1-255."""

    type: CompressionType = CompressionType.SNAPPY
    level: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        check_range("compression level", self.level, 0, _MAX_LEVEL)
        check_range("number of compression threads", self.threads, 1, _MAX_THREADS)

    def __str__(self) -> str:
        return f"{self.type}:{self.level}:{self.threads}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The option of `snappy:0:1`, all three parts; raises InvalidArgument."""
        parts = text.split(":")
        if len(parts) != 3 or parts[0] not in _NAMES:
            raise InvalidArgument(f"bad compression:{text[:80]}", f"write TYPE:LEVEL:CPUS, TYPE in {' '.join(_NAMES)}")
        return cls(_NAMES[parts[0]], parse_uint(parts[1]), parse_uint(parts[2]))

    def write(self, out: Encoder) -> None:
        out.u8(self.type).u8(self.level).u8(self.threads)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls.of_numbers, data.u8(), data.u8(), data.u8())

    @classmethod
    def of_numbers(cls, kind: int, level: int, threads: int) -> Self:
        """The option of its stored numbers; raises InvalidArgument."""
        if kind not in _NAMES.values():
            raise InvalidArgument(f"unknown compression type:{kind}")
        return cls(CompressionType(kind), level, threads)

"""Packs of single bulks of an image (wdiff-format.md section 10.2)."""

from __future__ import annotations

from collections.abc import Sequence

from walbd._core import ffi, lib
from walbd.model.compression import CompressOpt
from walbd.wdiff import codec as _codecs_of_the_core  # noqa: F401


def bulks_room(count: int, bulk_bytes: int) -> int:
    """Most bytes that so many bulks take as packs."""
    return int(lib.walb_wdiff_bulks_room(count, bulk_bytes))


def pack_bulks(
    data: memoryview,
    address_lb: int,
    length: int,
    bulk_bytes: int,
    numbers: Sequence[int],
    compress: CompressOpt,
    out: memoryview,
) -> int:
    """Writes packs with one record for each listed bulk (numbers ascending) of the `length` bytes of an image that
    begin at block address_lb. `data` are these bulks alone, end to end; those of zeros become records without data.
    `out` has `bulks_room`. Returns the length of the packs. Blocks."""
    length = lib.walb_wdiff_pack_bulks(
        ffi.from_buffer(data), length, address_lb, bulk_bytes, list(numbers), len(numbers), compress.type,
        compress.level, ffi.from_buffer(out),
    )  # fmt: skip
    return int(length)

"""Every bit of a small file of each format, flipped: an error, or one of the bytes that nothing covers.

The list of those bytes is Sample.loose, explained in docs/formats.md; it must be exact.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import FileIO

import pytest

from tests.conftest import IS_LONG
from tests.damage.damage_testing import SAMPLES, MemoryFile, Sample, memory_file
from tests.wdiff.wdiff_testing import apply, merge
from walbd.model.error import Corrupted
from walbd.wdiff.builder import LogOptions
from walbd.wdiff.indexed import log_to_indexed
from walbd.wdiff.sorted import log_to_sorted

IMAGE = bytes(64 * 512)
# By default, all bits of what is covered where that is not more.
SMALL_BYTES = 1000
# By default, one in so many bytes of what is covered in a large file, and of a file that is merged and applied.
LARGE_BYTES, LARGE_STEP, MERGE_STEP = 20_000, 3, 3
# By default, so many conversions of a damaged file.
N_CONVERSIONS = 900
LOOSE_STEP = 5


def one_bit_each(content: bytes) -> list[int]:
    """Numbers of one bit of each byte."""
    return [8 * at + at % 8 for at in range(len(content))]


def bits_of(sample: Sample) -> list[int]:
    """Numbers of the bits to flip: in the long run all of them."""
    if IS_LONG:
        return list(range(8 * len(sample.content)))
    loose, each = sample.loose_bytes(), one_bit_each(sample.content)
    covered = [bit for bit in each if bit // 8 not in loose]
    if len(covered) <= SMALL_BYTES:
        covered = [8 * (bit // 8) + k for bit in covered for k in range(8)]
    elif len(sample.content) >= LARGE_BYTES:
        covered = covered[::LARGE_STEP]
    return covered + [bit for bit in each if bit // 8 in loose][::LOOSE_STEP]


def unnoticed(sample: Sample, read: Callable[[MemoryFile], object], bits: list[int]) -> set[int]:
    """The bytes of which a flipped bit is no error; what is read is then as before."""
    found = set()
    with memory_file(sample.content) as file:
        before = read(file)
        for bit in bits:
            at = bit // 8
            os.pwrite(file.fd, bytes([sample.content[at] ^ 1 << bit % 8]), at)
            try:
                after = read(file)
            except Corrupted:
                pass
            else:
                found.add(at)
                assert at in sample.loose_bytes(), f"bit {bit} of {sample.name} is not covered"
                assert after == before, f"bit {bit} of {sample.name} changes what is read"
            os.pwrite(file.fd, sample.content[at : at + 1], at)
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_flipped_bit_is_an_error_but_in_the_bytes_that_nothing_covers(sample: Sample) -> None:
    bits = bits_of(sample)
    assert unnoticed(sample, sample.read, bits) == sample.loose_bytes() & {bit // 8 for bit in bits}


@pytest.mark.parametrize("sample", [one for one in SAMPLES if "wdiff" in one.name], ids=lambda sample: sample.name)
@pytest.mark.parametrize("reader", ["merge", "apply"])
def test_merging_and_applying_notice_what_reading_notices(sample: Sample, reader: str) -> None:
    def read(file: MemoryFile) -> object:
        return merge([file.path]) if reader == "merge" else apply(IMAGE, [file.path])

    bits = one_bit_each(sample.content)[:: 1 if IS_LONG else MERGE_STEP]
    assert unnoticed(sample, read, bits) == sample.loose_bytes() & {bit // 8 for bit in bits}


@pytest.mark.parametrize("sample", [one for one in SAMPLES if "log file" in one.name], ids=lambda sample: sample.name)
@pytest.mark.parametrize("convert", [log_to_sorted, log_to_indexed])
def test_converting_a_log_notices_what_reading_notices(sample: Sample, convert: Callable[..., object]) -> None:
    def read(file: MemoryFile) -> object:
        with memory_file(b"") as out, FileIO(file.path) as stream:
            convert([stream], out.fd, LogOptions(threads=1))
            return out.path.read_bytes()

    bits = one_bit_each(sample.content)[:: 1 if IS_LONG else len(sample.content) // N_CONVERSIONS]
    assert unnoticed(sample, read, bits) == sample.loose_bytes() & {bit // 8 for bit in bits}

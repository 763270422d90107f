"""Comparing two files block by block."""

from __future__ import annotations

import random
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.error import InvalidArgument
from walbd.wdiff.bdiff import Comparison, compare_files

Different = list[tuple[int, bytes, bytes]]


def compare(a: bytes, b: bytes, block_bytes: int) -> tuple[Comparison, Different]:
    different: Different = []
    with tempfile.TemporaryFile(buffering=0) as file_a, tempfile.TemporaryFile(buffering=0) as file_b:
        for file, content in ((file_a, a), (file_b, b)):
            file.write(content)
            file.seek(0)
        result = compare_files(
            file_a.raw if hasattr(file_a, "raw") else file_a,
            file_b.raw if hasattr(file_b, "raw") else file_b,
            block_bytes,
            lambda number, of_a, of_b: different.append((number, bytes(of_a), bytes(of_b))),
        )
    return result, different


@given(
    data=st.binary(max_size=3000),
    changes=st.lists(st.integers(0, 2999), max_size=5),
    tail=st.binary(max_size=700),
    block_bytes=st.sampled_from([1, 7, 512, 1000, 4096]),
    is_swapped=st.booleans(),
)
def test_different_blocks_are_those_of_a_plain_comparison(
    data: bytes, changes: list[int], tail: bytes, block_bytes: int, is_swapped: bool
) -> None:
    changed = bytearray(data + tail)
    for at in changes:
        if at < len(changed):
            changed[at] ^= 0x55
    a, b = (bytes(changed), data) if is_swapped else (data, bytes(changed))
    common = min(len(a), len(b))
    blocks = [
        (at // block_bytes, a[at : min(at + block_bytes, common)], b[at : min(at + block_bytes, common)])
        for at in range(0, common, block_bytes)
    ]
    expected = [block for block in blocks if block[1] != block[2]]
    result, different = compare(a, b, block_bytes)
    assert different == expected
    assert result == Comparison(len(blocks), len(expected), len(a), len(b))
    assert result.is_equal == (a == b)


def test_files_longer_than_a_step_are_compared_to_the_end() -> None:
    a = random.Random(1).randbytes(5 << 20)
    b = bytearray(a)
    for at in (0, (1 << 20) - 1, 1 << 20, 4_000_000, len(a) - 1):
        b[at] ^= 1
    result, different = compare(a, bytes(b), 4096)
    assert [number for number, _, _ in different] == [0, 255, 256, 4_000_000 // 4096, 1279]
    assert result.n_blocks == 1280


def test_no_block_size_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="block size"):
        compare(b"", b"", 0)

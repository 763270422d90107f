"""What block status says about a range is never wrong: a hole reads as zeros, whatever is on its way."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from walbd.device.user.block_status import DATA, HOLE, Extent, file_extents, joined, with_pending

BLOCK_LB = 8
states = st.lists(st.tuples(st.integers(1, 9), st.sampled_from([DATA, HOLE])), min_size=1, max_size=12)
writes_on_their_way = st.lists(st.tuples(st.integers(0, 120), st.integers(1, 20)), max_size=8)


def blocks(extents: list[Extent]) -> dict[int, int]:
    return {block: state for begin, end, state in extents for block in range(begin, end)}


@given(st.integers(0, 40), states, writes_on_their_way)
def test_what_is_on_its_way_is_data_and_the_rest_as_on_the_device(
    begin: int, sizes: list[tuple[int, int]], writes: list[tuple[int, int]]
) -> None:
    extents, position = [], begin
    for size, state in sizes:
        extents.append((position, position + size, state))
        position += size
    expected = blocks(extents)
    for offset, size in writes:
        expected.update({block: DATA for block in range(offset, offset + size) if block in expected})
    result = with_pending(extents, [(offset, offset + size) for offset, size in writes])
    assert blocks(result) == expected
    assert [extent[0] for extent in result[1:]] == [extent[1] for extent in result[:-1]]
    told = list(joined(result))
    assert sum(size for size, _ in told) == (position - begin) * 512
    assert all(a[1] != b[1] for a, b in pairwise(told))


@given(st.sets(st.integers(0, 31), max_size=12), st.integers(0, 255), st.integers(1, 256))
def test_holes_of_a_file_are_told_within_the_range_asked(written: set[int], begin: int, size: int) -> None:
    end = min(begin + size, 32 * BLOCK_LB)
    fd = os.memfd_create("data")
    try:
        os.truncate(fd, 32 * BLOCK_LB * 512)
        for block in written:
            os.pwrite(fd, b"x", block * BLOCK_LB * 512 + 100)
        extents = file_extents(fd, "data", begin, end)
    finally:
        os.close(fd)
    assert blocks(extents) == {block: DATA if block // BLOCK_LB in written else HOLE for block in range(begin, end)}


def test_a_device_without_holes_is_all_data(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"x" * 8192)
    fd = os.open(path, os.O_RDONLY)
    try:
        assert file_extents(fd, str(path), 1, 16) == [(1, 16, DATA)]
    finally:
        os.close(fd)

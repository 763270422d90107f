"""Comparing two files block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO

from walbd._core import ffi, lib
from walbd.model.error import StorageFailure
from walbd.model.limits import check_range

MAX_BLOCK_BYTES = 64 << 20
STEP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two files have in common: blocks that both have (the last one may be short), how many of them differ, and
    the sizes. Files are equal when nothing differs and the sizes are the same."""

    n_blocks: int
    n_different: int
    size_a_bytes: int
    size_b_bytes: int

    @property
    def is_equal(self) -> bool:
        """Whether the files have the same content."""
        return self.n_different == 0 and self.size_a_bytes == self.size_b_bytes


def compare_files(
    a: FileIO,
    b: FileIO,
    block_bytes: int = 512,
    on_different: Callable[[int, memoryview, memoryview], None] | None = None,
) -> Comparison:
    """Compares up to the end of the shorter file; the longer one is read to its end for its size.

    on_different gets the number of each block that differs and both contents, which are good during the call.
    Raises StorageFailure. Blocks."""
    check_range("block size", block_bytes, 1, MAX_BLOCK_BYTES)
    step = max(block_bytes, STEP_BYTES // block_bytes * block_bytes)
    buffer_a, buffer_b = memoryview(bytearray(step)), memoryview(bytearray(step))
    numbers = ffi.new("uint32_t[]", step // block_bytes)
    size_a = size_b = n_blocks = n_different = 0
    while True:
        got_a, got_b = _fill(a, buffer_a), _fill(b, buffer_b)
        size_a, size_b = size_a + got_a, size_b + got_b
        common = min(got_a, got_b)
        found = lib.walb_different_blocks(
            ffi.from_buffer(buffer_a), ffi.from_buffer(buffer_b), common, block_bytes, numbers
        )
        if on_different is not None:
            for i in range(found):
                at = numbers[i] * block_bytes
                end = min(at + block_bytes, common)
                on_different(n_blocks + numbers[i], buffer_a[at:end], buffer_b[at:end])
        n_blocks += -(-common // block_bytes)
        n_different += found
        if got_a < step and got_b < step:
            return Comparison(n_blocks, n_different, size_a, size_b)


def _fill(file: FileIO, buffer: memoryview) -> int:
    """Fills the buffer unless the file ends before; returns how many bytes came."""
    done = 0
    try:
        while done < len(buffer) and (count := file.readinto(buffer[done:])):
            done += count
    except OSError as error:
        raise StorageFailure(f"cannot read {file.name}: {error.strerror}") from error
    return done

"""Ranges made zero."""

from __future__ import annotations

import errno
import os
import tempfile

from hypothesis import given
from hypothesis import strategies as st

from walbd._core import lib

SIZE = 20000


@given(st.integers(0, SIZE), st.integers(0, SIZE))
def test_a_zeroed_range_reads_as_zeros_and_nothing_else_changes(begin: int, length: int) -> None:
    length = min(length, SIZE - begin)
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * SIZE)
        file.flush()
        assert lib.walb_zero_range(file.fileno(), begin, length) == 0
        assert os.pread(file.fileno(), SIZE + 1, 0) == b"x" * begin + bytes(length) + b"x" * (SIZE - begin - length)


def test_the_reason_of_a_failure_is_returned() -> None:
    with tempfile.NamedTemporaryFile() as file, open(file.name, "rb") as read_only:
        assert lib.walb_zero_range(read_only.fileno(), 0, 512) == -errno.EBADF

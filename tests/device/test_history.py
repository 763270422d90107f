"""The check of histories itself: it finds each kind of wrong answer, and accepts whatever order is possible."""

from __future__ import annotations

import pytest

from tests.device.history import NEVER, Kind, Request, check_registers, check_survivors, start_from


def write(value: int, begin: int, end: int = NEVER, *, block: int = 0, is_fua: bool = False) -> Request:
    return Request(Kind.WRITE if value else Kind.ZERO, block, 1, value, is_fua, begin, end)


def read(value: int, begin: int, end: int) -> Request:
    return Request(Kind.READ, 0, 1, begin=begin, end=end, seen=[value])


def flush(begin: int, end: int) -> Request:
    return Request(Kind.FLUSH, begin=begin, end=end)


POSSIBLE = {
    "writes at the same time, either one last": [write(1, 1, 4), write(2, 2, 3), read(1, 5, 6), read(1, 7, 8)],
    "a read during a write sees it or not": [write(1, 1, 9), read(0, 2, 3), read(1, 4, 5), read(1, 6, 7)],
    "a write that was never answered is seen": [write(1, 1), read(1, 5, 6)],
    "a write that was never answered never was": [write(1, 1), read(0, 5, 6)],
    "zeros over a value": [write(1, 1, 2), write(0, 3, 4), read(0, 5, 6), write(2, 7, 8), read(2, 9, 10)],
    "zeros that were never answered": [write(1, 1, 2), write(0, 3), read(1, 4, 5), read(0, 6, 7)],
}
IMPOSSIBLE = {
    "a read misses a write": ([write(1, 1, 2), read(0, 3, 4)], "read as zeros"),
    "a read misses the second write": ([write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)], "another value"),
    "what was seen is gone": ([write(1, 1, 9), read(1, 2, 3), read(0, 4, 5)], "read as zeros"),
    "first new, then old": ([write(1, 1, 9), write(2, 2, 10), read(1, 3, 4), read(2, 5, 6), read(1, 7, 8)], "another"),
    "zeros are missed": ([write(1, 1, 2), write(0, 3, 4), read(1, 5, 6)], "another value"),
    "zeros in between": ([write(1, 1, 2), read(1, 3, 4), read(0, 5, 6), read(1, 7, 8)], "another value"),
    "read before it was written": ([read(1, 1, 2), write(1, 3, 4)], "before it was written"),
    "never written": ([read(7, 1, 2)], "never written"),
    "two values at once": (
        [write(1, 1, 2), write(2, 1, 3), read(1, 4, 8), read(2, 5, 7), read(1, 9, 10), read(2, 11, 12)],
        "two values",
    ),
}


@pytest.mark.parametrize("requests", POSSIBLE.values(), ids=POSSIBLE)
def test_what_one_order_explains_is_accepted(requests: list[Request]) -> None:
    check_registers([*start_from([0]), *requests])


@pytest.mark.parametrize(("requests", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_no_order_explains_is_found(requests: list[Request], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_registers([*start_from([0]), *requests])


A, B = write(1, 1, 2), write(2, 3, 4, block=1)
SURVIVES = {
    "nothing was flushed": ([A, B], [0, 0]),
    "the first of two": ([A, B], [1, 0]),
    "all": ([A, B, flush(5, 6)], [1, 2]),
    "a flush covers what ended before it began": ([A, write(2, 3, 6, block=1), flush(5, 7)], [1, 0]),
    "a flush without an answer": ([A, B, flush(5, NEVER)], [0, 0]),
    "an overwritten value": ([A, flush(3, 4), write(3, 5, 6)], [3, 0]),
    "flushed zeros": ([A, write(0, 3, 4), flush(5, 6)], [0, 0]),
    "written at the same time, either one last": ([write(1, 1, 4), write(2, 2, 3), flush(5, 6)], [1, 0]),
}
LOST = {
    "flushed": ([A, B, flush(5, 6)], [1, 0]),
    "flushed and overwritten by what is older": ([write(5, 1, 2), write(6, 3, 4), flush(5, 6)], [5, 0]),
    "FUA": ([write(1, 1, 2, is_fua=True)], [0, 0]),
    "what came before FUA": ([A, write(2, 3, 4, block=1, is_fua=True)], [0, 2]),
    "what came before a survivor": ([A, B], [0, 2]),
    "flushed zeros": ([A, write(0, 3, 4), flush(5, 6)], [1, 0]),
    "a value from nowhere": ([A], [1, 7]),
}


@pytest.mark.parametrize(("requests", "values"), SURVIVES.values(), ids=SURVIVES)
def test_a_prefix_with_all_that_was_covered_is_accepted(requests: list[Request], values: list[int]) -> None:
    check_survivors([*start_from([0, 0]), *requests], values)


@pytest.mark.parametrize(("requests", "values"), LOST.values(), ids=LOST)
def test_what_lacks_something_covered_is_found(requests: list[Request], values: list[int]) -> None:
    with pytest.raises(AssertionError, match=r"lost what|not written there"):
        check_survivors([*start_from([0, 0]), *requests], values)

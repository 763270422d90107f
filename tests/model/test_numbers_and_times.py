"""Sizes, option integers and times as text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.error import InvalidArgument
from walbd.model.limits import MAX_TIMESTAMP_SEC, UINT64_MAX
from walbd.model.size import format_size, parse_option_int, parse_size, parse_uint
from walbd.model.timetext import digits, parse_digits, pretty, pretty_always


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("256k", 256 << 10),
        ("4M", 4 << 20),
        ("1g", 1 << 30),
        ("2T", 2 << 40),
        ("1p", 1 << 50),
        ("15E", 15 << 60),
    ],
)
def test_a_size_is_a_number_with_a_binary_unit(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "k", "1kk", "1K1", "0x10", "-1", "1.5k", "16e", "1z", " 1", "1 ", "1_0", "\u0663"]
)
def test_a_bad_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("64K", 65536),
        ("64k", 64000),
        ("10m", 10**7),
        ("1M", 1 << 20),
        ("1g", 10**9),
        ("1G", 1 << 30),
        ("0x10", 16),
    ],
)
def test_an_option_integer_has_decimal_and_binary_units_and_hex(text: str, value: int) -> None:
    assert parse_option_int(text) == value


@pytest.mark.parametrize(
    "text", ["", "k", "1t", "0x", "0x1k", "-1", "1kb", "18446744073709551616", "1e3", "99999999999G"]
)
def test_a_bad_option_integer_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_option_int(text)


def test_a_plain_number_has_no_unit_and_fits_64_bits() -> None:
    assert parse_uint("18446744073709551615") == UINT64_MAX
    for text in ("", "1k", "0x1", "+1", "18446744073709551616", "9" * 5000):
        with pytest.raises(InvalidArgument):
            parse_uint(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0"),
        (1500, "1500"),
        (3072, "3k"),
        (16 << 20, "16m"),
        (20488 * 512, "10244k"),
        (1 << 40, "1t"),
        (1 << 80, "1y"),
    ],
)
def test_a_size_is_shown_with_the_largest_unit_that_divides_it(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@given(st.integers(0, UINT64_MAX))
def test_a_shown_size_is_read_as_itself(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


def test_times_are_utc_and_zero_is_never_in_lists_only() -> None:
    assert pretty(1700000000) == "2023-11-14T22:13:20"
    assert digits(1700000000) == "20231114221320"
    assert pretty(0) == "---"
    assert pretty_always(0) == "1970-01-01T00:00:00"
    assert digits(0) == "19700101000000"


@given(st.integers(0, MAX_TIMESTAMP_SEC))
def test_a_time_comes_back_from_its_digits(timestamp: int) -> None:
    assert parse_digits(digits(timestamp)) == timestamp


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20230230000000", "20230302000000"), ("20150101000060", "20150101000100"), ("20150101235960", "20150102000000")],
)
def test_an_impossible_day_or_second_rolls_over(text: str, expected: str) -> None:
    assert digits(parse_digits(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023111422132",
        "202311142213200",
        "20231314000000",
        "20230014000000",
        "20230132000000",
        "20230100000000",
        "20230101240000",
        "20230101006000",
        "20230101000061",
        "2023010100000x",
        "19691231235959",
        "99991231235960",
    ],
)
def test_a_bad_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_digits(text)


@pytest.mark.parametrize("timestamp", [-1, MAX_TIMESTAMP_SEC + 1, UINT64_MAX])
def test_a_time_without_a_four_digit_year_is_refused(timestamp: int) -> None:
    with pytest.raises(InvalidArgument, match="timestamp"):
        pretty(timestamp)


def test_times_do_not_depend_on_the_local_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert digits(1700000000) == "20231114221320"
        assert parse_digits("20231114221320") == 1700000000
    finally:
        monkeypatch.undo()
        time.tzset()

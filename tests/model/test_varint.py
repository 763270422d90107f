"""Encodings (snapshot-model.md section 2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.error import Corrupted, InvalidArgument
from walbd.model.limits import MAX_STRING_BYTES
from walbd.model.varint import Decoder, Encoder

TABLE = [
    (0, "00"),
    (120, "78"),
    (127, "7f"),
    (128, "80 80"),
    (135, "80 87"),
    (136, "80 88"),
    (255, "80 ff"),
    (256, "81 00 01"),
    (65535, "81 ff ff"),
    (65536, "82 00 00 01 00"),
    (1700000000, "82 00 f1 53 65"),
    (4294967295, "82 ff ff ff ff"),
    (4294967296, "83 00 00 00 00 01 00 00 00"),
    (2**63, "83 00 00 00 00 00 00 00 80"),
    (2**64 - 1, "ff"),
    (2**64 - 2, "fe"),
    (2**64 - 120, "88"),
    (2**64 - 121, "84 87"),
    (2**64 - 128, "84 80"),
    (2**64 - 129, "85 7f ff"),
    (2**64 - 2**15, "85 00 80"),
    (2**64 - 2**31, "86 00 00 00 80"),
]


@pytest.mark.parametrize(("value", "dump"), TABLE)
def test_an_integer_is_written_as_the_reference_writes_it(value: int, dump: str) -> None:
    assert Encoder().varint(value).bytes() == bytes.fromhex(dump)
    assert Decoder(bytes.fromhex(dump), "x").varint() == value


@given(st.integers(0, 2**64 - 1) | st.integers(0, 70000) | st.integers(2**64 - 70000, 2**64 - 1))
def test_any_64_bit_integer_comes_back(value: int) -> None:
    data = Encoder().varint(value).bytes()
    decoder = Decoder(data, "x")
    assert decoder.varint() == value
    decoder.finish()


@given(st.integers(0, 2**32 - 1) | st.integers(2**32 - 70000, 2**32 - 1))
def test_any_32_bit_integer_comes_back_without_a_64_bit_header(value: int) -> None:
    data = Encoder().varint32(value).bytes()
    assert data[0] not in (0x83, 0x87)
    assert len(data) <= 5
    assert Decoder(data, "x").varint32() == value


@pytest.mark.parametrize(
    ("dump", "value"), [("80 05", 5), ("81 05 00", 5), ("83 05 00 00 00 00 00 00 00", 5), ("87" + "ff" * 8, 2**64 - 1)]
)
def test_a_longer_form_than_needed_is_read(dump: str, value: int) -> None:
    assert Decoder(bytes.fromhex(dump), "x").varint() == value


@pytest.mark.parametrize("header", ["83", "87"])
def test_an_8_byte_integer_in_a_32_bit_field_is_refused(header: str) -> None:
    with pytest.raises(Corrupted, match="field of 32 bits"):
        Decoder(bytes.fromhex(header) + bytes(8), "x").varint32()


@pytest.mark.parametrize("value", [-1, 2**64])
def test_an_integer_that_does_not_fit_is_not_written(value: int) -> None:
    with pytest.raises(InvalidArgument, match="does not fit"):
        Encoder().varint(value)


def test_fixed_fields_are_little_endian_and_checked() -> None:
    assert Encoder().u8(7).u16(0x0311).bool(True).bytes() == bytes.fromhex("07 11 03 01")
    with pytest.raises(InvalidArgument):
        Encoder().u8(256)
    with pytest.raises(InvalidArgument):
        Encoder().u16(-1)


def test_a_string_has_its_length_and_no_terminator() -> None:
    data = Encoder().string("SyncReady").bytes()
    assert data == bytes.fromhex("09 53 79 6e 63 52 65 61 64 79")
    assert Decoder(data, "x").string() == "SyncReady"


def test_bytes_that_are_no_utf_8_survive_reading_and_writing() -> None:
    data = bytes.fromhex("03 2f ff 61")
    assert Encoder().string(Decoder(data, "x").string()).bytes() == data


@given(st.lists(st.text(max_size=20), max_size=20))
def test_a_list_of_strings_comes_back(items: list[str]) -> None:
    data = Encoder().list_of_strings(items).bytes()
    decoder = Decoder(data, "x")
    assert decoder.list_of_strings() == items
    decoder.finish()


def test_a_string_beyond_the_cap_is_refused_on_both_sides() -> None:
    with pytest.raises(InvalidArgument, match="too long"):
        Encoder().string("x" * (MAX_STRING_BYTES + 1))
    data = Encoder().varint(MAX_STRING_BYTES + 1).raw(bytes(MAX_STRING_BYTES + 1)).bytes()
    with pytest.raises(Corrupted, match="is longer than"):
        Decoder(data, "x").string()


@pytest.mark.parametrize("count", ["82ffffffff", "ff", "05"])
def test_a_list_that_claims_more_than_its_data_is_refused_at_once(count: str) -> None:
    with pytest.raises(Corrupted, match="longer than its limit"):
        Decoder(bytes.fromhex(count) + b"\0\0\0\0", "x").list_of_strings()


@given(st.binary(max_size=40))
def test_damaged_data_raises_nothing_but_corrupted(data: bytes) -> None:
    for name in ("u8", "u16", "bool", "varint", "varint32", "string", "list_of_strings"):
        try:
            getattr(Decoder(data, "x"), name)()
        except Corrupted:
            pass


def test_errors_name_what_was_read() -> None:
    with pytest.raises(Corrupted, match=r"^file a/b: ends early: 2 bytes wanted, 1 left$"):
        Decoder(b"\x11", "file a/b").u16()
    with pytest.raises(Corrupted, match="bad flag byte: 0x02"):
        Decoder(b"\x02", "x").bool()
    with pytest.raises(Corrupted, match="preamble is 0x0312 instead of 0x0311"):
        Decoder(b"\x12\x03", "x").preamble(0x0311)


def test_trailing_bytes_are_refused() -> None:
    decoder = Decoder(b"\x01\x02", "x")
    decoder.u8()
    with pytest.raises(Corrupted, match="1 bytes too many"):
        decoder.finish()

"""Queue file: layout of the reference, damage found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.error import Corrupted
from walbd.storage.queue_file import HEADER, PAGE_BYTES, decode_queue, encode_queue

RECORDS = st.lists(st.binary(min_size=1, max_size=40), max_size=20)

# wdiff-format.md section 12.3: one record {mergeable, time 1577934245, lsid 100, gid 1}, salt 0x12345678.
EXAMPLE_HEADER = bytes.fromhex("a7839d11 c7252edc 78563412 0000000000000000 1a00000000000000")
EXAMPLE_DATA = bytes.fromhex("1403 01 82a55d0d5e 64 01")
EXAMPLE_AREA = bytes.fromhex("a7839d11 6b47bd0d 0a000000 00000000") + EXAMPLE_DATA
EXAMPLE_STUB = bytes.fromhex("a7839d11 00000000 00000000 1a000000")

# snapshot-model.md section 14.1: written by the reference after two pushes.
REFERENCE = bytes.fromhex(
    "a7839d11 1d6cee6f e80f747e 1000000000000000 4400000000000000" * 2
    + "00" * 16
    + "a7839d11 daf9379a 0a000000 00000000 1403 00 820af15365 20 02"
    + "a7839d11 f4fa369a 0a000000 1a000000 1403 01 8200f15365 10 01"
    + "a7839d11 00000000 00000000 1a000000"
)


def test_the_worked_example_is_written_byte_for_byte() -> None:
    file = encode_queue([EXAMPLE_DATA], 0x12345678)
    assert file[:98] == EXAMPLE_HEADER * 2 + EXAMPLE_AREA + EXAMPLE_STUB
    assert len(file) == PAGE_BYTES


def test_a_file_of_the_reference_is_read_newest_first() -> None:
    assert decode_queue(REFERENCE, "queue") == [
        bytes.fromhex("1403 00 820af15365 20 02"),
        bytes.fromhex("1403 01 8200f15365 10 01"),
    ]


@given(RECORDS, st.integers(0, 2**32 - 1))
def test_what_was_written_is_read_back(records: list[bytes], salt: int) -> None:
    assert decode_queue(encode_queue(records, salt), "queue") == records


def test_a_broken_first_header_leaves_the_second() -> None:
    file = bytearray(encode_queue([EXAMPLE_DATA], 7))
    file[13] ^= 1
    assert decode_queue(bytes(file), "queue") == [EXAMPLE_DATA]


@given(RECORDS.filter(bool), st.integers(0, 2**32 - 1), st.data())
def test_a_flipped_bit_in_a_record_is_refused(records: list[bytes], salt: int, data: st.DataObject) -> None:
    file = bytearray(encode_queue(records, salt))
    used = 2 * HEADER.size + sum(16 + len(record) for record in records)
    position = data.draw(st.integers(2 * HEADER.size, used - 1).filter(lambda p: not 68 <= p < 72))
    file[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Corrupted, match="queue"):
        decode_queue(bytes(file), "queue")


@given(st.binary(max_size=200))
def test_garbage_is_refused_with_the_name_of_the_file(garbage: bytes) -> None:
    with pytest.raises(Corrupted, match="vol0/queue"):
        decode_queue(garbage, "vol0/queue")

"""The native checksums against plain Python and published values."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wlog.log_oracle import csum
from walbd._core import ffi, lib

SALTS = st.integers(0, 2**32 - 1)


@given(st.binary(max_size=600), SALTS)
def test_the_checksum_is_that_of_plain_python(data: bytes, salt: int) -> None:
    assert lib.walb_csum(ffi.from_buffer(data), len(data), salt) == csum(data, salt)


@given(st.lists(st.binary(min_size=8, max_size=100).map(lambda b: b[: len(b) // 4 * 4]), max_size=5), SALTS)
def test_a_checksum_in_pieces_is_that_of_the_whole(pieces: list[bytes], salt: int) -> None:
    total = salt
    for piece in pieces:
        total = lib.walb_csum_partial(ffi.from_buffer(piece), len(piece), total)
    assert -total % 2**32 == csum(b"".join(pieces), salt)


@given(st.binary(min_size=1, max_size=300), SALTS, st.data())
def test_a_flipped_bit_changes_the_checksum(data: bytes, salt: int, draw: st.DataObject) -> None:
    changed = bytearray(data)
    changed[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    assert csum(bytes(changed), salt) != lib.walb_csum(ffi.from_buffer(data), len(data), salt)


def test_the_checksums_of_the_reference_are_reproduced(vectors: Callable[..., Path]) -> None:
    cases = json.loads(vectors("formats", "expected.json").read_text())["checksum"]["cases"]
    assert cases
    for case in cases:
        if "input_hex" in case:
            data = bytes.fromhex(case["input_hex"])
        else:
            data = vectors("formats", *case["input_file"].split("/")).read_bytes()
        bulk = case.get("bulk", max(1, len(data)))
        pieces = [data[at : at + bulk] for at in range(0, max(1, len(data)), bulk)]
        sums = [lib.walb_csum(ffi.from_buffer(piece), len(piece), int(case["salt"], 16)) for piece in pieces]
        assert [f"{value:08x}" for value in sums] == case.get("results", [case.get("checksum")])


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_crc32c_has_its_published_values(data: bytes, crc: int) -> None:
    assert lib.walb_crc32c(ffi.from_buffer(data), len(data), 0) == crc


@given(st.binary(max_size=200), st.integers(0, 200))
def test_crc32c_goes_on_from_a_value_so_far(data: bytes, cut: int) -> None:
    head, tail = data[:cut], data[cut:]
    so_far = lib.walb_crc32c(ffi.from_buffer(head), len(head), 0)
    assert lib.walb_crc32c(ffi.from_buffer(tail), len(tail), so_far) == lib.walb_crc32c(
        ffi.from_buffer(data), len(data), 0
    )


@given(st.integers(0, 200), st.integers(0, 199))
def test_a_buffer_is_zero_only_without_any_other_byte(size: int, position: int) -> None:
    data = bytearray(size)
    assert lib.walb_is_zero(ffi.from_buffer(data), size)
    if position < size:
        data[position] = 0x80
        assert not lib.walb_is_zero(ffi.from_buffer(data), size)

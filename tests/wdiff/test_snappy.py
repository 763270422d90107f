"""The native snappy codec against another implementation, and against malformed input."""

from __future__ import annotations

import os
import random
from pathlib import Path

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd._core import ffi, lib

GUARD = b"\xc5" * 64


def compress(data: bytes, limit: int | None = None) -> bytes | None:
    limit = len(data) + len(data) // 6 + 64 if limit is None else limit
    dst = bytearray(b"\0" * limit + GUARD)
    size = lib.walb_snappy_compress(ffi.from_buffer(data), len(data), ffi.from_buffer(dst), limit)
    assert size <= limit and dst[limit:] == GUARD, "wrote behind the buffer"
    return bytes(dst[:size]) if size else None


def decompress(data: bytes, size: int) -> bytes | None:
    dst = bytearray(b"\0" * size + GUARD)
    result = lib.walb_snappy_decompress(ffi.from_buffer(data), len(data), ffi.from_buffer(dst), size)
    assert dst[size:] == GUARD, "wrote behind the buffer"
    return bytes(dst[:size]) if result == 0 else None


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """Data with repetitions near and far, runs, and noise."""
    rnd = random.Random(draw(st.integers(0, 2**32)))
    words = [rnd.randbytes(rnd.randint(1, 70)) for _ in range(rnd.randint(1, 30))]
    words += [bytes([rnd.randrange(256)]) * rnd.randint(1, 300)]
    out = b"".join(rnd.choice(words) for _ in range(draw(st.integers(0, 600))))
    return out + rnd.randbytes(draw(st.sampled_from([0, 5, 3000])))


@given(texts())
def test_what_is_compressed_here_decodes_elsewhere_and_here(data: bytes) -> None:
    packed = compress(data)
    assert packed is not None
    assert bytes(cramjam.snappy.decompress_raw(packed)) == data
    assert decompress(packed, len(data)) == data


@given(texts())
def test_what_is_compressed_elsewhere_decodes_here(data: bytes) -> None:
    assert decompress(bytes(cramjam.snappy.compress_raw(data)), len(data)) == data


@given(texts(), st.integers(0, 4000))
def test_the_limit_of_the_output_is_kept(data: bytes, limit: int) -> None:
    packed = compress(data, limit)
    assert packed is None or decompress(packed, len(data)) == data


@given(st.binary(max_size=200), st.integers(0, 300))
def test_noise_is_refused_or_decoded_within_the_buffer(data: bytes, size: int) -> None:
    decompress(data, size)


@given(texts(), st.data())
def test_damaged_input_never_writes_behind_the_buffer(data: bytes, draw: st.DataObject) -> None:
    packed = bytearray(cramjam.snappy.compress_raw(data))
    for _ in range(draw.draw(st.integers(1, 4))):
        packed[draw.draw(st.integers(0, len(packed) - 1))] = draw.draw(st.integers(0, 255))
    decompress(bytes(packed), len(data))
    decompress(bytes(packed[: draw.draw(st.integers(0, len(packed)))]), len(data))


@pytest.mark.parametrize("size", [1, 16, 17, 65535, 65536, 65537, 300_000])
def test_sizes_around_the_block_length_survive(size: int) -> None:
    for data in (os.urandom(size), bytes(range(256)) * (size // 256) + bytes(size % 256), b"x" * size):
        packed = compress(data)
        assert packed is not None
        assert bytes(cramjam.snappy.decompress_raw(packed)) == data


def test_incompressible_data_are_given_up() -> None:
    assert compress(os.urandom(65536), 65535) is None


def test_content_that_becomes_compressible_late_is_compressed() -> None:
    data = os.urandom(512 << 10) + b"The quick brown fox jumps over the lazy dog. " * 12000
    packed = compress(data)
    assert packed is not None and len(packed) < 600 << 10


def test_the_size_is_that_of_another_implementation_within_a_tenth() -> None:
    data = b"".join(Path(os.__file__).with_name(name).read_bytes() for name in ("os.py", "typing.py"))
    packed = compress(data)
    assert packed is not None and len(packed) < 1.1 * len(cramjam.snappy.compress_raw(data))


@pytest.mark.parametrize(
    "block",
    [
        "",  # no length
        "80",  # length cut
        "808080808001",  # length of six bytes
        "04",  # no element
        "040c616263",  # literal cut
        "0400610105",  # offset before the begin
        "04006100",  # more than claimed would be needed
        "040061010000",  # offset 0
        "02f0",  # length byte of a literal missing
        "0300610502ff",  # copy longer than the rest
        "04fcffffffff",  # literal of 4 GiB
        "05007a0e0100",  # decodes to less than claimed
    ],
)
def test_each_kind_of_malformed_block_is_refused(block: str) -> None:
    assert decompress(bytes.fromhex(block), 4) is None


def test_copies_of_every_form_are_decoded() -> None:
    assert decompress(bytes.fromhex("0800610101") + bytes.fromhex("0a0100"), 8) == b"a" * 8
    assert decompress(bytes.fromhex("06046162") + bytes.fromhex("0f02000000"), 6) == b"ababab"

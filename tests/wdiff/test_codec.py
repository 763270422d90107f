"""The codecs of wdiff records and bulk data."""

from __future__ import annotations

import lzma
import os
import zlib

import cramjam
import lz4.block
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.compression import CompressionType, CompressOpt
from walbd.model.error import Corrupted
from walbd.wdiff.codec import compress, compressor, decompress

REAL = [kind for kind in CompressionType if kind is not CompressionType.NONE]
TEXT = b"one two three four five " * 200
# What another implementation stored for 512 times 61.
STORED_A = {
    CompressionType.GZIP: "789c4b4c1c05231900006e5ec201",
    CompressionType.SNAPPY: "80040061fe0100fe0100fe0100fe0100fe0100fe0100fe0100fa0100",
    CompressionType.LZMA: "fd377a585a000004e6d6b44603c0108004210116000000001d346525e001ff00085d0030effbbeb25bb00000"
    "8f0918a9d4fe5c27000128800400000043742e16b1c467fb020000000004595a",
    CompressionType.LZ4: "1f610100ffe8506161616161",
    CompressionType.ZSTD: "28b52ffd6000014d00001061610100fb2ac002",
}


@pytest.mark.parametrize("kind", REAL)
@given(data=st.binary(max_size=200), repeat=st.integers(1, 300), level=st.integers(0, 9))
def test_every_codec_gives_back_what_it_took(kind: CompressionType, data: bytes, repeat: int, level: int) -> None:
    data *= repeat
    stored = compress(kind, level % (4 if kind is CompressionType.LZMA else 10), data)
    if stored is not None:
        assert len(stored) < len(data)
        assert decompress(kind, stored, len(data)) == data


@pytest.mark.parametrize("kind", REAL)
def test_data_that_do_not_shrink_are_not_compressed(kind: CompressionType) -> None:
    assert compress(kind, 0, os.urandom(4096)) is None


def test_the_codec_none_stores_data_as_they_are() -> None:
    assert compress(CompressionType.NONE, 0, TEXT) is None
    assert decompress(CompressionType.NONE, TEXT, len(TEXT)) == TEXT


def test_a_compressor_is_one_option() -> None:
    assert compressor(CompressOpt.parse("none:0:1")) is None
    zstd = compressor(CompressOpt.parse("zstd:3:1"))
    assert zstd is not None
    stored = zstd(memoryview(TEXT))
    assert stored is not None and decompress(CompressionType.ZSTD, memoryview(stored), len(TEXT)) == TEXT


@pytest.mark.parametrize("kind", REAL)
def test_stored_bytes_of_another_implementation_are_decoded(kind: CompressionType) -> None:
    assert decompress(kind, bytes.fromhex(STORED_A[kind]), 512) == b"a" * 512


@pytest.mark.parametrize("kind", CompressionType)
@pytest.mark.parametrize("size", [0, 511, 513, 4096])
def test_another_size_than_claimed_is_refused(kind: CompressionType, size: int) -> None:
    stored = bytes.fromhex(STORED_A[kind]) if kind in STORED_A else b"a" * 512
    with pytest.raises(Corrupted, match="decode"):
        decompress(kind, stored, size)


@pytest.mark.parametrize("kind", REAL)
def test_a_cut_stream_is_refused(kind: CompressionType) -> None:
    stored = bytes.fromhex(STORED_A[kind])
    for cut in range(len(stored)):
        if kind is CompressionType.GZIP and cut >= len(stored) - 4:
            continue
        with pytest.raises(Corrupted):
            decompress(kind, stored[:cut], 512)


@pytest.mark.parametrize("kind", REAL)
@given(noise=st.binary(max_size=100))
def test_noise_is_refused(kind: CompressionType, noise: bytes) -> None:
    with pytest.raises(Corrupted):
        decompress(kind, noise, 1 << 20)


@pytest.mark.parametrize("level", [7, 8, 9])
def test_lzma_needs_little_memory_to_decode_at_every_level(level: int) -> None:
    stored = compress(CompressionType.LZMA, level, TEXT)
    assert stored is not None
    assert lzma.LZMADecompressor(memlimit=16 << 20).decompress(stored) == TEXT


def test_lzma_of_a_large_dictionary_is_decoded() -> None:
    stored = lzma.compress(TEXT, preset=9)
    assert decompress(CompressionType.LZMA, stored, len(TEXT)) == TEXT


def test_bytes_behind_a_zlib_stream_are_ignored() -> None:
    assert decompress(CompressionType.GZIP, zlib.compress(TEXT) + b"rest", len(TEXT)) == TEXT


def test_several_zstd_frames_are_decoded_and_bytes_behind_them_refused() -> None:
    frames = zstandard.compress(TEXT[:100]) + zstandard.compress(TEXT[100:])
    assert decompress(CompressionType.ZSTD, frames, len(TEXT)) == TEXT
    with pytest.raises(Corrupted):
        decompress(CompressionType.ZSTD, frames + b"rest", len(TEXT))


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (CompressionType.GZIP, zlib.compress(bytes(64 << 20))),
        (CompressionType.LZMA, lzma.compress(bytes(64 << 20), preset=0)),
        (CompressionType.ZSTD, zstandard.compress(bytes(64 << 20))),
        (CompressionType.LZ4, lz4.block.compress(bytes(64 << 20), store_size=False)),
        (CompressionType.SNAPPY, bytes(cramjam.snappy.compress_raw(bytes(64 << 20)))),
    ],
    ids=lambda value: str(value) if isinstance(value, CompressionType) else "",
)
def test_a_bomb_is_refused(kind: CompressionType, stored: bytes) -> None:
    with pytest.raises(Corrupted):
        decompress(kind, stored, 1 << 20)

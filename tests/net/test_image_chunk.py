"""Chunks of an image stream, without I/O."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.error import Corrupted
from walbd.model.limits import MAX_BULK_BYTES
from walbd.net import image_chunk
from walbd.net.frame import MAX_DATA_BYTES
from walbd.net.image_chunk import ChunkReader

BULK = 1024


def compress(data: memoryview) -> bytes | None:
    return zlib.compress(data, 1)


def decompress(data: memoryview, size: int) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise Corrupted(f"bad bulk: {error}") from error


def packed(content: bytes, offset: int = 0, bulk: int = BULK, is_compressed: bool = True) -> bytes:
    buffer = image_chunk.new_buffer(bulk)
    image_chunk.data_place(buffer, len(content), bulk)[:] = content
    image_chunk.pack(buffer, offset, len(content), bulk, compress if is_compressed else None)
    return bytes(buffer.memory[buffer.start : buffer.end])


bulks = st.one_of(
    st.just(bytes(BULK)),
    st.integers(0, 255).map(lambda n: bytes([n]) * BULK),
    st.integers(0, 2**32).map(lambda seed: __import__("random").Random(seed).randbytes(BULK)),
)


@given(st.lists(bulks, min_size=1, max_size=12), st.sampled_from([0, 512]), st.booleans())
def test_an_image_comes_out_as_it_went_in(parts: list[bytes], tail: int, is_compressed: bool) -> None:
    content = b"".join(parts) + b"t" * tail
    payload = packed(content, is_compressed=is_compressed)
    reader = ChunkReader(len(content), BULK, decompress, "image")
    image = bytearray(b"x" * len(content))
    for offset, length, data in reader.runs(memoryview(payload)):
        image[offset : offset + length] = bytes(length) if data is None else data
    reader.finish()
    assert image == content
    assert len(payload) <= image_chunk.table_bytes(len(parts) + 1) + len(content)


def test_runs_are_as_long_as_possible() -> None:
    content = bytes(2 * BULK) + __import__("random").Random(1).randbytes(3 * BULK) + b"a" * BULK + bytes(BULK)
    reader = ChunkReader(len(content), BULK, decompress, "image")
    runs = [(o // BULK, n // BULK, d is None) for o, n, d in reader.runs(memoryview(packed(content)))]
    assert runs == [(0, 2, True), (2, 3, False), (5, 1, False), (6, 1, True)]


@given(st.binary(max_size=200), st.booleans())
def test_a_chunk_of_any_bytes_is_refused_or_stays_within_the_image(data: bytes, has_head: bool) -> None:
    payload = memoryview((bytes(8) + data) if has_head else data)
    reader = ChunkReader(10 * BULK, BULK, decompress, "image")
    try:
        for offset, length, content in reader.runs(payload):
            assert offset >= 0 and offset + length <= 10 * BULK
            assert content is None or len(content) == length
    except Corrupted:
        pass


@given(st.data())
def test_a_changed_table_is_refused_or_stays_within_the_image(data: st.DataObject) -> None:
    payload = bytearray(packed(bytes(BULK) + b"ab" * BULK + bytes(512)))
    payload[data.draw(st.integers(0, 31))] ^= data.draw(st.integers(1, 255))
    reader = ChunkReader(10 * BULK, BULK, decompress, "image")
    try:
        for offset, length, _ in reader.runs(memoryview(payload)):
            assert offset >= 0 and offset + length <= 10 * BULK
    except Corrupted:
        pass


def test_gaps_repetitions_and_early_ends_are_refused() -> None:
    for offset in (BULK, 2 * BULK):
        with pytest.raises(Corrupted, match="where 0 is next"):
            list(ChunkReader(10 * BULK, BULK, None, "image").runs(memoryview(packed(b"a" * BULK, offset))))
    reader = ChunkReader(2 * BULK, BULK, decompress, "image of vol0")
    list(reader.runs(memoryview(packed(b"a" * BULK))))
    with pytest.raises(Corrupted, match="image of vol0: image ends at 1024 of 2048 bytes"):
        reader.finish()


def test_a_compressed_bulk_is_refused_where_no_compression_was_agreed() -> None:
    with pytest.raises(Corrupted, match="no compression was agreed"):
        list(ChunkReader(BULK, BULK, None, "image").runs(memoryview(packed(b"a" * BULK))))


def test_a_bulk_that_unpacks_to_another_length_is_refused() -> None:
    with pytest.raises(Corrupted, match="bulk of 3 bytes instead of 1024"):
        list(ChunkReader(BULK, BULK, lambda *_: b"abc", "image").runs(memoryview(packed(b"a" * BULK))))


@pytest.mark.parametrize("bulk", [512, 1536, 256 << 10, (1 << 20) + 512, MAX_BULK_BYTES])
def test_chunks_of_every_bulk_size_fit_a_data_frame(bulk: int) -> None:
    length = image_chunk.chunk_bytes(bulk)
    payload = packed(b"\1" * length, bulk=bulk, is_compressed=False)
    assert len(payload) == image_chunk.table_bytes(length // bulk) + length <= MAX_DATA_BYTES

"""Hashes of blocks."""

from __future__ import annotations

import os
import random
import struct
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walbd.model.error import Corrupted, StorageFailure
from walbd.wdiff.hashes import Algorithm, BulkHash, SipHash, blake3_chunks, hash_chunks, murmur3, siphash

COUNTED = bytes(range(256))
U64 = 2**64 - 1
MURMUR_EXAMPLES = {
    (b"", 0): "00000000000000000000000000000000",
    (b"", 1): "b55cff6ee5ab10468335f878aa2d6251",
    (b"", 0xDEADBEEF): "a1126a0df1a2c808bb3bbd4ea4e02aa8",
    (b"a", 0): "897859f6655555855a890e51483ab5e6",
    (b"a", 1): "70cf483707e1ea472837edd28a51e06b",
    (bytes(512), 0xDEADBEEF): "e4473b4c40088a826a84817d6b55ecbe",
    (COUNTED[:31], 0): "94d02ca3e1d33d05905400b4ef9ae59e",
    (COUNTED[:31], 1): "c37ddfa9b78af03ede7e39cf770d4c15",
    (COUNTED * 16, 0): "7a9564a503a8c4f4bb77bb0fc6986883",
    (COUNTED * 16, 0xDEADBEEF): "40b0d3eb019afc8feba261da97df3838",
}


def rotate(x: int, n: int) -> int:
    return (x << n | x >> (64 - n)) & U64


def plain_murmur3(data: bytes, seed: int) -> bytes:
    """The published algorithm, MurmurHash3_x64_128."""
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F
    h1 = h2 = seed
    whole = len(data) // 16 * 16
    words = struct.unpack(f"<{whole // 8}Q", data[:whole])
    for k1, k2 in zip(words[::2], words[1::2], strict=True):
        h1 ^= rotate(k1 * c1 & U64, 31) * c2 & U64
        h1 = ((rotate(h1, 27) + h2) * 5 + 0x52DCE729) & U64
        h2 ^= rotate(k2 * c2 & U64, 33) * c1 & U64
        h2 = ((rotate(h2, 31) + h1) * 5 + 0x38495AB5) & U64
    tail = data[whole:]
    if len(tail) > 8:
        h2 ^= rotate(int.from_bytes(tail[8:], "little") * c2 & U64, 33) * c1 & U64
    if tail:
        h1 ^= rotate(int.from_bytes(tail[:8], "little") * c1 & U64, 31) * c2 & U64

    def mix(k: int) -> int:
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            k = (k ^ k >> 33) * factor & U64
        return k ^ k >> 33

    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & U64
    h2 = (h2 + h1) & U64
    h1, h2 = mix(h1), mix(h2)
    h1 = (h1 + h2) & U64
    return struct.pack("<QQ", h1, (h2 + h1) & U64)


def plain_siphash(data: bytes) -> bytes:
    """SipHash-2-4, key 00..0f, with the result of section 11.4."""
    k0, k1 = struct.unpack("<QQ", COUNTED[:16])
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(n: int) -> None:
        for _ in range(n):
            v[0] = (v[0] + v[1]) & U64
            v[2] = (v[2] + v[3]) & U64
            v[1], v[3] = rotate(v[1], 13) ^ v[0], rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[1]) & U64
            v[0] = (v[0] + v[3]) & U64
            v[1], v[3] = rotate(v[1], 17) ^ v[2], rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return struct.pack("<QQ", v[0] ^ v[1], v[2] ^ v[3])


def test_murmur3_gives_the_hashes_of_the_reference() -> None:
    assert {key: murmur3(*key).hex() for key in MURMUR_EXAMPLES} == MURMUR_EXAMPLES


def test_siphash_gives_the_hashes_of_the_reference() -> None:
    assert siphash(b"").hex() == "816897c2a81572c6b066991fefce1db4"
    assert siphash(bytes(512)).hex() == "f0888a9d1e6148884cefd1814aca6f04"
    assert siphash(COUNTED * 512).hex() == "0149e0ebbb63fe2448a85c034512326f"


@pytest.mark.parametrize(
    "bulk_kib, expected",
    [
        (16, "d7cf05bd5d14e932cd788e47b0ceeb13"),
        (48, "331d0757b8873d9c03dac0035f28d624"),
        (64, "a43cbbff21bfaa7398c299d1f0e0ee00"),
    ],
)
def test_bulk_hashes_are_joined_as_the_archive_does(bulk_kib: int, expected: str) -> None:
    bulk = BulkHash(bulk_kib << 10)
    bulk.update(COUNTED * 256)
    assert bulk.digest().hex() == expected


@given(st.binary(max_size=100), st.integers(0, 2**32 - 1))
def test_native_hashes_agree_with_the_plain_ones(data: bytes, seed: int) -> None:
    assert murmur3(data, seed) == plain_murmur3(data, seed)
    assert siphash(data) == plain_siphash(data)


@given(st.lists(st.binary(max_size=60), max_size=12), st.integers(1, 50))
def test_pieces_of_any_length_hash_like_the_whole(pieces: list[bytes], bulk_bytes: int) -> None:
    whole = b"".join(pieces)
    hashed, bulk, expected = SipHash(), BulkHash(bulk_bytes), bytes(16)
    for piece in pieces:
        hashed.update(piece)
        bulk.update(piece)
    for seed, at in enumerate(range(0, len(whole), bulk_bytes)):
        one = murmur3(whole[at : at + bulk_bytes], seed)
        expected = bytes(a ^ b for a, b in zip(expected, one, strict=True))
    assert hashed.digest() == siphash(whole)
    assert bulk.digest() == expected


@given(
    size=st.integers(0, 40_000),
    offset=st.integers(0, 5000),
    chunk_bytes=st.sampled_from([1, 8, 100, 512, 1000, 4096, 16384, 2**20]),
    algorithm=st.sampled_from(Algorithm),
    seed=st.integers(0, 2**32 - 1),
)
def test_chunks_of_a_file_hash_like_each_alone(
    size: int, offset: int, chunk_bytes: int, algorithm: Algorithm, seed: int
) -> None:
    data = random.Random(size).randbytes(offset + size)
    key = seed.to_bytes(32, "big")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        digests = hash_chunks(file.fileno(), chunk_bytes, offset, size, algorithm, seed=seed, key=key)
        seen = b"".join(digests)
    chunks = [data[at : at + chunk_bytes] for at in range(offset, offset + size, chunk_bytes)]
    alone = {
        Algorithm.SIPHASH: siphash,
        Algorithm.MURMUR3: lambda chunk: murmur3(chunk, seed),
        Algorithm.BLAKE3: lambda chunk: blake3_chunks(chunk, chunk_bytes, key),
    }[algorithm]
    # Whole digests of a few chunks are compared, the number of all.
    assert len(seen) == 16 * len(chunks)
    for i in {0, 7, 8, 9, len(chunks) - 1} & set(range(len(chunks))):
        assert seen[16 * i : 16 * i + 16] == alone(chunks[i])


def test_many_parts_come_in_order() -> None:
    data = os.urandom(70_000) * 300
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        for algorithm, alone in ((Algorithm.SIPHASH, siphash), (Algorithm.MURMUR3, lambda chunk: murmur3(chunk, 0))):
            seen = b"".join(hash_chunks(file.fileno(), 65536, 0, len(data), algorithm, threads=3))
            assert seen == b"".join(alone(data[at : at + 65536]) for at in range(0, len(data), 65536))


def test_the_other_hash_depends_on_its_key() -> None:
    assert len({blake3_chunks(b"block", 8, bytes([n]) * 32) for n in range(9)}) == 9
    assert blake3_chunks(b"block", 8) == blake3_chunks(b"block", 8, bytes(32))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_file_that_ends_early_is_an_error(algorithm: Algorithm) -> None:
    with tempfile.TemporaryFile() as file, pytest.raises((Corrupted, StorageFailure), match="hashed file: offset 0"):
        list(hash_chunks(file.fileno(), 512, 0, 512, algorithm))

"""Hashes of blocks (wdiff-format.md section 11): the reference's two, and one for peers of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from enum import IntEnum

from walbd._core import ffi, lib
from walbd.model.error import StorageFailure
from walbd.model.limits import check_range
from walbd.wdiff.native import Bytes, error_of, new_failure

DIGEST_BYTES = 16
BLAKE3_KEY_BYTES = 32
MAX_CHUNK_BYTES = 1 << 30
# What one thread hashes at a time: whole groups of chunks that are hashed side by side.
PART_BYTES = 8 << 20
GROUP_CHUNKS = 8


class Algorithm(IntEnum):
    """Hashes of chunks of files: that of the `bhash` tool, that of hash backups, and BLAKE3."""

    SIPHASH = 0
    MURMUR3 = 1
    BLAKE3 = 2


def murmur3(data: Bytes, seed: int) -> bytes:
    """MurmurHash3 x64-128 with a 32-bit seed, 16 bytes (section 11.1)."""
    digest = bytearray(DIGEST_BYTES)
    lib.walb_murmur3(ffi.from_buffer(data), len(data), seed, ffi.from_buffer(digest))
    return bytes(digest)


def blake3_chunks(data: Bytes, chunk_bytes: int, key: bytes = bytes(BLAKE3_KEY_BYTES)) -> bytes:
    """The first 16 bytes of keyed BLAKE3 of each chunk, the last of which may be short: without the key nobody can make
    two blocks that collide."""
    from blake3 import blake3

    view = memoryview(data)
    chunks = [view[at : at + chunk_bytes] for at in range(0, len(view), chunk_bytes)]
    return b"".join([blake3(chunk, key=key).digest(length=DIGEST_BYTES) for chunk in chunks])


class SipHash:
    """The `bhash` tool's hash over pieces of any length (section 11.4)."""

    def __init__(self) -> None:
        self._state = ffi.new("walb_siphash *")
        lib.walb_siphash_init(self._state)

    def update(self, data: Bytes) -> None:
        """Goes on with the next bytes."""
        lib.walb_siphash_update(self._state, ffi.from_buffer(data), len(data))

    def digest(self) -> bytes:
        """The 16 bytes of everything so far."""
        digest = bytearray(DIGEST_BYTES)
        lib.walb_siphash_digest(self._state, ffi.from_buffer(digest))
        return bytes(digest)


def siphash(data: Bytes) -> bytes:
    """SipHash of one message, 16 bytes."""
    state = SipHash()
    state.update(data)
    return state.digest()


class BulkHash:
    """The hash of a whole image (section 11.3): its chunks of bulk_bytes, chunk i with seed i, joined by XOR."""

    def __init__(self, bulk_bytes: int) -> None:
        self._bulk_bytes = check_range("bulk size", bulk_bytes, 1, MAX_CHUNK_BYTES)
        self._rest = bytearray()
        self._n_chunks = 0
        self._digest = bytearray(DIGEST_BYTES)

    def update(self, data: Bytes) -> None:
        """Goes on with the next bytes of the image."""
        view = memoryview(data)
        if self._rest:
            wanted = self._bulk_bytes - len(self._rest)
            self._rest += view[:wanted]
            view = view[wanted:]
            if len(self._rest) < self._bulk_bytes:
                return
            self._join(self._rest)
            self._rest = bytearray()
        whole = len(view) // self._bulk_bytes * self._bulk_bytes
        self._join(view[:whole])
        self._rest += view[whole:]

    def digest(self) -> bytes:
        """The 16 bytes of everything so far; the last chunk may be short."""
        digest = bytearray(self._digest)
        _join_murmur3(self._rest, self._bulk_bytes, self._n_chunks, digest)
        return bytes(digest)

    def _join(self, data: Bytes) -> None:
        _join_murmur3(data, self._bulk_bytes, self._n_chunks, self._digest)
        self._n_chunks += len(data) // self._bulk_bytes


def _join_murmur3(data: Bytes, chunk_bytes: int, first_seed: int, digest: bytearray) -> None:
    lib.walb_murmur3_xor(
        ffi.from_buffer(data), len(data), chunk_bytes, first_seed & 0xFFFFFFFF, ffi.from_buffer(digest)
    )


def hash_chunks(
    fd: int,
    chunk_bytes: int,
    offset: int,
    size: int,
    algorithm: Algorithm = Algorithm.SIPHASH,
    *,
    seed: int = 0,
    key: bytes = bytes(BLAKE3_KEY_BYTES),
    threads: int = 2,
) -> Iterator[bytes]:
    """Digests of the chunks of a file from a byte on, 16 bytes each and many at once, in order; the last chunk may be
    short. `seed` belongs to murmur3, `key` to BLAKE3. At most `threads` threads hash, a few MiB each.

    Raises Corrupted when the file ends before offset + size, StorageFailure."""
    check_range("chunk size", chunk_bytes, 1, MAX_CHUNK_BYTES)
    group = GROUP_CHUNKS * chunk_bytes
    part = max(group, PART_BYTES // group * group)
    with ThreadPoolExecutor(threads, "hash") as pool:
        waiting: list[Future[bytes]] = []
        for at in range(offset, offset + size, part):
            length = min(part, offset + size - at)
            if algorithm is Algorithm.BLAKE3:
                waiting.append(pool.submit(_hash_blake3, fd, at, length, chunk_bytes, key))
            else:
                waiting.append(pool.submit(_hash_native, fd, at, length, chunk_bytes, algorithm, seed))
            if len(waiting) > 2 * threads:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _hash_native(fd: int, offset: int, length: int, chunk_bytes: int, algorithm: Algorithm, seed: int) -> bytes:
    digests = bytearray(-(-length // chunk_bytes) * DIGEST_BYTES)
    failure = new_failure()
    place = ffi.from_buffer(digests)
    if lib.walb_hash_chunks(fd, offset, length, chunk_bytes, algorithm, seed, place, failure):
        raise error_of(failure, "hashed file")
    return bytes(digests)


def _hash_blake3(fd: int, offset: int, length: int, chunk_bytes: int, key: bytes) -> bytes:
    digests = []
    for at in range(offset, offset + length, chunk_bytes):
        wanted = min(chunk_bytes, offset + length - at)
        data = os.pread(fd, wanted, at)
        if len(data) != wanted:
            raise StorageFailure(f"hashed file: offset {at + len(data)}: the file ends too early")
        digests.append(blake3_chunks(data, chunk_bytes, key))
    return b"".join(digests)

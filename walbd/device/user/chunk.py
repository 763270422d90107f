"""Receive buffers. Write data stay where they were received until they are on the data device (no copy in between)."""

from __future__ import annotations

from walbd._core import ffi

# One request of 1 MiB fits with its head, and what comes after it begins a new chunk.
CHUNK_BYTES = (1 << 20) + 4096
MAX_POOLED = 32


class Chunk:
    """A buffer with a count of its users: the connection that fills it, and the writes and reads that need its data."""

    __slots__ = ("_pool", "address", "pins", "size_bytes", "view")

    def __init__(self, size_bytes: int, pool: ChunkPool) -> None:
        buffer = bytearray(size_bytes)
        self.view = memoryview(buffer)
        self.address = int(ffi.cast("uintptr_t", ffi.from_buffer(buffer)))
        self.size_bytes = size_bytes
        self.pins = 1
        self._pool = pool

    def pin(self) -> None:
        """One more user."""
        self.pins += 1

    def unpin(self) -> None:
        """One user less; the last one gives the buffer back."""
        self.pins -= 1
        if self.pins == 0:
            self._pool.give_back(self)


class ChunkPool:
    """Keeps ordinary chunks for reuse; bigger ones (for one big request) are freed."""

    def __init__(self) -> None:
        self._free: list[Chunk] = []

    def take(self, at_least_bytes: int = 0) -> Chunk:
        """A chunk with one user."""
        if at_least_bytes <= CHUNK_BYTES and self._free:
            chunk = self._free.pop()
            chunk.pins = 1
            return chunk
        return Chunk(max(at_least_bytes, CHUNK_BYTES), self)

    def give_back(self, chunk: Chunk) -> None:
        """Called by the chunk itself."""
        if chunk.size_bytes == CHUNK_BYTES and len(self._free) < MAX_POOLED:
            self._free.append(chunk)

"""What the benchmarks move: incompressible bytes, and blocks of a real file system. No holes."""

from __future__ import annotations

import os
from pathlib import Path

from demo.filesystem import Image

CHUNK_BYTES = 4 << 20


def write_random(path: Path, size_bytes: int) -> None:
    """A file of incompressible bytes."""
    with open(path, "wb") as file:
        for _ in range(0, size_bytes, CHUNK_BYTES):
            file.write(os.urandom(CHUNK_BYTES))


def write_file_system(path: Path, size_bytes: int) -> None:
    """A mostly empty ext4 image whose unused blocks are written zeros, not holes."""
    sparse = path.with_suffix(".sparse")
    Image(sparse).make(size_bytes, path.parent)
    with open(sparse, "rb") as source, open(path, "wb") as file:
        while chunk := source.read(CHUNK_BYTES):
            file.write(chunk)
    sparse.unlink()


def file_system_blocks(folder: Path, size_bytes: int) -> bytes:
    """Used blocks of an ext4 image, repeated up to the size."""
    image = folder / "blocks.img"
    Image(image).make(64 << 20, folder)
    data = image.read_bytes()
    image.unlink()
    block = 64 << 10
    used = b"".join(
        data[offset : offset + block]
        for offset in range(0, len(data), block)
        if data[offset : offset + block].count(0) < block // 2
    )
    return (used * (size_bytes // len(used) + 1))[:size_bytes]

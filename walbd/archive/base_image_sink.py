"""Writing a base image that comes in order, so that one that was cut can go on (full backup, full replication)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from walbd.archive.archive import Archive
from walbd.archive.image_errors import add_space_hint
from walbd.model.compression import CompressionType
from walbd.model.error import StorageFailure, WalbError
from walbd.net.image_chunk import Decompress
from walbd.net.tasks import run_to_end
from walbd.wdiff.codec import decompress

_ZEROS = bytes(1 << 20)


class BaseImageSink:
    """Writes to the base image from byte `begin` on, in order, and syncs it at least every `sync_interval_bytes` of the
    image, so that the last sync is short; `note` is told then up to which byte all is durable. Blocks; raises
    StorageFailure."""

    def __init__(
        self,
        fd: int,
        sync_interval_bytes: int,
        reads_zero: bool,
        begin: int = 0,
        note: Callable[[int], object] = lambda _: None,
    ) -> None:
        """reads_zero: what is not written reads as zeros."""
        self._fd = fd
        self._sync_interval_bytes = sync_interval_bytes
        self._reads_zero = reads_zero
        self._position = self._noted = begin
        self._note = note

    def write(self, offset: int, data: memoryview | bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                count = os.pwrite(self._fd, rest, offset)
                rest, offset = rest[count:], offset + count
        except OSError as error:
            raise StorageFailure(f"cannot write the base image: {error.strerror}") from error
        self._reached(offset)

    def zeros(self, offset: int, length: int) -> None:
        """A new image of most stores reads as zeros where nothing is written."""
        while length and not self._reads_zero:
            count = min(length, len(_ZEROS))
            self.write(offset, memoryview(_ZEROS)[:count])
            offset, length = offset + count, length - count
        self._reached(offset + length)

    def _reached(self, position: int) -> None:
        self._position = position
        if position - self._noted >= self._sync_interval_bytes:
            self.sync()

    def sync(self) -> None:
        """Makes durable what was written, and notes how far that is."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise StorageFailure(f"cannot sync the base image: {error.strerror}") from error
        if self._position > self._noted:
            self._note(self._position)
            self._noted = self._position


@asynccontextmanager
async def noted_when_cut(archive: Archive, sink: BaseImageSink) -> AsyncIterator[None]:
    """Around a transfer: what has come is durable and noted however it ends; a full store says what to do."""
    try:
        yield
    except WalbError as error:
        with suppress(WalbError):
            await run_to_end(archive.world, sink.sync)
        await add_space_hint(archive.world, archive.store, error)
        raise


def decompressor(kind: CompressionType) -> Decompress | None:
    """What undoes a compression of bulks."""
    return None if kind is CompressionType.NONE else partial(decompress, kind)

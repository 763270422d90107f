"""Reads: what is pending from memory, the rest from the data device."""

from __future__ import annotations

import errno
import os

from walbd.device.user.block_status import MAX_EXTENTS, file_extents, joined, with_pending
from walbd.device.user.engine import Engine
from walbd.device.user.pending import overlay
from walbd.model.limits import LB_BYTES
from walbd.world.world import World

# Up to this a read that is in the page cache is copied on the loop: cheaper than two thread hand-overs.
MAX_DIRECT_BYTES = 128 << 10


class Reader:
    """Reads of one device."""

    def __init__(self, engine: Engine, world: World) -> None:
        self._engine = engine
        self._world = world
        self._may_be_direct = True
        self.answer_bytes = 0
        """What the answers of all clients take that are being made or wait to be sent."""

    def read_at_once(self, buffer: memoryview, offset_bytes: int) -> bool:
        """Fills the buffer when that takes no waiting and no pending write is concerned; else returns False."""
        if not self._may_be_direct or len(buffer) > MAX_DIRECT_BYTES:
            return False
        if self._engine.pending.overlapping(offset_bytes // LB_BYTES, len(buffer) // LB_BYTES):
            return False
        try:
            return os.preadv(self._engine.files.data_fd, [buffer], offset_bytes, os.RWF_NOWAIT) == len(buffer)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                self._may_be_direct = False  # tmpfs, some block devices
            return False

    async def read(self, buffer: memoryview, offset_bytes: int) -> None:
        """Fills the buffer. Raises StorageFailure."""
        offset_lb, size_lb = offset_bytes // LB_BYTES, len(buffer) // LB_BYTES
        pieces = self._engine.pending.overlapping(offset_lb, size_lb)
        # Taken before the data device is read: a piece that gets there meanwhile is found in one place or the other.
        for piece in pieces:
            if piece.chunk is not None:
                piece.chunk.pin()
        try:
            await self._world.run(self._fill, buffer, offset_bytes)
            overlay(buffer, offset_lb, pieces)
        finally:
            for piece in pieces:
                if piece.chunk is not None:
                    piece.chunk.unpin()

    async def block_status(self, offset_bytes: int, size_bytes: int) -> list[tuple[int, int]]:
        """Consecutive extents from an offset on: (size in bytes, NBD state). Raises StorageFailure."""
        begin_lb, end_lb = offset_bytes // LB_BYTES, (offset_bytes + size_bytes) // LB_BYTES
        pieces = self._engine.pending.overlapping(begin_lb, end_lb - begin_lb)
        files = self._engine.files
        extents = await self._world.run(file_extents, files.data_fd, files.ddev_path, begin_lb, end_lb)
        return list(joined(with_pending(extents, pieces)))[:MAX_EXTENTS]

    def _fill(self, buffer: memoryview, offset_bytes: int) -> None:
        self._engine.files.read_data(buffer, offset_bytes)

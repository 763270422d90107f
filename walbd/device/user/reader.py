"""Reads: what is pending from memory, the rest from the data device."""

from __future__ import annotations

from walbd._core import ffi, lib
from walbd.device import nbd_protocol as nbd
from walbd.device.user.block_status import MAX_EXTENTS, file_extents, joined, with_pending
from walbd.device.user.engine import Engine
from walbd.device.user.requests import Request
from walbd.model.limits import LB_BYTES
from walbd.world.world import World

# Up to this a read that is in the page cache is copied on the loop: cheaper than two thread hand-overs.
MAX_DIRECT_BYTES = 128 << 10
ANSWERS_BYTES = 256 << 10


class Reader:
    """Reads of one device."""

    def __init__(self, engine: Engine, world: World) -> None:
        self._engine = engine
        self._world = world
        self._may_be_direct = True
        self._source = ffi.new("walb_nbd_source *", {"max_read_bytes": MAX_DIRECT_BYTES})
        self._answered = ffi.new("walb_nbd_answered *")
        self._answers = bytearray(ANSWERS_BYTES)
        self.answer_bytes = 0
        """What the answers of all clients take that are being made or wait to be sent."""

    def answers_at_once(
        self, request: Request, received: memoryview, device_bytes: int, is_structured: bool
    ) -> tuple[int, bytes] | None:
        """Answers a read and those right behind it, with which `received` begins, as far as they are small and take no
        waiting. Returns how many bytes of it they are, and the answers; None when there are none."""
        if not self._may_be_direct or request.size_bytes > MAX_DIRECT_BYTES:
            return None
        pending = self._engine.pending
        if pending:
            if pending.touches(request.offset_bytes // LB_BYTES, request.size_bytes // LB_BYTES):
                return None
            received = received[: nbd.REQUEST.size]
        source, answered, answers = self._source, self._answered, self._answers
        source.data_fd, source.device_bytes = self._engine.files.data_fd, device_bytes
        source.is_structured = is_structured
        lib.walb_nbd_answer_reads(
            source, ffi.from_buffer(received), len(received), ffi.from_buffer(answers), len(answers), answered
        )
        self._may_be_direct = not answered.is_refused  # tmpfs, some block devices
        if not answered.request_bytes:
            return None
        # A copy, no larger than they are: they may wait for the client for long.
        return answered.request_bytes, bytes(memoryview(answers)[: answered.answer_bytes])

    async def read(self, buffer: memoryview, offset_bytes: int) -> None:
        """Fills the buffer. Raises StorageFailure."""
        # Taken before the data device is read: what gets there meanwhile is found in one place or the other.
        held = self._engine.pending.held(offset_bytes // LB_BYTES, len(buffer) // LB_BYTES)
        await self._world.run(self._fill, buffer, offset_bytes)
        if held is not None:
            held.overlay(buffer)

    async def block_status(self, offset_bytes: int, size_bytes: int) -> list[tuple[int, int]]:
        """Consecutive extents from an offset on: (size in bytes, NBD state). Raises StorageFailure."""
        begin_lb, end_lb = offset_bytes // LB_BYTES, (offset_bytes + size_bytes) // LB_BYTES
        pending = self._engine.pending.spans(begin_lb, end_lb - begin_lb)
        files = self._engine.files
        extents = await self._world.run(file_extents, files.data_fd, files.ddev_path, begin_lb, end_lb)
        return list(joined(with_pending(extents, pending)))[:MAX_EXTENTS]

    def _fill(self, buffer: memoryview, offset_bytes: int) -> None:
        self._engine.files.read_data(buffer, offset_bytes)

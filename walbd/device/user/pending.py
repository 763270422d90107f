"""The writes that are in the log and not yet on the data device: reads must see them (wdev.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass

from walbd._core import ffi, lib
from walbd.model.limits import LB_BYTES


@dataclass(frozen=True, slots=True)
class Held:
    """What pending writes hold of a range: a copy of it, and one byte a logical block, 1 where it is theirs."""

    content: bytearray
    is_held: bytearray

    def overlay(self, buffer: memoryview) -> None:
        """Puts it over what was read from the data device."""
        size_lb = len(self.is_held)
        lib.walb_pending_overlay(
            ffi.from_buffer(buffer), ffi.from_buffer(self.content), ffi.from_buffer(self.is_held), size_lb
        )


class PendingSet:
    """Pending writes in the order of the log. Their data stay where they are until they are dropped."""

    def __init__(self) -> None:
        pending = lib.walb_pending_new()
        if pending == ffi.NULL:
            raise MemoryError
        self._pending = ffi.gc(pending, lib.walb_pending_free)

    def __len__(self) -> int:
        return int(lib.walb_pending_count(self._pending))

    def add(self, native: bytes | bytearray, count: int) -> None:
        """Adds the first `count` of walb_log_write structures, as the newest."""
        if lib.walb_pending_add(self._pending, ffi.from_buffer("walb_log_write[]", native), count):
            raise MemoryError

    def drop(self, count: int) -> None:
        """Drops the oldest: they are on the data device."""
        lib.walb_pending_drop(self._pending, count)

    def touches(self, offset_lb: int, size_lb: int) -> bool:
        """Whether a pending write concerns a range."""
        return bool(lib.walb_pending_touches(self._pending, offset_lb, size_lb))

    def held(self, offset_lb: int, size_lb: int) -> Held | None:
        """What pending writes hold of a range now; None when nothing."""
        if not self.touches(offset_lb, size_lb):
            return None
        held = Held(bytearray(size_lb * LB_BYTES), bytearray(size_lb))
        content, is_held = ffi.from_buffer(held.content), ffi.from_buffer(held.is_held)
        lib.walb_pending_copy(self._pending, offset_lb, size_lb, content, is_held)
        return held

    def spans(self, offset_lb: int, size_lb: int) -> list[tuple[int, int]]:
        """(begin, end) in logical blocks of the pending writes that touch a range, oldest first."""
        found = ffi.new("uint64_t[]", 2 * len(self))
        count = lib.walb_pending_spans(self._pending, offset_lb, size_lb, found)
        borders = ffi.unpack(found, 2 * count)
        return list(zip(borders[::2], borders[1::2], strict=True))

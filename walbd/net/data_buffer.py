"""Memory of DATA frames to be sent."""

from __future__ import annotations

import mmap

from walbd.net.frame import HEADER_BYTES, FrameType, header_for

PAGE_BYTES = 4096


class DataBuffer:
    """Memory that is filled, sent and filled again: fresh memory for every frame would cost a page fault per 4 KiB.

    Whoever fills it puts the payload into `memory[start:end]`, where start >= HEADER_BYTES is its own choice, so that
    the data proper can begin at a page border (direct I/O, and processors that copy to just behind one slowly). Several
    small frames are sent at once when `next_frame` is called after each but the last."""

    __slots__ = ("_first", "end", "memory", "start")

    def __init__(self, data_bytes: int, table_bytes: int = 0) -> None:
        """Room for data_bytes from `first_page(table_bytes)` on, with a table of table_bytes and the header before."""
        self.memory = memoryview(mmap.mmap(-1, first_page(table_bytes) + data_bytes))
        self.clear()

    def clear(self) -> None:
        """Forgets what it holds."""
        self._first: int | None = None
        self.start = self.end = HEADER_BYTES

    def seal(self) -> None:
        """Puts the header before the payload. Computes the checksum: call it in the thread that filled the buffer."""
        header = header_for(FrameType.DATA, self.memory[self.start : self.end])
        self.memory[self.start - HEADER_BYTES : self.start] = header
        if self._first is None:
            self._first = self.start - HEADER_BYTES

    def next_frame(self) -> None:
        """Seals the payload; the next one begins behind it."""
        self.seal()
        self.start = self.end = self.end + HEADER_BYTES

    @property
    def frames(self) -> memoryview:
        """The sealed frames, end to end."""
        return self.memory[self._first : self.end]


def first_page(table_bytes: int) -> int:
    """The first page border that leaves room for the header and a table before it."""
    return -(-(HEADER_BYTES + table_bytes) // PAGE_BYTES) * PAGE_BYTES

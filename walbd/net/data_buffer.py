"""Memory of one DATA frame to be sent."""

from __future__ import annotations

import mmap

from walbd.net.frame import HEADER_BYTES, FrameType, header_for

PAGE_BYTES = 4096


class DataBuffer:
    """Memory that is filled, sent and filled again: fresh memory for every frame would cost a page fault per 4 KiB.

    Whoever fills it puts the payload into `memory[start:end]`, where start >= HEADER_BYTES is its own choice, so that
    the data proper can begin at a page border (direct I/O)."""

    __slots__ = ("end", "memory", "start")

    def __init__(self, data_bytes: int, table_bytes: int = 0) -> None:
        """Room for data_bytes from `first_page(table_bytes)` on, with a table of table_bytes and the header before."""
        self.memory = memoryview(mmap.mmap(-1, first_page(table_bytes) + data_bytes))
        self.start = self.end = HEADER_BYTES

    def seal(self) -> None:
        """Puts the header before the payload. Computes the checksum: call it in the thread that filled the buffer."""
        header = header_for(FrameType.DATA, self.memory[self.start : self.end])
        self.memory[self.start - HEADER_BYTES : self.start] = header

    @property
    def frame(self) -> memoryview:
        """The sealed frame."""
        return self.memory[self.start - HEADER_BYTES : self.end]


def first_page(table_bytes: int) -> int:
    """The first page border that leaves room for the header and a table before it."""
    return -(-(HEADER_BYTES + table_bytes) // PAGE_BYTES) * PAGE_BYTES

"""The transport of a client that takes its answers slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class SlowTransport(asyncio.Transport):
    """There is always a little that the client has not taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_bytes = 0
        self.has_sent = asyncio.Event()
        self.is_reading_paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent_bytes += len(data)
        self.has_sent.set()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return 100

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

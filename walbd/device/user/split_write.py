"""A write too large for the rest of a chunk: taken in parts as they come, so that no request needs a larger buffer."""

from __future__ import annotations

from collections.abc import Callable

from walbd.device import nbd_protocol as nbd
from walbd.device.user.requests import Request

# A smaller request is moved to the next chunk instead: at most this much of a chunk is left unused.
MIN_SPLIT_BYTES = 64 << 10
PART_ALIGN_BYTES = 4096


class SplitWrite:
    """Where the parts of one write belong; `answer(error)` is called once, when all have come and are done. With an
    error to begin with (the request is refused) the parts are only passed over."""

    def __init__(self, request: Request, error: int, answer: Callable[[int], None]) -> None:
        self.offset_bytes = request.offset_bytes
        self.left_bytes = request.size_bytes
        self.is_fua = request.is_fua
        self.is_refused = error != 0
        self._error = error
        self._answer = answer
        self._open = 1  # for what has not come yet

    def part_bytes(self, room_bytes: int) -> int:
        """How large the next part is when the chunk has room for so much; 0 when it belongs into the next chunk."""
        part = min(self.left_bytes, room_bytes - room_bytes % PART_ALIGN_BYTES)
        return part if part >= min(self.left_bytes, MIN_SPLIT_BYTES) else 0

    def taken(self, part_bytes: int) -> None:
        """That much more has come; done(error) follows for it."""
        self._open += 1
        self.offset_bytes += part_bytes
        self.left_bytes -= part_bytes

    def done(self, error: int) -> None:
        """A part is done, or all have come."""
        self._error = self._error or error
        self._open -= 1
        if not self._open:
            self._answer(self._error)


def head_of(view: memoryview, begin: int) -> Request:
    """The request whose first bytes, but not all, are at begin."""
    _, flags, command, cookie, offset_bytes, size_bytes = nbd.REQUEST.unpack_from(view, begin)
    payload_begin = begin + nbd.REQUEST.size
    return Request(command, flags, cookie, offset_bytes, size_bytes, payload_begin, payload_begin + size_bytes)

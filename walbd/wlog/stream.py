"""The incremental parser of a log (native/wlog_parse.h) for Python: verifies bytes and keeps nothing but one header."""

from __future__ import annotations

from dataclasses import dataclass

from walbd._core import ffi, lib
from walbd.model.limits import INVALID_LSID
from walbd.wlog.super_sector import check_pbs

MORE: int = lib.WALB_LOG_MORE
END: int = lib.WALB_LOG_END

# Results that say that here is no pack of this log: where a ring or a cut file ends.
NO_PACK = frozenset(
    (
        lib.WALB_LOG_BAD_TYPE,
        lib.WALB_LOG_BAD_CHECKSUM,
        lib.WALB_LOG_BAD_LSID,
        lib.WALB_LOG_BAD_EMPTY,
        lib.WALB_LOG_BAD_COUNT,
        lib.WALB_LOG_BAD_RANGE,
        lib.WALB_LOG_BAD_RECORD,
    )
)


def reason(code: int) -> str:
    """What a negative result means."""
    return str(ffi.string(lib.walb_log_error(code)).decode())


@dataclass(frozen=True, slots=True)
class Verified:
    """Result of LogStream.verify: MORE, END or a negative code, and how many bytes it concerns."""

    result: int
    used_bytes: int


class LogStream:
    """Verifies a log that comes in pieces. Nothing of it is kept but one header."""

    def __init__(self, pbs: int, salt: int, begin_lsid: int) -> None:
        self._stream = ffi.new("walb_log_stream *")
        self._used = ffi.new("size_t *")
        lib.walb_log_stream_init(self._stream, check_pbs(pbs), salt, begin_lsid)

    def verify(self, data: memoryview | bytes, limit_lsid: int = INVALID_LSID) -> Verified:
        """Verifies whole blocks up to the first pack that ends behind limit_lsid; give its bytes again."""
        result = lib.walb_log_verify(self._stream, ffi.from_buffer(data), len(data), limit_lsid, self._used)
        return Verified(int(result), int(self._used[0]))

    @property
    def next_lsid(self) -> int:
        """Where the next pack begins: the end of all whole packs so far."""
        return int(self._stream.next_lsid)

    @property
    def pack_end_lsid(self) -> int:
        """End of the pack the stream is in; next_lsid between packs."""
        if self.is_at_boundary:
            return self.next_lsid
        return self.next_lsid + 1 + int(self._stream.pack.total_pb)

    @property
    def is_at_boundary(self) -> bool:
        """Nothing but whole packs was given so far."""
        return bool(lib.walb_log_at_boundary(self._stream))

    @property
    def header(self) -> bytes:
        """The last header block as it came, valid or not."""
        return bytes(ffi.buffer(self._stream.block, self._stream.pbs))

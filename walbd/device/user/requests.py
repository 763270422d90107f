"""Requests of the transmission phase, sans-IO: where they lie in a buffer, and whether they are allowed."""

from __future__ import annotations

from dataclasses import dataclass

from walbd.device import nbd_protocol as nbd
from walbd.model.error import ProtocolViolation
from walbd.model.limits import LB_BYTES

_RANGED = (nbd.CMD_READ, nbd.CMD_WRITE, nbd.CMD_TRIM, nbd.CMD_WRITE_ZEROES, nbd.CMD_BLOCK_STATUS)
_READING = (nbd.CMD_READ, nbd.CMD_BLOCK_STATUS)
_FLAGS = {
    nbd.CMD_READ: nbd.CMD_FLAG_FUA | nbd.CMD_FLAG_DF,
    nbd.CMD_WRITE: nbd.CMD_FLAG_FUA,
    nbd.CMD_FLUSH: nbd.CMD_FLAG_FUA,
    nbd.CMD_TRIM: nbd.CMD_FLAG_FUA,
    nbd.CMD_WRITE_ZEROES: nbd.CMD_FLAG_FUA | nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO,
    nbd.CMD_BLOCK_STATUS: nbd.CMD_FLAG_FUA | nbd.CMD_FLAG_REQ_ONE,
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request; a write's payload lies at payload_begin..end of the buffer."""

    command: int
    flags: int
    cookie: int
    offset_bytes: int
    size_bytes: int
    payload_begin: int
    end: int

    @property
    def is_fua(self) -> bool:
        """True when the write must be durable before it is acknowledged."""
        return bool(self.flags & nbd.CMD_FLAG_FUA)


def parse_request(buffer: memoryview, begin: int, end: int) -> Request | int:
    """The request at begin, or, when it is not complete yet, the number of bytes it needs from begin on. Raises
    ProtocolViolation when the stream cannot be followed any further."""
    if end - begin < nbd.REQUEST.size:
        return nbd.REQUEST.size
    magic, flags, command, cookie, offset_bytes, size_bytes = nbd.REQUEST.unpack_from(buffer, begin)
    if magic != nbd.REQUEST_MAGIC:
        raise ProtocolViolation(f"NBD client sent magic {magic:#010x} instead of a request")
    payload_begin = begin + nbd.REQUEST.size
    payload_bytes = size_bytes if command == nbd.CMD_WRITE else 0
    if payload_bytes > nbd.MAX_PAYLOAD_BYTES:
        raise ProtocolViolation(f"NBD client sent a write of {payload_bytes} bytes")
    if end - payload_begin < payload_bytes:
        return nbd.REQUEST.size + payload_bytes
    return Request(command, flags, cookie, offset_bytes, size_bytes, payload_begin, payload_begin + payload_bytes)


def refusal(request: Request, device_bytes: int) -> int:
    """The NBD error number of a request that must not be carried out; 0 when it may."""
    allowed = _FLAGS.get(request.command)
    if allowed is None or request.flags & ~allowed:
        return nbd.EINVAL
    if request.command not in _RANGED:
        return nbd.EINVAL if request.size_bytes or request.offset_bytes else 0
    if not request.size_bytes or request.size_bytes % LB_BYTES or request.offset_bytes % LB_BYTES:
        return nbd.EINVAL
    if request.command == nbd.CMD_READ and request.size_bytes > nbd.MAX_PAYLOAD_BYTES:
        return nbd.EINVAL
    if request.offset_bytes + request.size_bytes > device_bytes:
        return nbd.EINVAL if request.command in _READING else nbd.ENOSPC
    return nbd.ENOTSUP if request.flags & nbd.CMD_FLAG_FAST_ZERO else 0

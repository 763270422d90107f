"""The server's half of the NBD negotiation, sans-IO: bytes in, bytes out."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from walbd.device import nbd_protocol as nbd
from walbd.model.error import ProtocolViolation

TRANSMISSION_FLAGS = (
    nbd.HAS_FLAGS
    | nbd.SEND_FLUSH
    | nbd.SEND_FUA
    | nbd.SEND_TRIM
    | nbd.SEND_WRITE_ZEROES
    # Zeros are logged as data, which is never fast: a client that asks for speed is told so at once.
    | nbd.SEND_FAST_ZERO
    # Every connection writes through the one engine, whose flush covers what was completed on any of them.
    | nbd.CAN_MULTI_CONN
)
MAX_OPTIONS = 64
MAX_CONTEXT_QUERIES = 32


@dataclass(frozen=True, slots=True)
class Export:
    """What is served: the name, its present size in bytes and the preferred block size."""

    name: str
    size_bytes: int
    preferred_bytes: int


class Handshake:
    """Feed it what the client sends; send what it answers. `is_done`: transmission begins with what is left over;
    `is_ended`: close after sending. `is_structured` and `has_allocation`: what the client may use then."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._knows_flags = False
        self._no_zeroes = False
        self._options = 0
        self.is_done = False
        self.is_ended = False
        self.is_structured = False
        self.has_allocation = False

    def greeting(self) -> bytes:
        """The first bytes of the connection."""
        flags = nbd.FLAG_FIXED_NEWSTYLE | nbd.FLAG_NO_ZEROES
        return nbd.GREETING.pack(nbd.INIT_MAGIC, nbd.OPTION_MAGIC, flags)

    def feed(self, data: memoryview) -> tuple[int, bytes]:
        """Takes whole messages from the front of data; returns how many bytes it used and what to send. Raises
        ProtocolViolation when the client is not one."""
        used, answer = 0, b""
        while not (self.is_done or self.is_ended):
            rest = data[used:]
            if not self._knows_flags:
                if len(rest) < 4:
                    break
                self._take_flags(bytes(rest[:4]))
                used += 4
                continue
            if len(rest) < nbd.OPTION.size:
                break
            magic, option, length = nbd.OPTION.unpack_from(rest)
            if magic != nbd.OPTION_MAGIC:
                raise ProtocolViolation("NBD client sent no option where one was expected")
            if length > nbd.MAX_OPTION_BYTES:
                raise ProtocolViolation(f"NBD client sent an option of {length} bytes")
            if len(rest) < nbd.OPTION.size + length:
                break
            answer += self._answer(option, bytes(rest[nbd.OPTION.size : nbd.OPTION.size + length]))
            used += nbd.OPTION.size + length
        return used, answer

    def _take_flags(self, data: bytes) -> None:
        flags = int.from_bytes(data, "big")
        if flags & ~(nbd.FLAG_FIXED_NEWSTYLE | nbd.FLAG_NO_ZEROES):
            raise ProtocolViolation(f"NBD client has flags {flags:#x}")
        self._no_zeroes = bool(flags & nbd.FLAG_NO_ZEROES)
        self._knows_flags = True

    def _answer(self, option: int, payload: bytes) -> bytes:
        self._options += 1
        if self._options > MAX_OPTIONS:
            raise ProtocolViolation("NBD client negotiates without end")
        if option == nbd.OPT_EXPORT_NAME:
            return self._export_name(payload)
        if option == nbd.OPT_ABORT:
            self.is_ended = True
            return _reply(option, nbd.REP_ACK)
        if option == nbd.OPT_LIST:
            return self._list(payload)
        if option in (nbd.OPT_INFO, nbd.OPT_GO):
            return self._info(option, payload)
        if option == nbd.OPT_STRUCTURED_REPLY:
            return self._structured_reply(payload)
        if option in (nbd.OPT_LIST_META_CONTEXT, nbd.OPT_SET_META_CONTEXT):
            return self._meta_context(option, payload)
        return _reply(option, nbd.REP_ERR_UNSUP)

    def _flags(self) -> int:
        return TRANSMISSION_FLAGS | (nbd.SEND_DF if self.is_structured else 0)

    def _is_our_name(self, name: bytes) -> bool:
        return name in (b"", self._export.name.encode())

    def _export_name(self, name: bytes) -> bytes:
        if not self._is_our_name(name):
            raise ProtocolViolation("NBD client asked for another export")  # the option has no error answer
        self.is_done = True
        zeroes = b"" if self._no_zeroes else bytes(124)
        return nbd.EXPORT_NAME_REPLY.pack(self._export.size_bytes, self._flags()) + zeroes

    def _list(self, payload: bytes) -> bytes:
        if payload:
            return _reply(nbd.OPT_LIST, nbd.REP_ERR_INVALID)
        name = self._export.name.encode()
        entry = _reply(nbd.OPT_LIST, nbd.REP_SERVER, struct.pack(">I", len(name)) + name)
        return entry + _reply(nbd.OPT_LIST, nbd.REP_ACK)

    def _info(self, option: int, payload: bytes) -> bytes:
        name = _requested_name(payload)
        if name is None:
            return _reply(option, nbd.REP_ERR_INVALID)
        if not self._is_our_name(name):
            return _reply(option, nbd.REP_ERR_UNKNOWN)
        export = nbd.EXPORT_INFO.pack(nbd.INFO_EXPORT, self._export.size_bytes, self._flags())
        sizes = nbd.BLOCK_SIZE_INFO.pack(
            nbd.INFO_BLOCK_SIZE, 512, max(self._export.preferred_bytes, 4096), nbd.MAX_PAYLOAD_BYTES
        )
        self.is_done = option == nbd.OPT_GO
        return _reply(option, nbd.REP_INFO, export) + _reply(option, nbd.REP_INFO, sizes) + _reply(option, nbd.REP_ACK)

    def _structured_reply(self, payload: bytes) -> bytes:
        if payload:
            return _reply(nbd.OPT_STRUCTURED_REPLY, nbd.REP_ERR_INVALID)
        self.is_structured = True
        return _reply(nbd.OPT_STRUCTURED_REPLY, nbd.REP_ACK)

    def _meta_context(self, option: int, payload: bytes) -> bytes:
        is_set = option == nbd.OPT_SET_META_CONTEXT
        if is_set:
            self.has_allocation = False  # a new choice replaces the old one, even when it fails
        asked = _context_queries(payload) if self.is_structured else None
        if asked is None:
            return _reply(option, nbd.REP_ERR_INVALID)
        name, queries = asked
        if not self._is_our_name(name):
            return _reply(option, nbd.REP_ERR_UNKNOWN)
        is_wanted = nbd.ALLOCATION_CONTEXT in queries or (not is_set and (not queries or b"base:" in queries))
        if not is_wanted:
            return _reply(option, nbd.REP_ACK)
        self.has_allocation |= is_set
        context = nbd.CONTEXT_ID.pack(nbd.ALLOCATION_CONTEXT_ID if is_set else 0) + nbd.ALLOCATION_CONTEXT
        return _reply(option, nbd.REP_META_CONTEXT, context) + _reply(option, nbd.REP_ACK)


def _requested_name(payload: bytes) -> bytes | None:
    """The export name of an INFO or GO option; None when the option is malformed."""
    name, rest = _counted(payload)
    if name is None or len(rest) < 2 or len(rest) != 2 + 2 * int.from_bytes(rest[:2], "big"):
        return None
    return name


def _context_queries(payload: bytes) -> tuple[bytes, list[bytes]] | None:
    """The export name and the queries of a META_CONTEXT option; None when the option is malformed."""
    name, rest = _counted(payload)
    if name is None or len(rest) < 4:
        return None
    n_queries, rest = int.from_bytes(rest[:4], "big"), rest[4:]
    if n_queries > MAX_CONTEXT_QUERIES:
        return None
    queries: list[bytes] = []
    for _ in range(n_queries):
        query, rest = _counted(rest)
        if query is None:
            return None
        queries.append(query)
    return None if rest else (name, queries)


def _counted(data: bytes) -> tuple[bytes | None, bytes]:
    """A string behind its length, and what follows; None when it is cut or too long."""
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 or length > min(nbd.MAX_EXPORT_NAME_BYTES, len(data) - 4):
        return None, data
    return data[4 : 4 + length], data[4 + length :]


def _reply(option: int, kind: int, payload: bytes = b"") -> bytes:
    return nbd.OPTION_REPLY.pack(nbd.OPTION_REPLY_MAGIC, option, kind, len(payload)) + payload

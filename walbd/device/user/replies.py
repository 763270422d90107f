"""Replies of the transmission phase, sans-IO: simple ones, or structured ones where the client has asked for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from walbd.device import nbd_protocol as nbd

MAX_MESSAGE_BYTES = 4096


def done(cookie: int) -> bytes:
    """A request without an answer of its own is carried out; simple in both modes, as the protocol allows."""
    return nbd.REPLY.pack(nbd.REPLY_MAGIC, 0, cookie)


def failed(cookie: int, error: int, message: str, is_structured: bool) -> bytes:
    """A request is refused or has failed; only structured replies carry the message."""
    if not is_structured:
        return nbd.REPLY.pack(nbd.REPLY_MAGIC, error, cookie)
    text = message.encode()[:MAX_MESSAGE_BYTES]
    payload = nbd.CHUNK_ERROR.pack(error, len(text)) + text
    return _last_chunk(nbd.CHUNK_KIND_ERROR, cookie, len(payload)) + payload


def read_answer(cookie: int, offset_bytes: int, size_bytes: int, is_structured: bool) -> tuple[bytearray, memoryview]:
    """The answer to a read, and the part of it that is to be filled with the data."""
    return _room_behind(_read_head(cookie, offset_bytes, size_bytes, is_structured), size_bytes)


def read_parts(
    cookie: int, offset_bytes: int, size_bytes: int, part_bytes: int, *, is_structured: bool, is_fragmented: bool
) -> Iterator[tuple[int, bytearray, memoryview]]:
    """The answer to a large read in parts: (offset, part, what of it is to be filled). Fragmented, each part is a chunk
    of its own and an error may take the place of the next; else they are one reply, which only its end can end."""
    for offset in range(offset_bytes, offset_bytes + size_bytes, part_bytes):
        left = offset_bytes + size_bytes - offset
        size = min(part_bytes, left)
        if is_fragmented:
            head = _data_chunk(cookie, offset, size, nbd.CHUNK_FLAG_DONE if size == left else 0)
        else:
            head = _read_head(cookie, offset_bytes, size_bytes, is_structured) if offset == offset_bytes else b""
        yield offset, *_room_behind(head, size)


def _read_head(cookie: int, offset_bytes: int, size_bytes: int, is_structured: bool) -> bytes:
    return _data_chunk(cookie, offset_bytes, size_bytes, nbd.CHUNK_FLAG_DONE) if is_structured else done(cookie)


def _data_chunk(cookie: int, offset_bytes: int, size_bytes: int, flags: int) -> bytes:
    length = nbd.CHUNK_OFFSET.size + size_bytes
    head = nbd.CHUNK.pack(nbd.CHUNK_MAGIC, flags, nbd.CHUNK_OFFSET_DATA, cookie, length)
    return head + nbd.CHUNK_OFFSET.pack(offset_bytes)


def _room_behind(head: bytes, size_bytes: int) -> tuple[bytearray, memoryview]:
    answer = bytearray(len(head) + size_bytes)
    answer[: len(head)] = head
    return answer, memoryview(answer)[len(head) :]


def block_status(cookie: int, extents: Iterable[tuple[int, int]]) -> bytes:
    """The answer to a block status request: (size in bytes, STATE_ flags) of consecutive extents."""
    payload = nbd.CONTEXT_ID.pack(nbd.ALLOCATION_CONTEXT_ID) + b"".join(nbd.EXTENT.pack(*extent) for extent in extents)
    return _last_chunk(nbd.CHUNK_BLOCK_STATUS, cookie, len(payload)) + payload


def _last_chunk(kind: int, cookie: int, size_bytes: int) -> bytes:
    return nbd.CHUNK.pack(nbd.CHUNK_MAGIC, nbd.CHUNK_FLAG_DONE, kind, cookie, size_bytes)

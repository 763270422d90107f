"""An image, or the rest of one, as DATA ..., END and an ACK (what a frame holds: walbd.net.image_chunk)."""

from __future__ import annotations

from functools import partial

from walbd.net import image_chunk
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.image_chunk import ChunkReader, Compress, ImageSink, ReadAt
from walbd.net.stream import Hooks, acknowledged, receive_data, send_data

# Chunks compressed side by side, whatever is asked for: each takes a buffer and a thread.
MAX_THREADS = 8


async def send_image(
    connection: Connection,
    size_bytes: int,
    bulk_bytes: int,
    read_at: ReadAt,
    compress: Compress | None,
    hooks: Hooks,
    *,
    begin_bytes: int = 0,
    threads: int = 2,
) -> None:
    """Sends an image from a byte on; returns when the receiver has acknowledged it. Progress counts what was sent.
    read_at is called by so many threads at a time (at most MAX_THREADS), in order of offsets when it is one."""
    fill = image_chunk.filler(size_bytes, bulk_bytes, read_at, compress, begin_bytes)
    # One more: it is being sent.
    buffers = [image_chunk.new_buffer(bulk_bytes) for _ in range(min(threads, MAX_THREADS) + 1)]
    async with acknowledged(connection) as ack:
        await send_data(connection, ack, fill, buffers, hooks)
        await connection.send(FrameType.END)


async def receive_image(connection: Connection, reader: ChunkReader, sink: ImageSink, hooks: Hooks) -> None:
    """Receives an image to its end; the caller acknowledges it. Raises what the sink raises, and Corrupted."""
    await receive_data(connection, partial(reader.feed, sink), hooks)
    reader.finish()

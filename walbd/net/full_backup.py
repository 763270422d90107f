"""Full backup, storage to archive (docs/protocol.md, "Full backup"; servers.md sections 3.8 and 5.7).

The steps are those of walbd.net.backup; the image is DATA ..., END. What a DATA frame holds: walbd.net.image_chunk.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from walbd.model.limits import LB_BYTES
from walbd.net import image_chunk
from walbd.net.backup import BackupReceiver, BackupRequest, BackupSender
from walbd.net.frame import FrameType
from walbd.net.image_chunk import ChunkReader, Decompress, ImageSink, ReadAt
from walbd.net.stream import Hooks, acknowledged, receive_data, send_data
from walbd.wdiff.codec import compressor

COMMAND = "dirty-full-sync3"
# Chunks compressed side by side, whatever `-sync-cmpr` asks for: each takes a buffer and a thread.
MAX_THREADS = 8


class FullBackupSender(BackupSender):
    """The storage's side."""

    command: ClassVar[str] = COMMAND

    async def ask(self) -> int:
        self._connection.start_heartbeats()
        await self._connection.send(FrameType.REQUEST, self._request.encode())
        await self._connection.recv(FrameType.ACCEPT)
        return 0

    async def send_image(self, read_at: ReadAt, hooks: Hooks | None = None) -> None:
        request = self._request
        compress = compressor(request.compress)
        fill = image_chunk.filler(request.size_lb * LB_BYTES, request.bulk_bytes, read_at, compress)
        # Two at least: while one reads, the other looks for zeros and computes the checksum.
        threads = max(2, min(request.compress.threads, MAX_THREADS))
        buffers = [image_chunk.new_buffer(request.bulk_bytes) for _ in range(threads + 1)]
        async with acknowledged(self._connection) as ack:
            await send_data(self._connection, ack, fill, buffers, hooks or Hooks())
            await self._connection.send(FrameType.END)


class FullBackupReceiver(BackupReceiver):
    """The archive's side."""

    async def receive_request(self) -> BackupRequest:
        """The storage's request. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        self._request = BackupRequest.decode(frame.payload, f"full backup request from {self._connection}")
        return self._request

    async def accept(self) -> None:
        """Agrees."""
        await self._connection.send(FrameType.ACCEPT)

    async def receive_image(self, sink: ImageSink, decompress: Decompress | None, hooks: Hooks | None = None) -> None:
        """Receives the whole image; `confirm` when it is durable. Raises what the sink raises, and Corrupted."""
        request = self._request
        what = f"image of {request.volume} from {self._connection}"
        reader = ChunkReader(request.size_lb * LB_BYTES, request.bulk_bytes, decompress, what)

        await receive_data(self._connection, partial(reader.feed, sink), hooks or Hooks())
        reader.finish()

"""Full backup, storage to archive (docs/protocol.md, "Full backup"; servers.md sections 3.8 and 5.7).

The steps are those of walbd.net.backup; the image is DATA ..., END. What a DATA frame holds: walbd.net.image_chunk.
ACCEPT tells where in the image to begin: not at 0 when the archive has a part of it from a backup that was cut, and the
storage still has the whole log since that one began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from walbd.model.compression import CompressionType
from walbd.model.error import ProtocolViolation
from walbd.model.limits import LB_BYTES, check_range
from walbd.model.uuid_text import NIL_UUID, UUID_BYTES
from walbd.model.varint import Decoder, Encoder, Record
from walbd.net.backup import BackupReceiver, BackupRequest, BackupSender
from walbd.net.frame import FrameType
from walbd.net.image_chunk import ChunkReader, Decompress, ImageSink, ReadAt
from walbd.net.image_stream import receive_image, send_image
from walbd.net.stream import Hooks
from walbd.wdiff.codec import compressor

COMMAND = "dirty-full-sync3"


@dataclass(frozen=True, slots=True)
class FullBackupRequest(Record):
    """What a storage wants to send, and the uuid of the log that it would go on with; nil: none."""

    backup: BackupRequest
    resumable_uuid: bytes

    def write(self, out: Encoder) -> None:
        self.backup.write(out)
        out.raw(self.resumable_uuid)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, BackupRequest.read(data), data.raw(UUID_BYTES))


class FullBackupSender(BackupSender):
    """The storage's side."""

    command: ClassVar[str] = COMMAND

    async def ask(self) -> int:
        self._connection.start_heartbeats()
        request = FullBackupRequest(self._request, self.resumable_uuid)
        await self._connection.send(FrameType.REQUEST, request.encode())
        frame = await self._connection.recv(FrameType.ACCEPT)
        begin = Decoder(bytes(frame.payload), f"acceptance of {self._connection}")
        begin_lb = check_range("block to begin at", begin.varint(), 0, self._request.size_lb)
        begin.finish()
        if begin_lb and self.resumable_uuid == NIL_UUID:
            raise ProtocolViolation(f"{self._connection} wants to go on with a log that was not offered")
        self.begin_bytes = begin_lb * LB_BYTES
        return 0

    async def send_image(self, read_at: ReadAt, hooks: Hooks | None = None) -> None:
        request = self._request
        compress = compressor(request.compress)
        size_bytes = request.size_lb * LB_BYTES
        # Two at least: while one reads, the other looks for zeros and computes the checksum.
        threads = max(2, request.compress.threads)
        await send_image(
            self._connection, size_bytes, request.bulk_bytes, read_at, compress, hooks or Hooks(),
            begin_bytes=self.begin_bytes, threads=threads,
        )  # fmt: skip


class FullBackupReceiver(BackupReceiver):
    """The archive's side."""

    async def receive_request(self) -> BackupRequest:
        """The storage's request; `resumable_uuid` is known then. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        request = FullBackupRequest.decode(frame.payload, f"full backup request from {self._connection}")
        self._request, self.resumable_uuid = request.backup, request.resumable_uuid
        return request.backup

    @property
    def compression(self) -> CompressionType:
        """Of the bulks that come."""
        return self._request.compress.type

    async def accept(self, begin_lb: int = 0) -> None:
        """Agrees; the image is to come from begin_lb on."""
        self._begin_bytes = begin_lb * LB_BYTES
        await self._connection.send(FrameType.ACCEPT, Encoder().varint(begin_lb).bytes())

    async def receive_image(self, sink: ImageSink, decompress: Decompress | None, hooks: Hooks | None = None) -> None:
        """Receives the image to its end; `confirm` when it is durable. Raises what the sink raises, and Corrupted."""
        request = self._request
        what = f"image of {request.volume} from {self._connection}"
        reader = ChunkReader(request.size_lb * LB_BYTES, request.bulk_bytes, decompress, what, self._begin_bytes)
        await receive_image(self._connection, reader, sink, hooks or Hooks())

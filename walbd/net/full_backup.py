"""Full backup, storage to archive (docs/protocol.md, "Full backup"; servers.md sections 3.8 and 5.7).

    client: REQUEST                           server: ACCEPT | ERROR
    client: LOG_UUID (of the new log)         server: ACK
    client: DATA ..., END                     server: ACK when the image is durable
    client: SNAPSHOT (the image's)            server: ACK when the volume is Archived

What a DATA frame holds: walbd.net.image_chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

from walbd.model.compression import CompressOpt
from walbd.model.limits import LB_BYTES, check_bulk_bytes, check_volume_name, check_volume_size_lb
from walbd.model.snapshot import Snapshot
from walbd.model.timetext import check_timestamp
from walbd.model.varint import Decoder, Encoder, Record
from walbd.net import image_chunk
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.image_chunk import ChunkReader, Compress, Decompress, ImageSink, ReadAt
from walbd.net.request_fields import check_host_kind, check_uuid
from walbd.net.stream import Hooks, acknowledged, receive_data, send_data

COMMAND = "dirty-full-sync3"
# Chunks compressed side by side, whatever `-sync-cmpr` asks for: each takes a buffer and a thread.
MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class FullBackupRequest(Record):
    """What a storage wants to send. timestamp: its UNIX time now, which becomes that of the base image."""

    host_kind: str
    volume: str
    size_lb: int
    timestamp: int
    bulk_bytes: int
    compress: CompressOpt

    def __post_init__(self) -> None:
        check_host_kind(self.host_kind)
        check_volume_name(self.volume)
        check_volume_size_lb(self.size_lb)
        check_timestamp(self.timestamp)
        check_bulk_bytes(self.bulk_bytes)

    def write(self, out: Encoder) -> None:
        out.string(self.host_kind).string(self.volume).varint(self.size_lb).varint(self.timestamp)
        out.varint(self.bulk_bytes)
        self.compress.write(out)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        kind, volume, size_lb, timestamp, bulk = (
            data.string(),
            data.string(),
            data.varint(),
            data.varint(),
            data.varint(),
        )
        return data.build(cls, kind, volume, size_lb, timestamp, bulk, CompressOpt.read(data))


class FullBackupSender:
    """The storage's side; call the methods in their order."""

    def __init__(self, connection: Connection, request: FullBackupRequest) -> None:
        self._connection = connection
        self._request = request

    async def ask(self) -> None:
        """Sends the request; raises Refused with the archive's reason."""
        self._connection.start_heartbeats()
        await self._connection.send(FrameType.REQUEST, self._request.encode())
        await self._connection.recv(FrameType.ACCEPT)

    async def send_log_uuid(self, uuid: bytes) -> None:
        """Tells the uuid the log has after its reset."""
        await self._connection.send(FrameType.LOG_UUID, check_uuid(uuid))
        await self._connection.recv(FrameType.ACK)

    async def send_image(self, read_at: ReadAt, compress: Compress | None, hooks: Hooks | None = None) -> None:
        """Sends the whole image; returns when the archive has it on disk. Progress counts bytes of the image. read_at
        is called by several threads at a time."""
        request = self._request
        fill = image_chunk.filler(request.size_lb * LB_BYTES, request.bulk_bytes, read_at, compress)
        # Two at least: while one reads, the other looks for zeros and computes the checksum.
        threads = max(2, min(request.compress.threads, MAX_THREADS))
        buffers = [image_chunk.new_buffer(request.bulk_bytes) for _ in range(threads + 1)]
        async with acknowledged(self._connection) as ack:
            await send_data(self._connection, ack, fill, buffers, hooks or Hooks())
            await self._connection.send(FrameType.END)

    async def send_snapshot(self, snapshot: Snapshot) -> None:
        """Tells which snapshot the image is; returns when the archive has recorded it."""
        await self._connection.send(FrameType.SNAPSHOT, snapshot.encode())
        await self._connection.recv(FrameType.ACK)


class FullBackupReceiver:
    """The archive's side; call the methods in their order, `confirm` after each of the three that receive."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive_request(self) -> FullBackupRequest:
        """The storage's request. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        self._request = FullBackupRequest.decode(frame.payload, f"full backup request from {self._connection}")
        return self._request

    async def accept(self) -> None:
        """Agrees."""
        await self._connection.send(FrameType.ACCEPT)

    async def receive_log_uuid(self) -> bytes:
        """The uuid of the storage's new log."""
        frame = await self._connection.recv(FrameType.LOG_UUID)
        return check_uuid(bytes(frame.payload))

    async def receive_image(self, sink: ImageSink, decompress: Decompress | None, hooks: Hooks | None = None) -> None:
        """Receives the whole image; `confirm` when it is durable. Raises what the sink raises, and Corrupted."""
        request = self._request
        what = f"image of {request.volume} from {self._connection}"
        reader = ChunkReader(request.size_lb * LB_BYTES, request.bulk_bytes, decompress, what)

        await receive_data(self._connection, partial(reader.feed, sink), hooks or Hooks())
        reader.finish()

    async def receive_snapshot(self) -> Snapshot:
        """The snapshot the image is; `confirm` when the volume is Archived."""
        frame = await self._connection.recv(FrameType.SNAPSHOT)
        return Snapshot.decode(frame.payload, f"snapshot from {self._connection}")

    async def confirm(self) -> None:
        """Tells the storage that what was received is durable."""
        await self._connection.send(FrameType.ACK)

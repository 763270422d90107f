"""What full and hash backup have in common (servers.md sections 3.8, 5.7; docs/protocol.md).

client: REQUEST                           server: ACCEPT (hash: and SNAPSHOT) | ERROR
client: LOG_UUID (of the new log)         server: ACK
the image                                 server: ACK when it is durable
client: SNAPSHOT (the image's)            server: ACK when the volume is Archived
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from walbd.model.compression import CompressOpt
from walbd.model.limits import check_bulk_bytes, check_volume_name, check_volume_size_lb
from walbd.model.snapshot import Snapshot
from walbd.model.timetext import check_timestamp
from walbd.model.uuid_text import NIL_UUID
from walbd.model.varint import Decoder, Encoder, Record
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.image_chunk import ReadAt
from walbd.net.request_fields import check_host_kind, check_uuid
from walbd.net.stream import Hooks


@dataclass(frozen=True, slots=True)
class BackupRequest(Record):
    """What a storage wants to send. timestamp: its UNIX time now, which becomes that of the image."""

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


class BackupSender(ABC):
    """The storage's side; call the methods in their order."""

    command: ClassVar[str]

    def __init__(self, connection: Connection, request: BackupRequest) -> None:
        self._connection = connection
        self._request = request
        self.resumable_uuid = NIL_UUID
        """To be set before `ask` when the log since a backup that was cut is complete: its uuid."""
        self.last_gid = 0
        """To be set before `ask`: a gid this storage has given already never stands for something else, even when the
        archive does not know it because the log was lost."""
        self.begin_bytes = 0
        """Known after `ask`: where the image begins that is still to be sent. 0: the log must be reset first."""

    @abstractmethod
    async def ask(self) -> int:
        """Sends the request; returns the first gid of the new log. Raises Refused with the archive's reason."""

    async def send_log_uuid(self, uuid: bytes) -> None:
        """Tells the uuid the log has after its reset."""
        await self._connection.send(FrameType.LOG_UUID, check_uuid(uuid))
        await self._connection.recv(FrameType.ACK)

    @abstractmethod
    async def send_image(self, read_at: ReadAt, hooks: Hooks | None = None) -> None:
        """Sends the image; returns when the archive has it on disk. Progress counts bytes of the image. read_at is
        called by several threads at a time."""

    async def send_snapshot(self, snapshot: Snapshot) -> None:
        """Tells which snapshot the image is; returns when the archive has recorded it."""
        await self._connection.send(FrameType.SNAPSHOT, snapshot.encode())
        await self._connection.recv(FrameType.ACK)


class BackupReceiver:
    """The archive's side; call the methods in their order, `confirm` after each of the three that receive."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive_log_uuid(self) -> bytes:
        """The uuid of the storage's new log."""
        frame = await self._connection.recv(FrameType.LOG_UUID)
        return check_uuid(bytes(frame.payload))

    async def receive_snapshot(self) -> Snapshot:
        """The snapshot the image is; `confirm` when the volume is Archived."""
        frame = await self._connection.recv(FrameType.SNAPSHOT)
        return Snapshot.decode(frame.payload, f"snapshot from {self._connection}")

    async def confirm(self) -> None:
        """Tells the storage that what was received is durable."""
        await self._connection.send(FrameType.ACK)

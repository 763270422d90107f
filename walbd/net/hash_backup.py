"""Hash backup, storage to archive (docs/protocol.md, "Hash backup"; servers.md sections 3.8 and 5.7).

The steps are those of walbd.net.backup. The archive's ACCEPT is followed by the snapshot that the new one comes after;
the image is a hash exchange (walbd.net.hash_exchange) against the archive's latest snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

from walbd.model.limits import LB_BYTES
from walbd.model.snapshot import Snapshot
from walbd.model.varint import Decoder, Encoder, Record
from walbd.net.backup import BackupReceiver, BackupRequest, BackupSender
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.hash_exchange import Shape, receive_differences, send_differences
from walbd.net.image_chunk import ReadAt
from walbd.net.request_fields import HASH_KEY_BYTES, check_hash_key
from walbd.net.stream import Hooks, Read

COMMAND = "dirty-hash-sync2"


@dataclass(frozen=True, slots=True)
class HashBackupRequest(Record):
    """What a storage wants to send, and the key of the hashes, which nobody else knows before."""

    backup: BackupRequest
    key: bytes

    def __post_init__(self) -> None:
        check_hash_key(self.key)

    @property
    def shape(self) -> Shape:
        """How the image is cut."""
        return Shape(self.backup.size_lb * LB_BYTES, self.backup.bulk_bytes)

    def write(self, out: Encoder) -> None:
        self.backup.write(out)
        out.raw(self.key)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, BackupRequest.read(data), data.raw(HASH_KEY_BYTES))


class HashBackupSender(BackupSender):
    """The storage's side."""

    command: ClassVar[str] = COMMAND

    def __init__(self, connection: Connection, request: BackupRequest) -> None:
        super().__init__(connection, request)
        self._hash_request = HashBackupRequest(request, connection.world.random_bytes(HASH_KEY_BYTES))

    async def ask(self) -> int:
        """Sends the request; the new log begins after all gids that the archive knows or this storage has given."""
        self._connection.start_heartbeats()
        await self._connection.send(FrameType.REQUEST, self._hash_request.encode())
        await self._connection.recv(FrameType.ACCEPT)
        frame = await self._connection.recv(FrameType.SNAPSHOT)
        latest = Snapshot.decode(frame.payload, f"latest snapshot from {self._connection}")
        return max(latest.gid_end, self.last_gid) + 1

    async def send_image(self, read_at: ReadAt, hooks: Hooks | None = None) -> None:
        """Sends what differs from the archive's latest snapshot."""
        request = self._hash_request
        await send_differences(
            self._connection, request.shape, request.key, read_at, self._request.compress, hooks or Hooks()
        )


class HashBackupReceiver(BackupReceiver):
    """The archive's side."""

    async def receive_request(self) -> HashBackupRequest:
        """The storage's request. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        self._request = HashBackupRequest.decode(frame.payload, f"hash backup request from {self._connection}")
        return self._request

    async def accept(self, latest: Snapshot) -> None:
        """Agrees; the gids of the backup come after this snapshot's."""
        await self._connection.send(FrameType.ACCEPT)
        await self._connection.send(FrameType.SNAPSHOT, latest.encode())

    async def receive_differences(self, read: Read, feed: Callable[[memoryview], object], hooks: Hooks) -> None:
        """`read` gives the latest snapshot's image in sequence, `feed` takes the packs of what differs; `confirm` when
        they are durable. Raises what the two raise, and Corrupted."""
        request = self._request
        await receive_differences(self._connection, request.shape, request.key, read, feed, hooks)

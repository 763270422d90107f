"""The image of any snapshot, read from an archive (docs/protocol.md, "Virtual scan"; servers.md section 5.13).

    client: REQUEST                           server: ACCEPT (size in blocks) | ERROR
                                              server: DATA ..., END
    client: ACK

What a DATA frame holds: walbd.net.image_chunk. Bulks are compressed with snappy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from walbd.model.limits import (
    LB_BYTES,
    MAX_VOLUME_SIZE_LB,
    check_bulk_bytes,
    check_range,
    check_volume_name,
    check_volume_size_lb,
)
from walbd.model.size import parse_uint
from walbd.model.varint import Decoder, Encoder, Record
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.image_chunk import ChunkReader, Compress, Decompress, ImageSink, ReadAt
from walbd.net.image_stream import receive_image, send_image
from walbd.net.messages import Result
from walbd.net.stream import Hooks

COMMAND = "virt-full-scan"


@dataclass(frozen=True, slots=True)
class ScanRequest(Record):
    """Which image. size_lb: how much of it from its beginning, 0 = all; sleep_percentage: share of time to sleep."""

    volume: str
    gid: int
    bulk_bytes: int
    size_lb: int
    sleep_percentage: int

    def __post_init__(self) -> None:
        check_volume_name(self.volume)
        check_bulk_bytes(self.bulk_bytes)
        check_range("size in blocks", self.size_lb, 0, MAX_VOLUME_SIZE_LB)
        check_range("percentage of time to sleep", self.sleep_percentage, 0, 99)

    def write(self, out: Encoder) -> None:
        out.string(self.volume).varint(self.gid).varint(self.bulk_bytes).varint(self.size_lb)
        out.varint(self.sleep_percentage)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, data.string(), data.varint(), data.varint(), data.varint(), data.varint())


class ScanSender:
    """The archive's side; call the methods in their order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive_request(self) -> ScanRequest:
        """What is wanted. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        self._request = ScanRequest.decode(frame.payload, f"scan request from {self._connection}")
        return self._request

    async def accept(self, size_lb: int) -> None:
        """Agrees, and tells how long the image is."""
        await self._connection.send(FrameType.ACCEPT, Result((str(size_lb),)).encode())

    async def send_image(self, read_at: ReadAt, size_lb: int, compress: Compress, hooks: Hooks) -> None:
        """Sends the image; returns when the client has all of it. read_at is called in order of offsets."""
        bulk_bytes = self._request.bulk_bytes
        await send_image(self._connection, size_lb * LB_BYTES, bulk_bytes, read_at, compress, hooks, threads=1)


class ScanReceiver:
    """The client's side; call the methods in their order."""

    def __init__(self, connection: Connection, request: ScanRequest) -> None:
        self._connection = connection
        self._request = request

    async def ask(self) -> int:
        """Size of the image in blocks. Raises Refused with the archive's reason."""
        self._connection.start_heartbeats()
        await self._connection.send(FrameType.REQUEST, self._request.encode())
        frame = await self._connection.recv(FrameType.ACCEPT)
        what = f"size of the image from {self._connection}"
        return check_volume_size_lb(parse_uint("".join(Result.decode(frame.payload, what).strings)))

    async def receive_image(self, size_lb: int, sink: ImageSink, decompress: Decompress, hooks: Hooks) -> None:
        """Receives the image. Raises what the sink raises, Corrupted, Refused with the archive's reason."""
        what = f"image of {self._request.volume} from {self._connection}"
        reader = ChunkReader(size_lb * LB_BYTES, self._request.bulk_bytes, decompress, what)
        await receive_image(self._connection, reader, sink, hooks)

    async def confirm(self) -> None:
        """Tells the archive that the image has been written."""
        await self._connection.send(FrameType.ACK)

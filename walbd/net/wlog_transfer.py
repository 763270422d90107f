"""Log of a volume, storage to proxy (docs/protocol.md, "Wlog transfer"; servers.md sections 3.7 and 4.4).

client: REQUEST                           server: ACCEPT | ERROR
client: DATA ... (log packs end to end), END (end lsid, diff)
                                          server: ACK when the diff is durable
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from walbd.model.diff import Diff
from walbd.model.error import InvalidArgument
from walbd.model.limits import INVALID_LSID, check_range, check_volume_name, check_volume_size_lb
from walbd.model.varint import Decoder, Encoder, Record
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.request_fields import UINT32_MAX, check_uuid
from walbd.net.stream import Hooks, Read, acknowledged, receive_bytes, send_bytes

COMMAND = "wlog-transfer"
PBS_CHOICES = (512, 4096)
# One transfer is at most this long (-wl is a few hundred MiB; one huge pack may exceed that).
MAX_LOG_BYTES = 1 << 40


@dataclass(frozen=True, slots=True)
class WlogRequest(Record):
    """What a storage wants to send: log of the device `uuid` from begin_lsid on, at most max_log_pb physical blocks of
    pbs bytes. size_lb: of the volume; salt: of its log checksums."""

    volume: str
    uuid: bytes
    pbs: int
    salt: int
    size_lb: int
    begin_lsid: int
    max_log_pb: int

    def __post_init__(self) -> None:
        check_volume_name(self.volume)
        check_uuid(self.uuid)
        if self.pbs not in PBS_CHOICES:
            raise InvalidArgument(f"bad physical block size:{self.pbs}", "it is 512 or 4096")
        check_range("salt", self.salt, 0, UINT32_MAX)
        check_volume_size_lb(self.size_lb)
        check_range("log size in physical blocks", self.max_log_pb, 1, MAX_LOG_BYTES // self.pbs)
        check_range("begin lsid", self.begin_lsid, 0, INVALID_LSID - 1 - self.max_log_pb)

    @property
    def max_log_bytes(self) -> int:
        """The most that may be sent."""
        return self.max_log_pb * self.pbs

    def write(self, out: Encoder) -> None:
        out.string(self.volume).raw(self.uuid).varint(self.pbs).varint(self.salt)
        out.varint(self.size_lb).varint(self.begin_lsid).varint(self.max_log_pb)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        volume, uuid = data.string(), data.raw(16)
        return data.build(cls, volume, uuid, *(data.varint() for _ in range(5)))


@dataclass(frozen=True, slots=True)
class WlogEnd(Record):
    """What was sent: the lsid after its last pack, and the diff it makes."""

    end_lsid: int
    diff: Diff

    def __post_init__(self) -> None:
        check_range("end lsid", self.end_lsid, 0, INVALID_LSID - 1)
        if not self.diff.is_clean:
            raise InvalidArgument(f"diff of a log must be clean:{self.diff}")

    def write(self, out: Encoder) -> None:
        out.varint(self.end_lsid)
        self.diff.write(out)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, data.varint(), Diff.read(data))


class WlogSender:
    """The storage's side; call the methods in their order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, request: WlogRequest) -> None:
        """Sends the request; raises Refused with the proxy's reason."""
        self._connection.start_heartbeats()
        await self._connection.send(FrameType.REQUEST, request.encode())
        await self._connection.recv(FrameType.ACCEPT)

    async def send_log(self, read: Read, end: Callable[[], WlogEnd], hooks: Hooks | None = None) -> None:
        """Sends what `read` gives (whole packs), then what `end` tells; returns when the proxy has it on disk."""
        async with acknowledged(self._connection) as ack:
            await send_bytes(self._connection, ack, read, hooks or Hooks())
            await self._connection.send(FrameType.END, end().encode())


class WlogReceiver:
    """The proxy's side; call the methods in their order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive_request(self) -> WlogRequest:
        """The storage's request. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        self._request = WlogRequest.decode(frame.payload, f"wlog transfer request from {self._connection}")
        return self._request

    async def accept(self) -> None:
        """Agrees."""
        await self._connection.send(FrameType.ACCEPT)

    async def receive_log(self, feed: Callable[[memoryview], object], hooks: Hooks | None = None) -> WlogEnd:
        """Hands the log to `feed` in order, in threads; returns its end. Never more than was announced. Raises what
        `feed` raises."""
        request = self._request
        frame = await receive_bytes(self._connection, feed, request.max_log_bytes, hooks or Hooks())
        what = f"end of the log of {request.volume} from {self._connection}"
        end = WlogEnd.decode(frame.payload, what)
        check_range(f"{what}: lsid", end.end_lsid, request.begin_lsid, request.begin_lsid + request.max_log_pb)
        return end

    async def confirm(self) -> None:
        """Tells the storage that the diff is durable: it may forget the log."""
        await self._connection.send(FrameType.ACK)

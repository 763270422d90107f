"""A diff, proxy or archive to archive (docs/protocol.md, "Wdiff transfer"; servers.md sections 4.5, 4.6 and 5.6).

client: REQUEST                           server: ANSWER(word) | ERROR
after `accept`:
client: DATA ... (wdiff packs end to end), END
                                          server: ACK when the diff is durable
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from walbd.model.diff import Diff
from walbd.model.error import ProtocolViolation
from walbd.model.limits import check_range, check_volume_name, check_volume_size_lb
from walbd.model.varint import Decoder, Encoder, Record
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.request_fields import check_host_kind, check_uuid
from walbd.net.stream import Hooks, Read, acknowledged, receive_bytes, send_bytes

COMMAND = "wdiff-transfer"
# Header field of wdiff files: the largest I/O in logical blocks, 0 when not known.
MAX_IO_FIELD_LB = 0xFFFF
# No diff is larger: the largest file the archive's file systems hold.
MAX_DIFF_BYTES = 1 << 50


class Answer(StrEnum):
    """What the archive thinks of an offered diff (servers.md section 4.6). Refusals with another reason are ERROR
    frames."""

    ACCEPT = "accept"
    TOO_OLD_DIFF = "too-old-diff"
    TOO_NEW_DIFF = "too-new-diff"
    DIFFERENT_UUID = "different-uuid"
    SMALLER_LV_SIZE = "smaller-lv-size"
    ARCHIVE_NOT_FOUND = "archive-not-found"
    SYNCING = "syncing"
    STOPPED = "stopped"
    WDIFF_RECV = "wdiff-recv"


@dataclass(frozen=True, slots=True)
class WdiffRequest(Record):
    """The diff offered. uuid: of the log it was made from; size_lb: of the volume."""

    host_kind: str
    volume: str
    uuid: bytes
    size_lb: int
    diff: Diff
    max_io_lb: int = 0

    def __post_init__(self) -> None:
        check_host_kind(self.host_kind)
        check_volume_name(self.volume)
        check_uuid(self.uuid)
        check_volume_size_lb(self.size_lb)
        check_range("largest I/O in blocks", self.max_io_lb, 0, MAX_IO_FIELD_LB)

    def write(self, out: Encoder) -> None:
        out.string(self.host_kind).string(self.volume).raw(self.uuid).varint(self.size_lb)
        self.diff.write(out)
        out.varint(self.max_io_lb)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        kind, volume, uuid, size_lb = data.string(), data.string(), data.raw(16), data.varint()
        return data.build(cls, kind, volume, uuid, size_lb, Diff.read(data), data.varint())


class WdiffSender:
    """The proxy's side; call the methods in their order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, request: WdiffRequest) -> Answer:
        """Offers a diff; goes on only after Answer.ACCEPT. Raises Refused with the archive's other reasons."""
        self._connection.start_heartbeats()
        await self._connection.send(FrameType.REQUEST, request.encode())
        frame = await self._connection.recv(FrameType.ANSWER)
        word = bytes(frame.payload).decode(errors="replace")
        for answer in Answer:
            if answer == word:
                return answer
        raise ProtocolViolation(f"{self._connection}: unknown answer to a diff: {word}")

    async def send_packs(self, read: Read, hooks: Hooks | None = None) -> None:
        """Sends what `read` gives; returns when the archive has it on disk: the diff may be forgotten."""
        async with acknowledged(self._connection) as ack:
            await send_bytes(self._connection, ack, read, hooks or Hooks())
            await self._connection.send(FrameType.END)


class WdiffReceiver:
    """The archive's side; call the methods in their order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive_request(self) -> WdiffRequest:
        """The diff offered. Refuse it with `answer`, for reasons that are no Answer by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        return WdiffRequest.decode(frame.payload, f"wdiff transfer request from {self._connection}")

    async def answer(self, answer: Answer) -> None:
        """Tells the proxy; any answer but ACCEPT ends the conversation."""
        await self._connection.send(FrameType.ANSWER, answer.encode())

    async def receive_packs(self, feed: Callable[[memoryview], object], hooks: Hooks | None = None) -> None:
        """Hands the pack stream to `feed` in order, in threads. Raises what `feed` raises."""
        await receive_bytes(self._connection, feed, MAX_DIFF_BYTES, hooks or Hooks())

    async def confirm(self) -> None:
        """Tells the proxy that the diff is durable."""
        await self._connection.send(FrameType.ACK)

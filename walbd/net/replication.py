"""Replication, archive to archive (docs/protocol.md, "Replication"; servers.md section 5.14).

client: REQUEST                           server: ANSWER(full | resync | follow) | ERROR

full:   client: REQUEST (image)           server: ACCEPT (the byte to begin at)
        client: DATA ..., END             server: ACK when the volume is Archived
resync: client: REQUEST (image)           server: ACCEPT, hash exchange, ACK when the volume is Archived

then, as often as there is something:     server: SNAPSHOT (its latest)
hash:   client: ANSWER(hash), REQUEST     server: ACCEPT, hash exchange, ACK when the diff is durable
diff:   client: ANSWER(diff), REQUEST     server: ACCEPT
        client: DATA (packs) ..., END     server: ACK when the diff is durable
end:    client: ANSWER(end)               server: ACK
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from walbd.model.compression import CompressOpt
from walbd.model.diff import Diff
from walbd.model.error import BadState, ProtocolViolation
from walbd.model.limits import LB_BYTES, check_bulk_bytes, check_volume_name, check_volume_size_lb
from walbd.model.size import parse_uint
from walbd.model.snapshot import Snapshot
from walbd.model.state import MetaState
from walbd.model.varint import Decoder, Encoder, Record
from walbd.net.connection import Connection
from walbd.net.frame import FrameType
from walbd.net.hash_exchange import Shape, receive_differences, send_differences
from walbd.net.image_chunk import ChunkReader, Decompress, ImageSink, ReadAt
from walbd.net.image_stream import receive_image, send_image
from walbd.net.messages import Result
from walbd.net.request_fields import HASH_KEY_BYTES, UUID_BYTES, check_hash_key, check_uuid
from walbd.net.stream import Hooks, Read, acknowledged, receive_bytes, send_bytes
from walbd.net.wdiff_transfer import MAX_DIFF_BYTES
from walbd.wdiff.codec import compressor

COMMAND = "repl-sync3"


class Way(StrEnum):
    """How the server's volume gets what it has not: the whole image, what differs from its base, or diffs."""

    FULL = "full"
    RESYNC = "resync"
    FOLLOW = "follow"


class Step(StrEnum):
    """What the client sends next: what differs between two snapshots, a diff, or nothing."""

    HASH = "hash"
    DIFF = "diff"
    END = "end"


@dataclass(frozen=True, slots=True)
class ReplicationRequest(Record):
    """A volume, the identity of its history at the client, and whether the server's may be given up."""

    volume: str
    archive_uuid: bytes
    is_resync: bool

    def __post_init__(self) -> None:
        check_volume_name(self.volume)
        check_uuid(self.archive_uuid)

    def write(self, out: Encoder) -> None:
        out.string(self.volume).raw(self.archive_uuid).bool(self.is_resync)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        return data.build(cls, data.string(), data.raw(UUID_BYTES), data.bool())


@dataclass(frozen=True, slots=True)
class ImageOffer(Record):
    """An image: what it holds (never applying), the uuid of the log whose diffs follow, and, for a resync, the key of
    the hashes."""

    size_lb: int
    bulk_bytes: int
    state: MetaState
    uuid: bytes
    compress: CompressOpt
    key: bytes

    def __post_init__(self) -> None:
        check_volume_size_lb(self.size_lb)
        check_bulk_bytes(self.bulk_bytes)
        check_uuid(self.uuid)
        check_hash_key(self.key)
        if self.state.is_applying:
            raise BadState(f"an image that is half applied cannot be replicated:{self.state}")

    @property
    def shape(self) -> Shape:
        """How the image is cut."""
        return Shape(self.size_lb * LB_BYTES, self.bulk_bytes)

    def write(self, out: Encoder) -> None:
        out.varint(self.size_lb).varint(self.bulk_bytes)
        self.state.write(out)
        out.raw(self.uuid)
        self.compress.write(out)
        out.raw(self.key)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        size_lb, bulk_bytes, state, uuid = data.varint(), data.varint(), MetaState.read(data), data.raw(UUID_BYTES)
        return data.build(cls, size_lb, bulk_bytes, state, uuid, CompressOpt.read(data), data.raw(HASH_KEY_BYTES))


@dataclass(frozen=True, slots=True)
class DiffOffer(Record):
    """A diff, the uuid of its log, the volume's size, and, for a hash step, how images are compared."""

    size_lb: int
    diff: Diff
    uuid: bytes
    bulk_bytes: int
    key: bytes

    def __post_init__(self) -> None:
        check_volume_size_lb(self.size_lb)
        check_uuid(self.uuid)
        check_bulk_bytes(self.bulk_bytes)
        check_hash_key(self.key)

    @property
    def shape(self) -> Shape:
        """How the images are cut."""
        return Shape(self.size_lb * LB_BYTES, self.bulk_bytes)

    def write(self, out: Encoder) -> None:
        out.varint(self.size_lb)
        self.diff.write(out)
        out.raw(self.uuid).varint(self.bulk_bytes).raw(self.key)

    @classmethod
    def read(cls, data: Decoder) -> Self:
        size_lb, diff, uuid = data.varint(), Diff.read(data), data.raw(UUID_BYTES)
        return data.build(cls, size_lb, diff, uuid, data.varint(), data.raw(HASH_KEY_BYTES))


class ReplicationSender:
    """The client's side. After `ask` come `send_image` or `resync`, as the answer wants, and then rounds that begin
    with `receive_latest`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, request: ReplicationRequest) -> Way:
        """Raises Refused with the server's reason."""
        self._connection.start_heartbeats()
        await self._connection.send(FrameType.REQUEST, request.encode())
        return Way(await _word(self._connection, Way))

    async def _offer(self, offer: ImageOffer | DiffOffer) -> int:
        await self._connection.send(FrameType.REQUEST, offer.encode())
        frame = await self._connection.recv(FrameType.ACCEPT)
        what = f"place to begin at from {self._connection}"
        return parse_uint("".join(Result.decode(frame.payload, what).strings))

    async def send_image(self, offer: ImageOffer, read_at: ReadAt, hooks: Hooks) -> None:
        """Sends the image from where the server wants it; returns when its volume is Archived. read_at is called by
        several threads at a time."""
        start, size_bytes = await self._offer(offer), offer.size_lb * LB_BYTES
        if start > size_bytes or start % LB_BYTES:
            raise ProtocolViolation(f"{self._connection} wants an image of {size_bytes} bytes from byte {start} on")
        from_start = Hooks(lambda done: hooks.progress(start + done), hooks.cancelled)
        await send_image(
            self._connection, size_bytes, offer.bulk_bytes, read_at, compressor(offer.compress), from_start,
            begin_bytes=start, threads=max(2, offer.compress.threads),
        )  # fmt: skip

    async def resync(self, offer: ImageOffer, read_at: ReadAt, hooks: Hooks) -> None:
        """Sends what differs from the server's base; returns when its volume is Archived. read_at is called in order of
        offsets."""
        await self._offer(offer)
        await send_differences(
            self._connection, offer.shape, offer.key, read_at, offer.compress, hooks, is_sequential=True
        )

    async def receive_latest(self) -> Snapshot:
        """The server's latest snapshot."""
        frame = await self._connection.recv(FrameType.SNAPSHOT)
        return Snapshot.decode(frame.payload, f"latest snapshot from {self._connection}")

    async def send_hash_diff(self, offer: DiffOffer, read_at: ReadAt, compress: CompressOpt, hooks: Hooks) -> None:
        """Sends what differs from the server's latest snapshot; returns when the diff is durable there. read_at is
        called in order of offsets."""
        await self._step(Step.HASH)
        await self._offer(offer)
        await send_differences(self._connection, offer.shape, offer.key, read_at, compress, hooks, is_sequential=True)

    async def send_diff(self, offer: DiffOffer, read: Read, hooks: Hooks) -> None:
        """Sends the packs that `read` gives; returns when the diff is durable there."""
        await self._step(Step.DIFF)
        await self._offer(offer)
        async with acknowledged(self._connection) as ack:
            await send_bytes(self._connection, ack, read, hooks)
            await self._connection.send(FrameType.END)

    async def end(self) -> None:
        """There is nothing more to send."""
        await self._step(Step.END)
        await self._connection.recv(FrameType.ACK)

    async def _step(self, step: Step) -> None:
        await self._connection.send(FrameType.ANSWER, step.encode())


class ReplicationReceiver:
    """The server's side; `accept` each offer, `confirm` what is durable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive_request(self) -> ReplicationRequest:
        """What the client has. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        return ReplicationRequest.decode(frame.payload, f"replication request from {self._connection}")

    async def answer(self, way: Way) -> None:
        """Agrees, and tells how."""
        await self._connection.send(FrameType.ANSWER, way.encode())

    async def receive_image_offer(self) -> ImageOffer:
        """The image of a full replication or resync. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        return ImageOffer.decode(frame.payload, f"image offered by {self._connection}")

    async def receive_diff_offer(self) -> DiffOffer:
        """The diff of a step. Refuse it by raising."""
        frame = await self._connection.recv(FrameType.REQUEST)
        return DiffOffer.decode(frame.payload, f"diff offered by {self._connection}")

    async def accept(self, start: int = 0) -> None:
        """Agrees to an offer; an image is to come from that byte on."""
        await self._connection.send(FrameType.ACCEPT, Result((str(start),)).encode())

    async def receive_image(
        self, offer: ImageOffer, start: int, sink: ImageSink, decompress: Decompress | None, hooks: Hooks
    ) -> None:
        """Receives an image from a byte on. Raises what the sink raises, and Corrupted."""
        what = f"image from {self._connection}"
        reader = ChunkReader(offer.size_lb * LB_BYTES, offer.bulk_bytes, decompress, what, start)
        from_start = Hooks(lambda done: hooks.progress(start + done), hooks.cancelled)
        await receive_image(self._connection, reader, sink, from_start)

    async def receive_differences(
        self, offer: ImageOffer | DiffOffer, read: Read, feed: Callable[[memoryview], object], hooks: Hooks
    ) -> None:
        """`read` gives our image in sequence, `feed` takes the packs of what differs."""
        await receive_differences(self._connection, offer.shape, offer.key, read, feed, hooks)

    async def send_latest(self, latest: Snapshot) -> Step:
        """Tells the latest snapshot; returns what comes next."""
        await self._connection.send(FrameType.SNAPSHOT, latest.encode())
        return Step(await _word(self._connection, Step))

    async def receive_packs(self, feed: Callable[[memoryview], object], hooks: Hooks) -> None:
        """Hands the pack stream of a diff to `feed` in order, in threads."""
        await receive_bytes(self._connection, feed, MAX_DIFF_BYTES, hooks)

    async def confirm(self) -> None:
        """Tells the client that what was received is durable."""
        await self._connection.send(FrameType.ACK)


async def _word(connection: Connection, words: type[StrEnum]) -> str:
    """The word of an ANSWER frame. Raises ProtocolViolation for any other than these."""
    frame = await connection.recv(FrameType.ANSWER)
    word = bytes(frame.payload).decode(errors="replace")
    if word not in [str(known) for known in words]:
        raise ProtocolViolation(f"{connection}: unknown answer: {word}")
    return word

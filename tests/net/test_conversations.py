"""Full backup, wlog transfer and wdiff transfer over a network that misbehaves."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from tests.net.conversations import (
    DIFF,
    TALKS,
    UUID,
    FullBackup,
    HashBackup,
    Source,
    Talk,
    WdiffTransfer,
    WlogTransfer,
    content,
    digest,
)
from tests.net.net_testing import ARCHIVE, WORLD, Fault, Heartbeats, MemoryNetwork, until, world_on
from walbd.model.address import Address
from walbd.model.compression import CompressOpt
from walbd.model.error import (
    BadState,
    Cancelled,
    Corrupted,
    InvalidArgument,
    PeerUnreachable,
    ProtocolViolation,
    Refused,
    WalbError,
)
from walbd.net.backup import BackupRequest
from walbd.net.connection import Connection, Timing
from walbd.net.frame import FrameType
from walbd.net.full_backup import FullBackupRequest
from walbd.net.hash_backup import HashBackupRequest
from walbd.net.request_fields import HASH_KEY_BYTES
from walbd.net.server import Conversation, Server
from walbd.net.stream import Hooks
from walbd.net.wdiff_transfer import Answer, WdiffReceiver, WdiffRequest, WdiffSender
from walbd.net.wlog_transfer import WlogEnd, WlogRequest, WlogSender

SMALL = content(3 * 65536 + 512)
LARGE = content((5 << 20) + 1536)
NO_HANG_SEC = 30


class Run:
    """One conversation between a client and a server on a network in memory, from beginning to end."""

    def __init__(self, talk: Talk, to_server: Fault | None = None, to_client: Fault | None = None) -> None:
        self.talk = talk
        self.network = MemoryNetwork(to_server, to_client)
        self.client_error: BaseException | None = None
        self.server_errors: list[BaseException] = []

    async def __call__(self, timing: Timing | None = None) -> Run:
        world = world_on(self.network)
        conversations = {self.talk.command: Conversation(self.talk.serve, False)}
        timing = timing or Timing(timeout_sec=5.0)
        server = Server(world, ARCHIVE, conversations, lambda _, error: self.server_errors.append(error), timing=timing)
        serving = asyncio.create_task(server.serve(self.network))
        async with asyncio.timeout(NO_HANG_SEC):
            await asyncio.sleep(0)
            try:
                await self.talk.run(world, timing)
            except WalbError as error:
                self.client_error = error
            await asyncio.wait(self.network.tasks)
        self.network.close()
        await serving
        assert server.open_count == 0
        return self


@pytest.mark.parametrize("kind", TALKS)
@pytest.mark.parametrize("split", [1 << 20, 1000])
async def test_what_is_sent_arrives_and_both_sides_know(kind: type[Talk], split: int) -> None:
    talk = kind(LARGE if split > 1000 else SMALL)
    seen: list[int] = []
    talk.client_hooks = Hooks(progress=seen.append)
    run = await Run(talk, Fault(split=split), Fault(split=split))()
    assert (run.client_error, run.server_errors, talk.confirmed) == (None, [], True)
    assert digest(talk.received) == digest(talk.data)
    assert seen == sorted(seen) and seen[-1] == len(talk.data)


async def check_cut(kind: type[Talk], data: bytes, to_server: Fault, to_client: Fault) -> None:
    talk = kind(data)
    run = await Run(talk, to_server, to_client)()
    if run.client_error is None:
        assert talk.confirmed and digest(talk.received) == digest(data)
    else:
        assert isinstance(run.client_error, PeerUnreachable), run.client_error
        assert "memory" in str(run.client_error)
    for error in run.server_errors:
        assert isinstance(error, PeerUnreachable), error


@pytest.mark.parametrize("kind", TALKS)
@pytest.mark.parametrize("direction", ["to_server", "to_client"])
async def test_a_cut_at_any_message_border_or_near_it_ends_both_sides_with_a_clear_error(
    kind: type[Talk], direction: str
) -> None:
    whole = await Run(kind(SMALL))()
    (pair,) = whole.network.pairs
    wire = pair[0].outgoing if direction == "to_server" else pair[0].incoming
    rng = random.Random(kind.command + direction)
    places = {place + step for place in [0, *wire.boundaries] for step in (-1, 0, 1)}
    places |= {rng.randrange(wire.sent) for _ in range(20)}
    for place in sorted(place for place in places if 0 <= place <= wire.sent):
        fault = Fault(cut_at=place)
        await check_cut(kind, SMALL, *((fault, Fault()) if direction == "to_server" else (Fault(), fault)))


@pytest.mark.parametrize("kind", TALKS)
async def test_a_cut_in_the_middle_of_much_data_ends_both_sides_with_a_clear_error(kind: type[Talk]) -> None:
    for place in (300_000, 1 << 20, 2_500_000):
        await check_cut(kind, LARGE, Fault(cut_at=place), Fault())


@pytest.mark.parametrize("kind", TALKS)
async def test_a_damaged_byte_anywhere_is_found_by_the_receiver_and_told_to_the_sender(kind: type[Talk]) -> None:
    whole = await Run(kind(SMALL))()
    wire = whole.network.pairs[0][0].outgoing
    for place in random.Random(kind.command).sample(range(wire.sent), 20):
        talk = kind(SMALL)
        run = await Run(talk, Fault(flip_at=place))()
        assert not talk.confirmed
        assert isinstance(run.server_errors[0], Corrupted | ProtocolViolation)
        assert isinstance(run.client_error, Refused | ProtocolViolation)


@pytest.mark.parametrize("kind", TALKS)
@pytest.mark.parametrize("direction", ["to_server", "to_client"])
async def test_a_peer_that_falls_silent_is_given_up_after_the_time_out(kind: type[Talk], direction: str) -> None:
    # After 100_000 bytes of data, or after the WELCOME.
    talk, fault = kind(LARGE), Fault(silent_at=100_000 if direction == "to_server" else 70)
    faults = (fault, Fault()) if direction == "to_server" else (Fault(), fault)
    run = await Run(talk, *faults)(Timing(timeout_sec=1.0))
    assert not talk.confirmed or direction == "to_client"
    assert isinstance(run.client_error, PeerUnreachable | Refused)


@pytest.mark.parametrize("kind", TALKS)
async def test_slow_work_on_either_side_is_waited_for(kind: type[Talk], monkeypatch: pytest.MonkeyPatch) -> None:
    """First the server takes longer than the time-out, then a chunk of the client."""
    talk, timing, heartbeats = kind(LARGE), Timing(timeout_sec=1.0), Heartbeats(monkeypatch)
    served: list[Connection] = []
    is_told = False

    async def pace(_: int) -> None:
        nonlocal is_told
        if not is_told:
            is_told = True
            await heartbeats.outlast(timing.timeout_sec, lambda connection: connection not in served)

    talk.client_hooks = Hooks(pace=pace)
    original = talk.serve

    async def serve(connection: Connection) -> None:
        served.append(connection)
        await heartbeats.outlast(timing.timeout_sec, lambda each: each is connection)
        await original(connection)

    talk.serve = serve  # type: ignore[method-assign]
    run = await Run(talk)(timing)
    assert (run.client_error, run.server_errors) == (None, [])
    assert digest(talk.received) == digest(talk.data)


@pytest.mark.parametrize("kind", TALKS)
@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_cancelled_transfer_ends_at_the_next_chunk_and_the_peer_hears_why(kind: type[Talk], side: str) -> None:
    talk, seen = kind(LARGE), []
    hooks = Hooks(progress=seen.append, cancelled=lambda: bool(seen))
    if side == "client":
        talk.client_hooks = hooks
    else:
        talk.server_hooks = hooks
    run = await Run(talk)()
    ours, theirs = run.client_error, next(iter(run.server_errors))
    if side == "server":
        ours, theirs = theirs, run.client_error
    assert isinstance(ours, Cancelled) and "was cancelled" in str(ours)
    assert isinstance(theirs, Refused) and "was cancelled" in str(theirs)
    assert not talk.confirmed


@pytest.mark.parametrize("kind", [WlogTransfer, WdiffTransfer])
async def test_the_senders_failure_reaches_the_receiver(kind: type[Talk], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, buffer: memoryview) -> int:
        raise Corrupted("invalid logpack IO:vol0:7:2")

    monkeypatch.setattr("tests.net.conversations.Source.read", broken)
    run = await Run(kind(SMALL))()
    assert isinstance(run.client_error, Corrupted)
    assert "invalid logpack IO:vol0:7:2" in str(run.server_errors[0])


async def test_the_receivers_failure_reaches_a_sender_in_the_middle_of_its_data() -> None:
    class FullDisk(FullBackup):
        def write(self, offset: int, data: memoryview) -> None:
            raise OSError(28, "No space left on device")

    run = await Run(FullDisk(content(20 << 20)))()
    assert isinstance(run.client_error, Refused) and "internal error: OSError" in str(run.client_error)
    assert isinstance(run.server_errors[0], OSError)


async def test_no_thread_works_on_after_the_receiver_has_given_up() -> None:
    """A cancelled handler returns only when the chunk being consumed is done with."""
    entered, leave, left = threading.Event(), threading.Event(), threading.Event()

    class Slow(FullBackup):
        def write(self, offset: int, data: memoryview) -> None:
            entered.set()
            leave.wait(10)
            left.set()

    talk = Slow(LARGE)
    network = MemoryNetwork()
    world = world_on(network)
    server = Server(world, ARCHIVE, {talk.command: Conversation(talk.serve, False)}, lambda *_: None)
    serving = asyncio.create_task(server.serve(network))
    await asyncio.sleep(0)
    client = asyncio.create_task(talk.run(world))
    await until(entered.is_set)
    ending = asyncio.create_task(server.end_connections())
    await asyncio.wait([ending], timeout=0.05)
    assert not ending.done()
    leave.set()
    await ending
    assert left.is_set()
    with pytest.raises(Refused, match="shutting down"):
        await client
    network.close()
    await serving


@pytest.mark.parametrize("answer", Answer)
async def test_every_answer_to_a_diff_arrives_as_itself(answer: Answer) -> None:
    heard: list[Answer] = []

    class Asking(WdiffTransfer):
        async def serve(self, connection: Connection) -> None:
            receiver = WdiffReceiver(connection)
            await receiver.receive_request()
            await receiver.answer(answer)

        async def talk(self, connection: Connection) -> None:
            heard.append(await WdiffSender(connection).ask(WdiffRequest("proxy", "vol0", UUID, 1 << 20, DIFF)))

    run = await Run(Asking(b""))()
    assert (heard, run.client_error, run.server_errors) == ([answer], None, [])


async def test_more_log_than_announced_is_refused() -> None:
    class Lying(WlogTransfer):
        async def talk(self, connection: Connection) -> None:
            sender = WlogSender(connection)
            await sender.ask(WlogRequest("vol0", UUID, 512, 7, 1 << 20, 100, 2))
            await sender.send_log(Source(self.data).read, lambda: WlogEnd(102, DIFF))

    run = await Run(Lying(SMALL))()
    assert isinstance(run.client_error, Refused) and "more than the 1024 bytes it announced" in str(run.client_error)


async def test_a_refusal_before_accept_carries_its_reason() -> None:
    class Busy(FullBackup):
        async def serve(self, connection: Connection) -> None:
            raise BadState("bad state:vol0:Archived", "use hash-bkp")

    run = await Run(Busy(SMALL))()
    assert isinstance(run.client_error, Refused) and run.client_error.hint == "use hash-bkp"


@pytest.mark.parametrize("volume", ["../x", "", "a" * 65, "vol/0", "vol\n0", "vol 0"])
@pytest.mark.parametrize("kind", TALKS)
async def test_a_bad_volume_name_on_the_wire_is_refused_in_every_conversation(kind: type[Talk], volume: str) -> None:
    class Raw(kind):  # type: ignore[valid-type, misc]
        async def talk(self, connection: Connection) -> None:
            good = {
                FullBackup: FullBackupRequest(BackupRequest("storage", "GOOD", 8, 0, 512, CompressOpt()), UUID),
                HashBackup: HashBackupRequest(
                    BackupRequest("storage", "GOOD", 8, 0, 512, CompressOpt()), bytes(HASH_KEY_BYTES)
                ),
                WlogTransfer: WlogRequest("GOOD", UUID, 512, 7, 8, 0, 8),
                WdiffTransfer: WdiffRequest("proxy", "GOOD", UUID, 8, DIFF),
            }[kind].encode()
            name = volume.encode()
            await connection.send(FrameType.REQUEST, good.replace(b"\x04GOOD", bytes([len(name)]) + name))
            await connection.recv(FrameType.ACCEPT, FrameType.ANSWER)

    run = await Run(Raw(SMALL))()
    assert isinstance(run.client_error, Refused) and "bad volId format" in str(run.client_error)


def test_sizes_in_requests_are_checked() -> None:
    for size_lb, bulk in ((0, 512), (2**63, 512), (8, 0), (8, 513), (8, (4 << 20) + 512)):
        with pytest.raises(InvalidArgument):
            BackupRequest("storage", "vol0", size_lb, 0, bulk, CompressOpt())
    with pytest.raises(InvalidArgument, match="bad host type:walbc"):
        BackupRequest("walbc", "vol0", 8, 0, 512, CompressOpt())
    for pbs, begin, log in ((1024, 0, 8), (512, 0, 0), (512, 2**64 - 1, 8), (512, 0, 2**60)):
        with pytest.raises(InvalidArgument):
            WlogRequest("vol0", UUID, pbs, 0, 8, begin, log)


@pytest.mark.parametrize("kind", TALKS)
async def test_the_same_over_real_sockets(kind: type[Talk], monkeypatch: pytest.MonkeyPatch) -> None:
    talk = kind(content(9 << 20))
    errors: list[BaseException] = []
    server = Server(WORLD, ARCHIVE, {talk.command: Conversation(talk.serve, False)}, lambda _, e: errors.append(e))
    listener = WORLD.network.listen("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(listener))
    monkeypatch.setattr("tests.net.conversations.SERVER", Address("127.0.0.1", listener.port))
    async with asyncio.timeout(NO_HANG_SEC):
        await talk.run(WORLD)
    serving.cancel()
    await asyncio.wait([serving])
    assert (errors, talk.confirmed, digest(talk.received)) == ([], True, digest(talk.data))


async def test_a_paced_sender_hears_at_once_that_its_receiver_shuts_down() -> None:
    paused = asyncio.Event()

    async def pace(_: int) -> None:
        paused.set()
        await asyncio.Event().wait()

    talk = FullBackup(LARGE)
    talk.client_hooks = Hooks(pace=pace)
    network = MemoryNetwork()
    world = world_on(network)
    server = Server(world, ARCHIVE, {talk.command: Conversation(talk.serve, False)}, lambda *_: None)
    serving = asyncio.create_task(server.serve(network))
    await asyncio.sleep(0)
    client = asyncio.create_task(talk.run(world))
    await until(paused.is_set)
    await server.end_connections()
    with pytest.raises(Refused, match="is shutting down"):
        await client
    serving.cancel()

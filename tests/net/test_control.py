"""Control commands over real loopback sockets."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from tests.net.net_testing import Heartbeats, until
from walbd.model.address import Address
from walbd.model.error import BadState, PeerUnreachable, Refused
from walbd.net import blocking, control
from walbd.net.client import connect
from walbd.net.connection import Timing
from walbd.net.control import ControlRequest, control_conversation
from walbd.net.control_reply import Outcome
from walbd.net.frame import FrameType
from walbd.net.handshake import Identity
from walbd.net.messages import Params, Progress
from walbd.net.server import Conversation, Server
from walbd.world.world import World

ARCHIVE = Identity("a0", "archive")
CONTROL = Identity("host1", "walbc")


class Running:
    """A server on a free loopback port."""

    def __init__(self, conversations: Mapping[str, Conversation], max_data_connections: int = 10) -> None:
        self.world = World()
        self.errors: list[tuple[str, BaseException]] = []
        self.server = Server(
            self.world,
            ARCHIVE,
            conversations,
            lambda who, error: self.errors.append((f"{who} {who.command}", error)),
            max_data_connections=max_data_connections,
        )
        listener = self.world.network.listen("127.0.0.1", 0)
        self.address = Address("127.0.0.1", listener.port)
        self._task = asyncio.create_task(self.server.serve(listener))

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.server.end_connections()

    async def call(self, command: str, *params: str, wait: bool = False) -> Outcome:
        return await control.call(self.world, self.address, command, params, CONTROL, wait=wait)


@contextlib.asynccontextmanager
async def running(max_data_connections: int = 10, **conversations: Conversation) -> AsyncIterator[Running]:
    server = Running({name.replace("_", "-"): value for name, value in conversations.items()}, max_data_connections)
    try:
        yield server
    finally:
        await server.stop()


async def echo(request: ControlRequest) -> Sequence[str]:
    return [request.command, request.peer_id, *request.params]


ECHO = control_conversation(echo)


async def test_a_command_is_answered_with_its_strings() -> None:
    async with running(get_state=ECHO) as server:
        assert await server.call("get-state", "vol0", "é\n") == Outcome(True, ["get-state", "host1", "vol0", "é\n"])


async def test_an_unknown_command_is_refused_by_name() -> None:
    async with running(status=ECHO) as server:
        with pytest.raises(Refused, match="bad protocol:nonsense:host1"):
            await server.call("nonsense")
        assert (await server.call("status")).is_done


async def test_the_reason_and_hint_of_a_refusal_reach_the_client() -> None:
    async def refuse(_: ControlRequest) -> None:
        raise BadState("vol0 is Stopped", "start it first")

    async with running(kick=control_conversation(refuse)) as server:
        with pytest.raises(Refused) as caught:
            await server.call("kick")
        assert (caught.value.message, caught.value.hint) == ("vol0 is Stopped", "start it first")


async def test_an_unexpected_exception_is_logged_and_its_text_kept_from_the_peer() -> None:
    async def fail(_: ControlRequest) -> None:
        raise ZeroDivisionError("secret")

    async with running(kick=control_conversation(fail)) as server:
        with pytest.raises(Refused, match="internal error: ZeroDivisionError") as caught:
            await server.call("kick")
        assert "secret" not in str(caught.value)
        ((who, error),) = server.errors
        assert "host1" in who and "kick" in who and isinstance(error, ZeroDivisionError)


async def test_without_wait_the_client_is_let_go_while_the_work_continues() -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def work(request: ControlRequest) -> None:
        await request.accept()
        await go.wait()
        done.set()

    async with running(restore=control_conversation(work)) as server:
        assert await server.call("restore") == Outcome(False, [])
        await until(lambda: not server.server.open_count)
        assert not done.is_set()
        go.set()
        async with asyncio.timeout(10):
            await done.wait()


@pytest.mark.parametrize("fails", [False, True])
async def test_with_wait_the_client_sees_progress_and_the_outcome(fails: bool) -> None:
    seen: list[Progress] = []
    told = asyncio.Event()

    def on_progress(progress: Progress) -> None:
        seen.append(progress)
        told.set()

    async def work(request: ControlRequest) -> Sequence[str]:
        await request.accept()
        request.progress(5, 10, "bytes", "copy")
        async with asyncio.timeout(10):
            await told.wait()
        if fails:
            raise BadState("stopped in between")
        return ["done"]

    async with running(restore=control_conversation(work)) as server:
        call = control.call(server.world, server.address, "restore", [], CONTROL, wait=True, on_progress=on_progress)
        if fails:
            with pytest.raises(Refused, match="stopped in between"):
                await call
        else:
            assert await call == Outcome(True, ["done"])
    assert seen == [Progress(5, 10, "bytes", "copy")]


async def test_work_goes_on_when_a_waiting_client_leaves() -> None:
    gone, done = asyncio.Event(), asyncio.Event()

    async def work(request: ControlRequest) -> None:
        await request.accept()
        await gone.wait()
        for step in range(100):
            request.progress(step, 100, "steps")
            await asyncio.sleep(0)
        done.set()

    async with running(restore=control_conversation(work)) as server:
        connection = await connect(server.world, server.address, "restore", CONTROL)
        await connection.send(FrameType.REQUEST, Params((), True).encode())
        await connection.recv(FrameType.ACCEPT)
        connection.close()
        gone.set()
        async with asyncio.timeout(10):
            await done.wait()


async def test_control_commands_are_served_while_all_data_connections_are_taken() -> None:
    hold = asyncio.Event()

    async def stay(_: object) -> None:
        await hold.wait()

    async with running(max_data_connections=1, wlog_transfer=Conversation(stay, False), status=ECHO) as server:
        first = await connect(server.world, server.address, "wlog-transfer", CONTROL)
        with pytest.raises(Refused, match="max data connections:1"):
            await connect(server.world, server.address, "wlog-transfer", CONTROL)
        assert (await server.call("status")).is_done
        hold.set()
        first.close()
        await until(lambda: not server.server.open_count)
        (await connect(server.world, server.address, "wlog-transfer", CONTROL)).close()


async def test_a_peer_that_works_longer_than_the_time_out_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    timing, heartbeats = Timing(timeout_sec=1.0), Heartbeats(monkeypatch)

    async def slow(_: ControlRequest) -> Sequence[str]:
        await heartbeats.outlast(timing.timeout_sec)
        return ["late"]

    async with running(status=control_conversation(slow)) as server:
        outcome = await control.call(server.world, server.address, "status", [], CONTROL, timing=timing)
        assert outcome.strings == ["late"]


async def test_shutting_down_tells_waiting_clients_why() -> None:
    async def stay(_: ControlRequest) -> None:
        await asyncio.Event().wait()

    async with running(sleep=control_conversation(stay)) as server:
        call = asyncio.create_task(server.call("sleep"))
        await until(lambda: server.server.open_count)
        await server.stop()
        with pytest.raises(Refused, match="server a0 is shutting down"):
            await call


async def test_the_blocking_client_gets_the_same_answers() -> None:
    seen: list[Progress] = []

    async def work(request: ControlRequest) -> Sequence[str]:
        await request.accept()
        request.progress(1, 2, "bytes")
        await until(lambda: seen)
        return ["x" * 60000] * 20

    async def refuse(_: ControlRequest) -> None:
        raise BadState("no")

    async with running(status=ECHO, restore=control_conversation(work), kick=control_conversation(refuse)) as server:

        def call(command: str, wait: bool) -> Outcome:
            return blocking.call(server.address, command, [], CONTROL, wait=wait, on_progress=seen.append)

        assert await asyncio.to_thread(call, "status", False) == Outcome(True, ["status", "host1"])
        assert await asyncio.to_thread(call, "restore", True) == Outcome(True, ["x" * 60000] * 20)
        assert await asyncio.to_thread(call, "restore", False) == Outcome(False, [])
        with pytest.raises(Refused, match="no"):
            await asyncio.to_thread(call, "kick", False)


def test_the_blocking_client_names_an_address_where_nobody_listens() -> None:
    with pytest.raises(PeerUnreachable, match=r"cannot connect to 127\.0\.0\.1:1: Connection refused"):
        blocking.call(Address("127.0.0.1", 1), "status", [], CONTROL)


def test_the_blocking_client_needs_no_asyncio() -> None:
    code = "import sys, walbd.net.blocking; print('asyncio' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"

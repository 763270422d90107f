from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.server.server_testing import SmallDaemon, make_runtime, running_daemon
from walbd.model.address import Address
from walbd.model.error import Refused, StorageFailure
from walbd.net.client import connect
from walbd.net.handshake import Identity
from walbd.server.common_options import CommonSettings
from walbd.server.tasks import Slots
from walbd.world.world import World


async def test_a_daemon_loads_its_volumes_opens_its_port_and_says_so(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        assert running.daemon.loaded == ["v0"]
        assert running.lines == [
            f"INFO run:listening on 127.0.0.1:{running.daemon.port}",
            "INFO run:Ready to accept connections",
        ]
        assert (await running.call("get", "host-type")).strings == ["storage"]


async def test_an_occupied_port_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = SmallDaemon(CommonSettings(port=port, bind="127.0.0.1"), make_runtime(World())[0])
        with pytest.raises(StorageFailure, match=f"cannot listen on 127.0.0.1:{port}"):
            await daemon.run([])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT])
async def test_a_signal_ends_running_work_and_then_the_daemon(tmp_path: Path, number: signal.Signals) -> None:
    async with running_daemon(tmp_path) as running:
        await running.call("restore", "v0")
        await running.until("accepted")
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(running.task, 10)
    assert "WARNING [s0][c0] restore:force stopped:v0:restore" in running.lines
    assert running.daemon.events[-1] == "end"


async def test_a_graceful_shutdown_waits_for_running_work_while_commands_are_answered(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        await running.call("restore", "v0")
        await running.until("accepted")
        assert not (await running.call("shutdown")).is_done
        assert (await running.call("get", "state", "v0")).strings == ["Running"]
        with pytest.raises(Refused, match="shutting down"):
            await running.call("restore", "v0")
        assert not running.task.done()
        running.daemon.go.set()
        running.daemon.runtime.changes.notify()
        assert await asyncio.wait_for(running.task, 10)
    assert "INFO [s0][c0] restore succeeded:v0" in running.lines
    assert "INFO [s0][c0] shutdown:graceful:c0" in running.lines


async def test_a_second_shutdown_request_escalates(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        await running.call("restore", "v0")
        await running.until("accepted")
        for _ in range(2):
            await running.call("shutdown", "graceful")
        assert await asyncio.wait_for(running.task, 10)
    assert "INFO [s0][c0] shutdown:force:c0" in running.lines


async def test_a_client_that_waits_hears_of_the_outcome_before_the_daemon_ends(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        waiting = asyncio.create_task(running.call("restore", "v0", wait=True))
        await running.until("accepted")
        await running.call("shutdown", "force")
        with pytest.raises(Refused, match="force stopped:v0:restore"):
            await waiting
        assert await running.task


async def test_work_that_waits_for_a_silent_peer_is_cancelled_by_a_forced_shutdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("walbd.server.daemon.FORCE_STEP_SEC", 0.1)
    async with running_daemon(tmp_path) as running:
        me = Identity("p0", "proxy")
        async with await connect(World(), Address("127.0.0.1", running.daemon.port), "wait", me):
            await running.until("waiting")
            await running.call("shutdown", "force")
            assert await asyncio.wait_for(running.task, 10)
        assert running.daemon.events[-1] == "cancelled"


async def test_work_that_cannot_be_ended_is_reported_as_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("walbd.server.daemon.FORCE_STEP_SEC", 0.1)
    async with running_daemon(tmp_path) as running:
        work = running.daemon.works.begin("restore", "v0", Slots.UNLIMITED)
        await running.call("shutdown", "force")
        assert not await asyncio.wait_for(running.task, 10)
        with work:
            pass


async def test_a_failing_end_of_service_does_not_keep_the_daemon_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: SmallDaemon) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SmallDaemon, "end_service", fail)
    async with running_daemon(tmp_path) as running:
        await running.call("shutdown")
        assert await asyncio.wait_for(running.task, 10)
    assert any(line.startswith("ERROR shutdown:internal error: ZeroDivisionError") for line in running.lines)


async def test_a_signal_during_recovery_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    async def recover(self: SmallDaemon, names: list[str]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr(SmallDaemon, "recover", recover)
    runtime, lines = make_runtime(World())
    assert await asyncio.wait_for(SmallDaemon(CommonSettings(port=0), runtime).run([]), 10)
    assert lines == ["INFO shutdown:force:SIGTERM"]


async def test_a_peer_that_asks_for_something_unknown_is_told_and_logged(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        with pytest.raises(Refused, match="bad protocol:frobnicate:c0"):
            await running.call("frobnicate")
        assert any(line.startswith("WARNING [s0][c0] frobnicate:bad protocol") for line in running.lines)
        assert (await running.call("get", "host-type")).is_done


async def test_data_conversations_are_served_and_counted(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        me = Identity("p0", "proxy")
        async with await connect(World(), Address("127.0.0.1", running.daemon.port), "transfer", me):
            pass
        async with await connect(World(), Address("127.0.0.1", running.daemon.port), "transfer", me):
            pass
        lines = (await running.call("get", "handler-stat")).strings
        assert "PROTOCOL_COUNT\ttransfer\tp0\t2" in lines

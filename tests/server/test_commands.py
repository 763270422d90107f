from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.server.server_testing import Running, running_daemon
from walbd.model.error import InvalidArgument, Refused
from walbd.server.handler_stats import MAX_CLIENTS, HandlerStats
from walbd.server.parameters import Parameters


async def lines(running: Running, *words: str) -> list[str]:
    return (await running.call(*words)).strings


async def test_the_common_commands_answer(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        assert await lines(running, "get", "pid") == [str(os.getpid())]
        assert await lines(running, "get", "vol") == ["v0"]
        assert await lines(running, "get", "state", "v0") == ["Running"]
        assert await lines(running, "get", "state", "v9") == ["Clear"]
        assert await lines(running, "get", "word", "x") == ["word", "x"]
        assert await lines(running, "status") == ["hostType storage"]
        assert await lines(running, "status", "v0", "ignored") == ["hostType storage", "v0"]
        assert await lines(running, "sleep", "0") == []
        (version,) = await lines(running, "version")
        assert [field.split(":")[0] for field in version.split("\t")] == ["version", "build_date", "log_version"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["get"], "target not specified"),
        (["get", "frob"], "no such target:frob"),
        (["get", "state"], "missing required params: 0 1"),
        (["get", "state", "a", "b"], "bad size:1:2"),
        (["get", "state", "../x"], "bad volId format: bad character:../x"),
        (["status", "a b"], "bad volId format"),
        (["stop", "v9"], "bad state:v9:Clear"),
        (["stop", "v0", "sometime"], "bad stop mode:sometime"),
        (["restore", ""], "required parameter is empty: 0 1"),
        (["shutdown", "now"], "parseShutdownParam:bad option:now"),
        (["sleep", "1k"], "not a number:1k"),
        (["sleep", "100000"], "seconds out of range"),
        (["exec", "/bin/true"], "exec command is not allowed"),
    ],
)
async def test_what_is_not_acceptable_is_refused_with_a_reason(tmp_path: Path, words: list[str], message: str) -> None:
    async with running_daemon(tmp_path) as running:
        with pytest.raises(Refused) as caught:
            await running.call(*words)
        assert message in str(caught.value)


async def test_a_stop_is_accepted_done_and_logged(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        assert (await running.call("stop", "v0", "force", wait=True)).is_done
        assert "INFO [s0][c0] stop succeeded:v0:force" in running.lines
        assert await lines(running, "get", "state", "v0") == ["Ready"]


async def test_work_can_be_watched_and_its_failure_read_afterwards(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        await running.call("restore", "v0")
        await running.until("accepted")
        assert [line.rsplit("\t", 1)[1] for line in await lines(running, "get", "tasks", "v0")] == ["result:running"]
        await running.call("stop", "v0", "force", wait=True)
        (line,) = await lines(running, "get", "tasks")
        assert line.endswith("result:force stopped:v0:restore")
    assert "WARNING [s0][c0] restore:force stopped:v0:restore" in running.lines


async def test_reading_the_statistics_resets_them(tmp_path: Path) -> None:
    async with running_daemon(tmp_path) as running:
        await running.call("version")
        await running.call("get", "pid")
        first = await lines(running, "get", "handler-stat")
        assert {"PROTOCOL_COUNT\tversion\tc0\t1", "PROTOCOL_COUNT\tget\tc0\t2", "GET_COUNT\tpid\tc0\t1"} <= set(first)
        assert any(line.startswith("PROTOCOL_LATENCY\tversion\t0.0") for line in first)
        second = await lines(running, "get", "handler-stat")
        assert "PROTOCOL_COUNT\tget\tc0\t1" in second
        assert not any("version" in line for line in second)


def test_the_statistics_of_many_clients_are_bounded() -> None:
    stats = HandlerStats()
    for number in range(MAX_CLIENTS + 50):
        stats.count_command("status", f"client{number}")
    lines = stats.take_lines()
    assert len(lines) == MAX_CLIENTS + 1
    assert lines[-1] == "PROTOCOL_COUNT\tstatus\t(others)\t50"


def test_parameters_have_defaults_and_limits() -> None:
    params = Parameters(["v0", "7", "64k"], 1, 4)
    assert (params.volume(), params.number(1), params.size_bytes(2), len(params)) == ("v0", 7, 65536, 3)
    assert (params.number(3, 9), params.size_bytes(3, 5), params.text(3, "x")) == (9, 5, "x")
    assert params.bulk_bytes(2, 1024) == 65536
    with pytest.raises(InvalidArgument, match="bulk size"):
        params.bulk_bytes(1, 1024)

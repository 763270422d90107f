"""exec: programs at the server's host, where the operator allowed it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.group_testing import until
from tests.server.server_testing import Running, running_daemon
from walbd.model.error import Refused


async def run(running: Running, *words: str) -> list[str]:
    return (await running.call("exec", *words)).strings


async def test_lines_of_stdout_come_back_trimmed_and_without_empty_ones(tmp_path: Path) -> None:
    async with running_daemon(tmp_path, allow_exec=True) as running:
        assert await run(running, "/bin/sh", "-c", "printf ' a b \\n\\nc'; echo e >&2") == ["a b", "c"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no command given"),
        (["sh"], "not an absolute path:sh"),
        (["/no/such/program"], "command not found:/no/such/program"),
        (["/bin"], "command not found:/bin"),
        (["/bin/sh", ""], "empty string:1"),
        (["/bin/sh", "-c", "echo why >&2; exit 3"], "child process has returned non-zero:768:/bin/sh (hint: why)"),
        (["/bin/sh", "-c", "kill -9 $$"], "child process has returned non-zero:9"),
        (["/bin/sh", "-c", "yes | head -c 2000000"], "bytes of output"),
    ],
)
async def test_what_cannot_be_run_or_fails_is_refused_with_its_reason(
    tmp_path: Path, words: list[str], message: str
) -> None:
    async with running_daemon(tmp_path, allow_exec=True) as running:
        with pytest.raises(Refused) as caught:
            await run(running, *words)
        assert message in str(caught.value)


async def test_a_forced_shutdown_ends_a_running_program(tmp_path: Path) -> None:
    started = tmp_path.parent / f"{tmp_path.name}.started"
    async with running_daemon(tmp_path, allow_exec=True) as running:
        call = asyncio.create_task(run(running, "/bin/sh", "-c", f"echo > {started}; exec sleep 600"))
        await until(started.exists)
        await running.call("shutdown", "force")
        with pytest.raises(Refused, match="ended by a shutdown"):
            await call

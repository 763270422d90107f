"""Runs one command of an archive in child processes that are killed (SIGKILL) at chosen file operations.

    python -m tests.archive.crash_scenarios FOLDER SCENARIO FAULT SEED COUNT

FOLDER/base is the prepared base directory. For each chosen number N a copy FOLDER/N is made and a child carries out the
scenario on it until its Nth file operation, which is not executed: the child is killed there (FAULT kill), or the
operation fails and the child goes on (FAULT fail). COUNT numbers are drawn with SEED, 0 means all. Prints the numbers.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.archive.archive_testing import RunningArchive, clean_diff, running_archive
from tests.archive.crash_history import HASHED_IMAGE, NEW_IMAGE, ROUNDS, STALE_IMAGE
from walbd.model.error import WalbError

HOOKED = (
    *("rename", "fsync", "fdatasync", "unlink", "mkdir", "rmdir", "ftruncate", "write", "pwrite"),
    *("copy_file_range", "open", "fchmod"),
)
MAX_OPERATIONS = 400


async def init(archive: RunningArchive) -> None:
    await archive.call("init-vol", "v1")


async def full_backup(archive: RunningArchive) -> None:
    await archive.full_backup(NEW_IMAGE, volume="ready")


async def hash_backup(archive: RunningArchive) -> None:
    await archive.hash_backup(HASHED_IMAGE, 5)


def replica_of(base: Path) -> Path:
    """The base directory of the second archive."""
    return base.with_name(f"{base.name}-replica")


async def replicate(archive: RunningArchive) -> None:
    """The base image, then what differs from a base that has moved on, then diffs."""
    folder = replica_of(archive.base)
    folder.mkdir()
    async with running_archive(folder, node_id="a1") as second:
        await second.call("init-vol", "v0")
        await archive.call("replicate", "v0", "gid", "0", str(second.address))
        await archive.call("apply", "v0", "2")
        await archive.call("replicate", "v0", "size", "0", str(second.address))


async def resync(archive: RunningArchive) -> None:
    """Over another history."""
    folder = replica_of(archive.base)
    folder.mkdir()
    async with running_archive(folder, node_id="a1") as second:
        await second.call("init-vol", "v0")
        await second.full_backup(STALE_IMAGE)
        await archive.call("replicate", "v0", "size", "0", str(second.address), "1", "1")


async def receive(archive: RunningArchive) -> None:
    await archive.offer(clean_diff(3, 4), ROUNDS[3])


async def restore(archive: RunningArchive) -> None:
    await archive.call("restore", "v0", "2")


async def delete_restored(archive: RunningArchive) -> None:
    await archive.call("del-restored", "v0", "1")


async def stop(archive: RunningArchive) -> None:
    await archive.call("stop", "v0")


async def start(archive: RunningArchive) -> None:
    await archive.call("start", "stopped")


async def clear(archive: RunningArchive) -> None:
    await archive.call("clear-vol", "stopped")


async def reset(archive: RunningArchive) -> None:
    await archive.call("reset-vol", "stopped")


async def apply(archive: RunningArchive) -> None:
    await archive.call("apply", "v0", "2")


async def merge(archive: RunningArchive) -> None:
    await archive.call("merge", "v0", "0", "gid", "3")


async def enable(archive: RunningArchive) -> None:
    await archive.call("enable-snapshot", "v0", "1", "2")


async def resize(archive: RunningArchive) -> None:
    await archive.call("resize", "v0", "128K")


SCENARIOS: dict[str, Callable[[RunningArchive], Awaitable[None]]] = {
    action.__name__: action
    for action in (
        *(init, full_backup, hash_backup, receive, restore, delete_restored, stop, start, clear, reset),
        *(apply, merge, enable, resize, replicate, resync),
    )
}


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


FAULTS = {"kill": kill, "fail": fail}


class Killer:
    """Counts file operations once armed and does the fault at number `at`."""

    def __init__(self, at: int, fault: Callable[[], None]) -> None:
        self.at = at
        self._fault = fault
        self.count = 0
        self.is_armed = False
        for name in HOOKED:
            setattr(os, name, self._hooked(getattr(os, name)))

    def _hooked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.is_armed:
                self.count += 1
                if self.count == self.at:
                    self._fault()
            return function(*args, **kwargs)

        return call


async def _act(folder: Path, scenario: str, killer: Killer) -> None:
    # One diff is open at a time, so that apply and restore have several steps.
    async with running_archive(folder, max_open=1) as archive:
        killer.is_armed = True
        with contextlib.suppress(WalbError):
            await SCENARIOS[scenario](archive)
        killer.is_armed = False


def run_child(source: Path, folder: Path, scenario: str, fault: str, at: int) -> int:
    """Carries out the scenario on a copy; returns how many operations a child that was not killed made, else 0."""
    shutil.copytree(source, folder)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        killer = Killer(at, FAULTS[fault])
        asyncio.run(_act(folder, scenario, killer))
        os.write(writer, str(killer.count).encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(pid, 0)
    with open(reader, "rb") as file:
        text = file.read()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"{scenario}: the child failed")
    return int(text or 0)


def main() -> None:
    folder, scenario, fault, seed, count = Path(sys.argv[1]), *sys.argv[2:4], *map(int, sys.argv[4:6])
    total = run_child(folder / "base", folder / "whole", scenario, "kill", MAX_OPERATIONS)
    numbers = list(range(1, total + 1))
    if count:
        numbers = sorted(random.Random(seed).sample(numbers, min(count, total)))
    for number in numbers:
        run_child(folder / "base", folder / str(number), scenario, fault, number)
    print(*numbers)


if __name__ == "__main__":
    main()

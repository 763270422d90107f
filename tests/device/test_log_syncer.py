"""Syncs in a thread of the C core, on real files."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from walbd.device.user.log_syncer import LogSyncer
from walbd.model.error import StorageFailure


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


async def result_of(syncer: LogSyncer) -> StorageFailure | None:
    ended: asyncio.Future[StorageFailure | None] = asyncio.get_running_loop().create_future()
    syncer.begin(ended.set_result)
    assert syncer.is_busy
    return await ended


async def test_each_sync_ends_with_its_own_result(fd: int) -> None:
    syncer = LogSyncer(fd, "ldev")
    for _ in range(100):
        assert await result_of(syncer) is None
        assert not syncer.is_busy
    syncer.stop()


async def test_a_sync_that_fails_names_the_file_and_the_reason() -> None:
    ends = os.pipe()
    syncer = LogSyncer(ends[1], "/dev/log")
    for _ in range(2):
        assert str(await result_of(syncer)) == "cannot sync /dev/log: Invalid argument"
    syncer.stop()
    for end in ends:
        os.close(end)


async def test_a_syncer_that_gets_no_event_says_what_to_do(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("walbd.device.user.log_syncer.os.eventfd", none_left)
    with pytest.raises(StorageFailure, match=r"no event to sync ldev: Too many open files .*raise the limits"):
        LogSyncer(fd, "ldev")


async def test_a_syncer_that_is_stopped_begins_nothing_and_tells_nobody(fd: int) -> None:
    told: list[object] = []
    syncer = LogSyncer(fd, "ldev")
    syncer.begin(told.append)
    syncer.stop()
    syncer.begin(told.append)
    await asyncio.sleep(0.01)
    assert told == []


async def test_signals_are_left_to_the_threads_of_the_program(fd: int) -> None:
    before = set(os.listdir("/proc/self/task"))
    syncer = LogSyncer(fd, "ldev")
    (added,) = set(os.listdir("/proc/self/task")) - before
    blocked = Path(f"/proc/self/task/{added}/status").read_text().split("SigBlk:")[1].split()[0]
    assert int(blocked, 16) & (1 << 14)  # SIGTERM
    syncer.stop()

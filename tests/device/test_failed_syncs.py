"""The kernel reports a failed write-back once: whoever syncs next is told that all is well, and must not believe it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.device.engine_rig import Rig
from tests.device.walb_devices import BOUND_SEC
from walbd.device.user.device_files import DeviceFiles
from walbd.model.error import BadState, StorageFailure

OPERATIONS: dict[str, Callable[[Rig], Coroutine[Any, Any, None]]] = {
    "stop": lambda rig: rig.checkpointer.stop(),
    "reset": lambda rig: rig.checkpointer.reset_wal(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_data_device_that_lost_writes_keeps_its_log_whatever_was_asked_for_meanwhile(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    before = rig.pair.super_sector()
    assert await rig.start_write(0, b"a" * 512) == 0
    await rig.engine.settle()
    gate, is_syncing = threading.Event(), threading.Event()

    def fails_once() -> None:
        if not is_syncing.is_set():
            is_syncing.set()
            assert gate.wait(BOUND_SEC)
            raise StorageFailure("injected: write-back")

    monkeypatch.setattr(rig.files, "sync_data", fails_once)
    checkpoint = asyncio.ensure_future(rig.checkpointer.take())
    assert await asyncio.to_thread(is_syncing.wait, BOUND_SEC)
    asked = asyncio.ensure_future(OPERATIONS[operation](rig))
    await asyncio.sleep(0)  # it sees a settled device and waits for the checkpoint
    gate.set()
    with pytest.raises(StorageFailure):
        await checkpoint
    with pytest.raises(BadState):
        await asked
    assert rig.pair.super_sector() == before


async def test_syncs_of_the_log_that_overlap_each_learn_of_a_lost_write(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[list[int]] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced[-1].append(fd))  # noqa: PLW0108 - the last one changes
    sector = rig.checkpointer.sector
    monkeypatch.setattr("walbd.device.user.device_files.invalidate_stale", lambda *_: 1)
    monkeypatch.setattr("walbd.device.user.device_files.LogSyncer", lambda fd, path: synced[-1].append(fd))
    for sync in (
        lambda: DeviceFiles.log_syncer(rig.files),
        lambda: rig.files.super_sync(sector),
        lambda: rig.files.clear_stale(0, 1),
    ):
        synced.append([])
        sync()
    used = [rig.files.log_fd] + [fd for fds in synced for fd in set(fds)]
    assert len(used) == len(set(used)) == 5  # the data device's, too

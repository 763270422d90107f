"""Whichever operation on log or data device fails, and whether it was done or not: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from tests.device.engine_rig import Rig, WatchedFiles
from tests.device.walb_devices import Pair
from walbd.device.user import look_ahead
from walbd.model.error import BadState, StorageFailure

SIZE_BYTES = 64 << 10
OPERATIONS = (
    "write_log", "sync_log", "log_synced", "write_data", "sync_data", "super_sync", "clear_stale", "reset",
)  # fmt: skip


class Faults:
    """Lets the n-th blocking operation and, as with a broken disk, all after it fail: before or after they are done."""

    def __init__(self, files: WatchedFiles, first: int, *, are_done: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for name in OPERATIONS:
            real = getattr(files, name)

            def call(*args: object, real: object = real, name: str = name) -> object:
                self.count += 1
                is_failing = self.count > first
                if is_failing and not are_done:
                    raise StorageFailure(f"injected: {name}")
                result = real(*args)  # type: ignore[operator]
                if is_failing:
                    raise StorageFailure(f"injected: {name}")
                return result

            monkeypatch.setattr(files, name, call)


async def live(rig: Rig, rng: random.Random, image: bytearray) -> list[tuple[int, bytes]]:
    """Writes one after the other until one fails. Acknowledged ones are in the image; the rest is returned."""
    for _ in range(20):
        size = 512 * rng.randrange(1, 14)  # one record, which is there or not
        offset = 512 * rng.randrange((SIZE_BYTES - size) // 512)
        kind = rng.random()
        data = bytes(size) if kind < 0.3 else rng.randbytes(size)
        start = rig.start_discard(offset, size) if kind < 0.3 else rig.start_write(offset, data, is_fua=kind < 0.5)
        if await start:
            return [(offset, data)]
        image[offset : offset + size] = data
        with contextlib.suppress(StorageFailure, BadState):
            if kind > 0.9:
                await rig.checkpointer.take()
            elif kind > 0.87:
                await rig.checkpointer.reset_wal()
    return []


def close(rig: Rig) -> None:
    rig.engine.stop()
    rig.world._threads.shutdown(wait=True)  # a sync in progress would keep the lock on its file
    rig.files.close()


def after_a_fault(pair: Pair, first: int, are_done: bool, monkeypatch: pytest.MonkeyPatch) -> int:
    """One life with a fault, one without; how many operations there were."""
    rng, image = random.Random(first), bytearray(SIZE_BYTES)

    async def broken() -> tuple[int, list[tuple[int, bytes]]]:
        rig = Rig(pair)
        with monkeypatch.context() as patch:
            faults = Faults(rig.files, first, are_done=are_done, monkeypatch=patch)
            unknown = await live(rig, rng, image)
            with contextlib.suppress(StorageFailure, BadState):
                await rig.checkpointer.stop()
        close(rig)
        return faults.count, unknown

    async def repaired(unknown: list[tuple[int, bytes]]) -> None:
        rig = Rig(pair)
        content = bytearray(await rig.read(0, SIZE_BYTES))
        for offset, data in unknown:  # it may be there
            if content[offset : offset + len(data)] == data:
                image[offset : offset + len(data)] = data
        assert content == image
        assert await rig.start_write(0, b"again".ljust(512)) == 0
        await rig.checkpointer.stop()
        close(rig)

    count, unknown = asyncio.run(broken())
    asyncio.run(repaired(unknown))
    return count


@pytest.mark.parametrize("are_done", [False, True])
def test_a_device_whose_disk_broke_has_all_that_was_acknowledged_when_it_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, are_done: bool
) -> None:
    monkeypatch.setattr(look_ahead, "WINDOW_BYTES", 16 * 512)
    first = int(are_done)
    while True:
        pair = Pair(tmp_path, log_bytes=64 << 10, data_bytes=SIZE_BYTES)
        if after_a_fault(pair, first, are_done, monkeypatch) <= first:
            break  # it came to its end without the fault
        first += 2
    assert first > 30

"""What a crash has left behind the end of the log never comes back, though a start does not read the whole ring."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.device.engine_rig import Rig
from tests.device.walb_devices import Pair
from walbd.device.user import look_ahead
from walbd.device.user.device_files import DeviceFiles
from walbd.device.user.start import open_device
from walbd.model.error import StorageFailure

BLOCK = 512
PACK_PB = 2


def close(rig: Rig) -> None:
    rig.engine.stop()
    rig.files.close()


async def write_blocks(rig: Rig, letter: bytes, count: int) -> None:
    """Each becomes a pack of its own."""
    for number in range(count):
        assert await rig.start_write(number * BLOCK, letter * BLOCK) == 0


def after_a_power_cut(pair: Pair, count: int) -> None:
    """A log of `count` packs of which the first was lost, and nothing on the data device."""

    async def life() -> None:
        rig = Rig(pair)
        await write_blocks(rig, b"s", count)
        close(rig)

    asyncio.run(life())
    with open(pair.ldev, "r+b") as ldev:
        ldev.seek(pair.super_sector().ring_offset_pb * BLOCK)
        ldev.write(bytes(BLOCK))
    pair.ddev.write_bytes(bytes(pair.size_bytes))


@pytest.mark.parametrize("window_pb", [4, 8, 30, 1000])
def test_log_that_ends_where_lost_log_went_on_is_not_continued_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window_pb: int
) -> None:
    monkeypatch.setattr(look_ahead, "WINDOW_BYTES", window_pb * BLOCK)
    pair = Pair(tmp_path)
    after_a_power_cut(pair, 50)

    async def life() -> None:
        rig = Rig(pair)
        await write_blocks(rig, b"n", 20)
        assert rig.engine.positions.latest == 20 * PACK_PB
        close(rig)

    asyncio.run(life())
    files = DeviceFiles(str(pair.ldev), str(pair.ddev))
    sector, _ = open_device(files, "vol")
    files.close()
    assert sector.written_lsid == 20 * PACK_PB
    assert pair.ddev.read_bytes()[: 50 * BLOCK] == b"n" * 20 * BLOCK + bytes(30 * BLOCK)


async def test_a_write_larger_than_the_window_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ahead, "WINDOW_BYTES", 2 * BLOCK)
    rig = Rig(Pair(tmp_path, log_bytes=64 << 10))
    assert await rig.start_write(0, b"x" * (16 << 10)) == 0
    assert await rig.read(0, 16 << 10) == b"x" * (16 << 10)
    close(rig)


async def test_a_ring_that_cannot_be_searched_makes_the_device_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_ahead, "WINDOW_BYTES", 8 * BLOCK)
    rig = Rig(Pair(tmp_path, log_bytes=64 << 10))

    def fails(begin_lsid: int, end_lsid: int) -> None:
        raise StorageFailure("injected: search")

    monkeypatch.setattr(rig.files, "clear_stale", fails)
    writes = [rig.start_write(number * BLOCK, b"x" * BLOCK) for number in range(20)]
    await rig.until(lambda: bool(rig.engine.failure))
    assert "injected: search" in rig.engine.failure
    assert (await asyncio.gather(*writes))[-1] != 0
    close(rig)


async def test_a_reset_during_a_search_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ahead, "WINDOW_BYTES", 8 * BLOCK)
    rig = Rig(Pair(tmp_path, log_bytes=64 << 10))
    gate = rig.gate("clear stale")
    write = rig.start_write(0, b"x" * (8 << 10))
    reset = asyncio.ensure_future(rig.checkpointer.reset_wal())
    await rig.until(lambda: rig.engine._search_busy)
    assert not reset.done()
    gate.set()
    await reset
    assert await write == 0
    # The new log has another salt: nothing is to be searched.
    rig.files.failing.add("clear stale")
    await write_blocks(rig, b"n", 100)
    close(rig)


def test_a_start_reads_a_window_of_a_large_ring_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ahead, "WINDOW_BYTES", 8 << 20)
    pair = Pair(tmp_path, log_bytes=256 << 20)
    before = bytes_read()
    files = DeviceFiles(str(pair.ldev), str(pair.ddev))
    open_device(files, "vol")
    files.close()
    assert bytes_read() - before < 2 * look_ahead.WINDOW_BYTES


def bytes_read() -> int:
    with open("/proc/self/io") as file:
        return int(next(line.split()[1] for line in file if line.startswith("rchar")))

"""The write path inside one process, on real files, with failures and delays put into single file operations."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from demo.group import wait_until
from tests.device.engine_rig import Rig
from tests.device.walb_devices import BOUND_SEC, Pair
from walbd.device.nbd_protocol import EIO
from walbd.model.error import BadState, InvalidArgument, StorageFailure


async def test_a_write_is_read_back_before_it_is_on_the_data_device(rig: Rig) -> None:
    rig.gate("write data")
    assert await rig.start_write(0, b"a" * 1024, is_fua=True) == 0
    assert await rig.start_discard(512, 512) == 0
    assert await rig.read(0, 2048) == b"a" * 512 + bytes(1536)
    assert rig.pair.ddev.read_bytes()[:1024] == bytes(1024)


async def test_nothing_reaches_the_data_device_before_its_log_is_synced(rig: Rig) -> None:
    for number in range(30):
        await rig.start_write(512 * number, bytes([number]) * 512, is_fua=number % 7 == 0)
        if number % 5 == 0:
            await rig.start_flush()
    await rig.engine.settle()
    synced, logged = 0, []
    for what, value in rig.files.journal:
        if what == "write log":
            logged.append(value)
        elif what == "log synced":
            synced = max(synced, value)
        elif what == "write data":
            # Write n is alone in its pack: header and one block, so it ends at 2 * (n + 1).
            assert 2 * (value + 1) <= synced
    assert len(logged) == 30


async def test_a_write_is_acknowledged_when_it_is_logged_and_a_flush_when_it_is_synced(rig: Rig) -> None:
    gate = rig.gate("sync log")
    assert await rig.start_write(0, b"a" * 512) == 0
    flush = rig.start_flush()
    fua = rig.start_write(512, b"b" * 512, is_fua=True)
    plain = rig.start_write(1024, b"c" * 512)
    await asyncio.sleep(0.02)
    assert not flush.done() and not fua.done() and not plain.done()
    gate.set()
    assert [await flush, await fua, await plain] == [0, 0, 0]


async def test_a_sync_covers_only_what_was_in_the_log_when_it_began(rig: Rig) -> None:
    gate = rig.gate("sync log")
    await rig.start_write(0, b"a" * 512)
    rig.engine._start_sync()
    await rig.start_write(512, b"b" * 512)
    flush = rig.start_flush()
    gate.set()
    assert await flush == 0
    assert [lsid for what, lsid in rig.files.journal if what == "log synced"] == [2, 4]


async def test_a_flush_with_nothing_to_sync_returns_at_once(rig: Rig) -> None:
    assert await rig.start_flush() == 0
    assert rig.files.journal == []


async def test_what_arrives_during_a_log_write_becomes_one_batch(rig: Rig) -> None:
    gate = rig.gate("write log")
    writes = [rig.start_write(512 * number, b"x" * 512) for number in range(10)]
    gate.set()
    await asyncio.gather(*writes)
    assert len([what for what, _ in rig.files.journal if what == "write log"]) == 2
    assert rig.engine.positions.latest == 2 + 10


async def test_what_arrives_during_a_sync_that_somebody_waits_for_becomes_one_batch(rig: Rig) -> None:
    gate = rig.gate("sync log")
    writes = [rig.start_write(512 * number, b"x" * 512, is_fua=True) for number in range(10)]
    gate.set()
    assert set(await asyncio.gather(*writes)) == {0}
    done = [what for what, _ in rig.files.journal if what in ("write log", "log synced")]
    assert done == ["write log", "log synced"] * 2


async def test_a_write_does_not_wait_for_the_sync_of_the_one_it_came_with(rig: Rig) -> None:
    gate = rig.gate("sync log")
    rig.engine.hold()
    fua, plain = rig.start_write(0, b"a" * 512, is_fua=True), rig.start_write(512, b"b" * 512)
    rig.engine.release()
    assert await plain == 0
    assert not fua.done()
    gate.set()
    assert await fua == 0


async def test_a_small_write_is_logged_without_a_thread(rig: Rig) -> None:
    for number in range(3):
        await rig.start_write(512 * number, b"x" * 512)
    assert rig.files.log_threads == ["MainThread"] * 3


async def test_the_loop_never_writes_what_may_take_its_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walbd.device.user.log_writer.MAX_AT_ONCE_BYTES", 512)
    await rig.start_write(0, b"x" * 1024)
    syncing = rig.gate("sync log")
    rig.engine._start_sync()
    await rig.start_write(0, b"x" * 512)
    syncing.set()
    await rig.engine.settle()
    assert rig.files.log_threads == ["walb-log"] * 2

    monkeypatch.setattr("walbd.device.user.log_writer.SLOW_SEC", -1.0)  # every write is slow now
    await rig.start_write(0, b"x" * 512)
    monkeypatch.setattr("walbd.device.user.log_writer.SLOW_SEC", BOUND_SEC)
    for _ in range(2):
        await rig.start_write(0, b"x" * 512)
    assert rig.files.log_threads[2:] == ["MainThread", "walb-log", "MainThread"]


async def test_log_that_was_not_shipped_is_not_filled_over(rig: Rig) -> None:
    """The log ends in the block in which the oldest log begins."""
    positions, ring_pb = rig.engine.positions, rig.checkpointer.sector.ring_size_pb

    async def write(size_pb: int) -> None:
        await rig.start_write(0, b"x" * 512 * size_pb)
        await rig.engine.settle()
        await rig.checkpointer.take()

    await write(20)
    oldest = positions.latest
    await write(1)
    await rig.checkpointer.set_oldest(oldest)
    while (left_pb := oldest + ring_pb - positions.latest) > 2:
        await write(min(left_pb - 3, 9))
    assert left_pb == 2 and not rig.engine.is_overflow
    assert (rig.checkpointer.sector.ring_offset_pb + oldest) % 8 > 2
    assert rig.files.has_pack(rig.checkpointer.sector, oldest)


async def test_overlapping_writes_end_in_the_order_of_the_log(rig: Rig) -> None:
    for number in range(50):
        rig.start_write(512 * (number % 3), bytes([number]) * 1024)
    await rig.engine.settle()
    expected = bytearray(2048)
    for number in range(50):
        expected[512 * (number % 3) : 512 * (number % 3) + 1024] = bytes([number]) * 1024
    assert rig.pair.ddev.read_bytes()[:2048] == expected


async def test_no_more_log_is_ever_without_a_sync_than_a_start_looks_after(rig: Rig) -> None:
    rig.engine._max_unsynced_pb = 20
    gate = rig.gate("sync log")
    writes = [rig.start_write(512 * number, b"a" * 512) for number in range(60)]
    await rig.until(lambda: rig.engine._needs_sync)
    assert not rig.engine._log_busy and rig.engine.positions.latest <= 20
    assert not writes[-1].done()
    gate.set()
    assert set(await asyncio.gather(*writes)) == {0}


async def test_small_writes_reach_the_data_device_together_and_at_once_when_somebody_waits(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("walbd.device.user.engine.DATA_DELAY_SEC", BOUND_SEC)
    for number in range(3):
        await rig.start_write(512 * number, b"x" * 512, is_fua=True)
    assert rig.engine.positions.written == 0
    await rig.engine.settle()
    assert rig.pair.ddev.read_bytes()[:2048] == b"x" * 1536 + bytes(512)


async def test_much_permanent_log_reaches_the_data_device_at_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walbd.device.user.engine.DATA_DELAY_SEC", BOUND_SEC)
    monkeypatch.setattr("walbd.device.user.engine.MUCH_LOG_BYTES", 2 * 512)
    rig.engine.use(rig.checkpointer.sector)
    await rig.start_write(0, b"x" * 512, is_fua=True)
    await rig.until(lambda: rig.engine.positions.written == rig.engine.positions.latest)


async def test_permanent_and_written_follow_without_further_writes(rig: Rig) -> None:
    await rig.start_write(0, b"x" * 512)
    await rig.until(lambda: rig.engine.positions.written == rig.engine.positions.latest == 2)
    assert rig.engine.positions.prev_written == 0
    await rig.checkpointer.take()
    assert rig.engine.positions.prev_written == 2
    assert rig.pair.super_sector().written_lsid == 2


async def test_the_ring_is_never_reused_before_a_checkpoint(rig: Rig) -> None:
    ring_pb = rig.checkpointer.sector.ring_size_pb
    gate = rig.gate("super sync")
    writes = [rig.start_write(0, bytes([number]) * 8192) for number in range(40)]
    await rig.until(lambda: rig.engine.positions.written + 34 > ring_pb)
    assert rig.engine.positions.latest <= ring_pb
    assert not writes[-1].done()
    gate.set()
    assert set(await asyncio.gather(*writes)) == {0}
    assert rig.files.most_log_pb <= ring_pb
    assert rig.engine.is_overflow and rig.engine.notices.events == 1
    assert await rig.read(0, 8192) == bytes([39]) * 8192


async def test_a_checkpoint_during_a_log_write_that_found_no_room_is_not_missed(rig: Rig) -> None:
    ring_pb = rig.checkpointer.sector.ring_size_pb
    rig.engine.on_checkpoint_needed = lambda: None
    while rig.engine.positions.latest + 17 <= ring_pb:
        await rig.start_write(0, bytes(8192))
    await rig.engine.settle()
    gate = rig.gate("write log")
    write = rig.start_write(0, bytes(8192))
    await rig.checkpointer.take()
    gate.set()
    assert await asyncio.wait_for(write, BOUND_SEC) == 0


async def test_a_checkpoint_that_gave_too_little_room_is_followed_by_another(rig: Rig) -> None:
    rig.checkpointer.set_interval_ms(0)
    await rig.start_write(0, bytes(512), is_fua=True)
    await rig.engine.settle()
    gate = rig.gate("super sync")
    rig.checkpointer._ask()
    await asyncio.sleep(0)
    writes = [rig.start_write(0, bytes(8192)) for _ in range(20)]
    await rig.until(lambda: rig.engine._needs_room and rig.engine.positions.written == rig.engine.positions.latest)
    gate.set()
    assert set(await asyncio.wait_for(asyncio.gather(*writes), BOUND_SEC / 6)) == {0}


async def test_overflow_is_flagged_and_only_a_reset_clears_it(rig: Rig) -> None:
    for _ in range(20):
        await rig.start_write(0, bytes(8192))
    assert rig.engine.is_overflow
    await rig.engine.settle()
    await rig.checkpointer.take()
    await rig.checkpointer.set_oldest(rig.engine.positions.prev_written)
    assert rig.engine.is_overflow
    before = rig.checkpointer.sector
    await rig.checkpointer.reset_wal()
    after = rig.pair.super_sector()
    assert not rig.engine.is_overflow and set(rig.engine.positions.snapshot().__getstate__()) == {0}  # type: ignore[arg-type]
    assert after.uuid != before.uuid and after.salt != before.salt
    assert (after.oldest_lsid, after.written_lsid) == (0, 0)


async def test_set_oldest_takes_only_pack_boundaries_up_to_the_checkpoint(rig: Rig) -> None:
    for _ in range(3):
        await rig.start_write(0, bytes(1024))
    await rig.engine.settle()
    with pytest.raises(InvalidArgument, match="out of range"):
        await rig.checkpointer.set_oldest(3)
    await rig.checkpointer.take()
    with pytest.raises(InvalidArgument, match="no log pack"):
        await rig.checkpointer.set_oldest(4)
    await rig.checkpointer.set_oldest(3)
    assert rig.pair.super_sector().oldest_lsid == 3
    with pytest.raises(InvalidArgument, match="out of range"):
        await rig.checkpointer.set_oldest(0)
    await rig.checkpointer.set_oldest(9)


@pytest.mark.parametrize("what", ["write log", "sync log", "write data", "super sync"])
async def test_an_io_error_makes_the_device_read_only(rig: Rig, what: str) -> None:
    await rig.start_write(0, b"k" * 512)
    await rig.engine.settle()
    rig.files.failing.add(what)
    first = rig.start_write(512, b"n" * 512, is_fua=what == "sync log")
    if what == "super sync":
        await rig.until(lambda: rig.engine.positions.written == 4)
        with pytest.raises(StorageFailure):
            await rig.checkpointer.take()
    await rig.until(lambda: bool(rig.engine.failure))
    assert await first == (EIO if what in ("write log", "sync log") else 0)
    assert what in rig.engine.failure
    assert await rig.start_write(0, b"z" * 512) == EIO
    assert await rig.start_flush() == EIO
    assert await rig.read(0, 512) == b"k" * 512
    for call in (rig.checkpointer.take, rig.checkpointer.stop, rig.checkpointer.reset_wal):
        with pytest.raises(BadState, match="read-only"):
            await call()
    assert rig.engine.notices.events == 1


async def test_a_checkpoint_that_cannot_be_stored_names_the_log_device_and_what_to_do(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await rig.start_write(0, b"k" * 512)
    await rig.engine.settle()

    def fails(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("walbd.wlog.super_sector.os.pwrite", fails)
    with pytest.raises(StorageFailure, match=f"super sector of {rig.pair.ldev}: Input/output error"):
        await rig.checkpointer.take()
    told = capsys.readouterr().err
    assert f"read-only from now on: cannot write the super sector of {rig.pair.ldev}: Input/output error; " in told
    assert "start the device again: the log redoes every acknowledged write" in told


async def test_a_freeze_holds_writes_and_flushes_back_and_loses_none(rig: Rig) -> None:
    await rig.start_write(0, b"a" * 512)
    await rig.checkpointer.freeze(0)
    assert rig.engine.positions.written == rig.engine.positions.latest
    held = [rig.start_write(0, b"b" * 512), rig.start_write(512, b"c" * 512), rig.start_flush()]
    await asyncio.sleep(0.02)
    assert not any(future.done() for future in held)
    assert await rig.read(0, 1024) == b"a" * 512 + bytes(512)
    with pytest.raises(BadState, match="frozen"):
        await rig.checkpointer.reset_wal()
    await rig.checkpointer.freeze(0)
    rig.checkpointer.melt()
    assert [await future for future in held] == [0, 0, 0]
    rig.checkpointer.melt()
    assert await rig.read(0, 1024) == b"b" * 512 + b"c" * 512


async def test_a_freeze_that_is_melted_before_writes_have_ended_is_not_reported_as_one(rig: Rig) -> None:
    gate = rig.gate("write data")
    write = rig.start_write(0, b"a" * 512, is_fua=True)
    freeze = asyncio.ensure_future(rig.checkpointer.freeze(0))
    await rig.until(lambda: rig.checkpointer.is_frozen)
    rig.checkpointer.melt()
    gate.set()
    assert await write == 0
    with pytest.raises(BadState, match="melted"):
        await freeze
    assert not rig.checkpointer.is_frozen


@pytest.mark.parametrize("lost", ["first", "second"])
async def test_a_freeze_whose_client_is_lost_melts_nothing_that_another_waits_for(rig: Rig, lost: str) -> None:
    gate = rig.gate("write data")
    rig.start_write(0, b"a" * 512)
    freezes = {name: asyncio.ensure_future(rig.checkpointer.freeze(0)) for name in ("first", "second")}
    await asyncio.sleep(0)  # both wait for the write
    freezes.pop(lost).cancel()
    await asyncio.sleep(0)
    held = rig.start_write(512, b"b" * 512)
    gate.set()
    for other in freezes.values():
        await asyncio.wait_for(other, BOUND_SEC)
    assert rig.checkpointer.is_frozen and not held.done()
    rig.checkpointer.melt()
    assert await held == 0


async def test_a_frozen_device_stays_frozen_when_another_freeze_fails(rig: Rig) -> None:
    await rig.checkpointer.freeze(0)
    rig.engine.fail(StorageFailure("injected: write-back"))
    with pytest.raises(BadState, match="read-only"):
        await rig.checkpointer.freeze(0)
    assert rig.checkpointer.is_frozen


async def test_a_freeze_that_fails_alone_leaves_no_frozen_device(rig: Rig) -> None:
    gate = rig.gate("write data")
    rig.start_write(0, b"a" * 512)
    freezes = [asyncio.ensure_future(rig.checkpointer.freeze(0)) for _ in range(2)]
    await asyncio.sleep(0)
    for freeze in freezes:
        freeze.cancel()
    await asyncio.gather(*freezes, return_exceptions=True)
    gate.set()
    assert not rig.checkpointer.is_frozen
    assert await asyncio.wait_for(rig.start_write(512, b"b" * 512), BOUND_SEC) == 0


async def test_a_freeze_that_was_melted_does_not_melt_the_next_when_it_is_lost(rig: Rig) -> None:
    gate = rig.gate("write data")
    rig.start_write(0, b"a" * 512)
    first = asyncio.ensure_future(rig.checkpointer.freeze(0))
    await asyncio.sleep(0)
    rig.checkpointer.melt()
    second = asyncio.ensure_future(rig.checkpointer.freeze(0))
    await asyncio.sleep(0)
    first.cancel()
    gate.set()
    await asyncio.wait_for(second, BOUND_SEC)
    assert first.cancelled() and rig.checkpointer.is_frozen


async def test_a_frozen_device_melts_by_itself(rig: Rig) -> None:
    await rig.checkpointer.freeze(1)
    assert await asyncio.wait_for(rig.start_write(0, b"b" * 512), BOUND_SEC) == 0
    assert not rig.checkpointer.is_frozen


async def test_a_reset_keeps_the_data_and_logs_later_writes_from_lsid_0(rig: Rig) -> None:
    writes = [rig.start_write(512 * number, bytes([number + 1]) * 512) for number in range(20)]
    await rig.checkpointer.reset_wal()
    assert rig.pair.super_sector().written_lsid == 0
    await asyncio.gather(*writes)
    await rig.engine.settle()
    data = rig.pair.ddev.read_bytes()
    assert all(data[512 * number] == number + 1 for number in range(20))


async def test_a_reset_takes_a_grown_log_device_into_use(rig: Rig) -> None:
    before = rig.checkpointer.sector.ring_size_pb
    os.truncate(rig.pair.ldev, 128 << 10)
    await rig.checkpointer.reset_wal()
    assert rig.pair.super_sector().ring_size_pb == before + 128
    os.truncate(rig.pair.ldev, 64 << 10)
    with pytest.raises(BadState, match="smaller"):
        await rig.checkpointer.reset_wal()
    os.truncate(rig.pair.ldev, 128 << 10)
    assert rig.pair.super_sector().ring_size_pb == before + 128
    assert await rig.start_write(0, b"a" * 512, is_fua=True) == 0


async def test_resize_grows_within_the_data_device_only(rig: Rig) -> None:
    with pytest.raises(InvalidArgument, match="shrink"):
        await rig.checkpointer.resize(100)
    with pytest.raises(InvalidArgument, match="do not fit"):
        await rig.checkpointer.resize(4096)
    os.truncate(rig.pair.ddev, 2 << 20)
    await rig.checkpointer.resize(3000)
    assert rig.pair.super_sector().device_size_lb == 3000
    await rig.checkpointer.resize(0)
    assert rig.pair.super_sector().device_size_lb == 4096


async def test_the_periodic_checkpoint_stores_what_is_written(rig: Rig) -> None:
    rig.checkpointer.set_interval_ms(5)
    await rig.start_write(0, b"a" * 512, is_fua=True)
    await rig.until(lambda: rig.engine.positions.prev_written == 2)
    rig.checkpointer.set_interval_ms(0)
    assert rig.pair.super_sector().written_lsid == 2
    with pytest.raises(InvalidArgument):
        rig.checkpointer.set_interval_ms(86_400_001)


async def test_a_device_with_nothing_to_store_sets_no_timer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[float] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda delay_sec, *rest: timers.append(delay_sec))
    rig.checkpointer.set_interval_ms(7_000)
    assert 7.0 not in timers
    monkeypatch.undo()
    rig.checkpointer.set_interval_ms(5)
    for number in range(3):
        await rig.start_write(0, b"a" * 512, is_fua=True)
        await rig.until(lambda lsid=2 * number + 2: rig.engine.positions.prev_written == lsid)


async def test_a_stop_leaves_nothing_to_redo(rig: Rig) -> None:
    rig.start_write(0, b"a" * 512)
    rig.start_zeroes(512, 100 << 10)
    await rig.checkpointer.freeze(0)
    last = rig.start_write(0, b"b" * 512)
    await rig.checkpointer.stop()
    assert await last == 0
    assert rig.pair.super_sector().written_lsid == rig.engine.positions.latest
    assert rig.pair.ddev.read_bytes()[:513] == b"b" * 512 + b"\0"
    journal = [what for what, _ in rig.files.journal]
    assert journal[-1] == "super sync"


async def test_memory_is_given_back_when_data_are_written(rig: Rig) -> None:
    for number in range(200):
        await rig.start_write(4096 * (number % 10), bytes(4096))
    await rig.engine.settle()
    assert rig.engine._memory_bytes == 0
    assert len(rig.pool._free) <= 16


async def test_what_could_not_be_written_to_the_data_device_keeps_its_memory_for_reads(rig: Rig) -> None:
    rig.files.failing.add("write data")
    assert await rig.start_write(0, b"a" * 1024, is_fua=True) == 0
    await rig.until(lambda: bool(rig.engine.failure))
    kept = [writes.chunk for batch in rig.engine._logged for writes in batch.writes]
    assert [chunk.pins for chunk in kept if chunk is not None] == [1]
    assert await rig.read(0, 1024) == b"a" * 1024


async def test_who_waits_for_a_sync_waits_for_no_timer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walbd.device.user.engine.LOG_SYNC_SEC", 10 * BOUND_SEC)
    await rig.start_write(0, b"a" * 512)
    assert await asyncio.wait_for(rig.start_flush(), BOUND_SEC) == 0
    assert await asyncio.wait_for(rig.start_write(0, b"b" * 512, is_fua=True), BOUND_SEC) == 0
    # The next sync begins by itself when the one before has ended.
    gate = rig.gate("sync log")
    first = rig.start_write(0, b"c" * 512, is_fua=True)
    later = [rig.start_write(0, b"d" * 512), rig.start_write(512, b"e" * 512, is_fua=True)]
    gate.set()
    assert set(await asyncio.wait_for(asyncio.gather(first, *later), BOUND_SEC)) == {0}


async def test_a_device_that_fails_while_it_is_frozen_answers_what_it_holds_back(rig: Rig) -> None:
    await rig.start_write(0, b"a" * 512)
    await rig.checkpointer.freeze(0)
    held = [rig.start_flush(), rig.start_write(0, b"b" * 512, is_fua=True)]
    rig.engine.fail(StorageFailure("injected: write-back"))
    assert await asyncio.wait_for(asyncio.gather(*held), BOUND_SEC) == [EIO, EIO]
    rig.checkpointer.melt()


async def test_a_flush_that_comes_during_a_hold_is_answered_when_what_came_before_is_synced(rig: Rig) -> None:
    gate = rig.gate("sync log")
    await rig.start_write(0, b"a" * 512)
    rig.engine.hold()
    flush = rig.start_flush()
    rig.engine.release()
    await asyncio.sleep(0.02)
    assert not flush.done()
    gate.set()
    assert await flush == 0


async def test_a_flush_during_a_reset_is_answered_after_it(rig: Rig) -> None:
    gate = rig.gate("write data")
    await rig.start_write(0, b"a" * 512)
    reset = asyncio.ensure_future(rig.checkpointer.reset_wal())
    await asyncio.sleep(0)
    held = [rig.start_flush(), rig.start_write(512, b"b" * 512, is_fua=True), rig.start_flush()]
    gate.set()
    await asyncio.wait_for(reset, BOUND_SEC)
    assert await asyncio.wait_for(asyncio.gather(*held), BOUND_SEC) == [0, 0, 0]
    assert rig.engine.positions.permanent == 2 and rig.pair.super_sector().written_lsid == 0


async def test_a_stopped_device_leaves_no_thread_and_no_file_behind(tmp_path: Path) -> None:
    def in_use() -> set[str]:
        return {f"{kind} {name}" for kind in ("task", "fd") for name in os.listdir(f"/proc/self/{kind}")}

    before = in_use()
    rig = Rig(Pair(tmp_path, log_bytes=64 << 10))
    assert await rig.start_write(0, b"a" * 512, is_fua=True) == 0
    rig.engine.stop()
    rig.world._threads.shutdown(wait=True)
    rig.files.close()
    # A thread is there a moment longer than its end is known.
    wait_until(lambda: in_use() <= before, BOUND_SEC, "the end of the threads")


async def test_a_reset_that_comes_to_its_turn_after_the_stop_touches_nothing(rig: Rig) -> None:
    async def stop() -> None:
        await rig.checkpointer.stop()
        rig.engine.stop()

    await rig.start_write(0, b"a" * 512)
    await rig.engine.settle()
    gate = rig.gate("super sync")
    operations = [rig.checkpointer.take(), stop(), rig.checkpointer.reset_wal(), rig.checkpointer.resize(0)]
    taken, stopped, *late = [asyncio.ensure_future(operation) for operation in operations]
    await rig.until(lambda: len(rig.checkpointer._lock._waiters or ()) == 3)
    gate.set()
    await asyncio.wait_for(asyncio.gather(taken, stopped), BOUND_SEC)
    before = rig.pair.super_sector()
    for operation in late:
        with pytest.raises(BadState, match="the device is being stopped"):
            await operation
    assert rig.pair.super_sector() == before


async def test_a_write_that_reads_could_not_see_for_want_of_memory_is_not_logged(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(native: bytearray, count: int) -> None:
        raise MemoryError

    await rig.start_write(0, b"a" * 512, is_fua=True)
    with monkeypatch.context() as patch:
        patch.setattr(rig.engine.pending, "add", no_memory)
        with pytest.raises(MemoryError):
            rig.start_write(0, b"b" * 512, is_fua=True)
    assert rig.engine.positions.latest == 2
    await rig.engine.settle()
    assert len(rig.engine.pending) == 0
    assert await rig.read(0, 512) == b"a" * 512

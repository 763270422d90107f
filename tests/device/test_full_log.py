"""What happens when the ring is full of log that nobody has shipped: overflow, or errors (`-on-full`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.device.engine_rig import Rig
from tests.device.walb_devices import BOUND_SEC, Pair, Server
from walbd.device.nbd_protocol import EIO
from walbd.device.user.engine import OnFull
from walbd.model.error import StorageFailure

BLOCK = 8192


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Rig]:
    """A device with a ring of 150 KiB whose writes fail before the log overflows."""
    rig = Rig(Pair(tmp_path, log_bytes=160 << 10), OnFull.ERROR)
    yield rig
    rig.engine.stop()
    rig.files.close()


async def fill(rig: Rig) -> list[bytes]:
    """Writes until one fails; the contents of those that did not, block after block."""
    written: list[bytes] = []
    while True:
        content = bytes([len(written) + 1]) * BLOCK
        error = await rig.start_write(BLOCK * len(written), content)
        if error:
            assert error == EIO
            return written
        written.append(content)
        assert len(written) < 100


async def test_a_write_that_would_overflow_fails_and_nothing_is_lost(strict: Rig) -> None:
    written = await fill(strict)
    positions = strict.engine.positions
    assert len(written) in (16, 17, 18)
    assert positions.latest - positions.oldest <= strict.checkpointer.sector.ring_size_pb
    assert not strict.engine.is_overflow and strict.engine.is_full_of_log
    for number, content in enumerate(written):
        assert await strict.read(BLOCK * number, BLOCK) == content
    assert await strict.read(BLOCK * len(written), BLOCK) == bytes(BLOCK)


async def test_a_smaller_write_still_fits_where_a_larger_one_does_not(strict: Rig) -> None:
    await fill(strict)
    assert await strict.start_write(0, b"s" * 512) == 0
    assert await strict.read(0, 512) == b"s" * 512


async def test_writes_go_on_once_log_is_given_free(strict: Rig) -> None:
    written = await fill(strict)
    await strict.engine.settle()
    await strict.checkpointer.take()
    await strict.checkpointer.set_oldest(strict.engine.positions.prev_written)
    assert await strict.start_write(0, b"n" * BLOCK) == 0
    assert not strict.engine.is_full_of_log
    assert await strict.read(BLOCK, BLOCK) == written[1]


async def test_a_reset_gives_the_whole_log_free(strict: Rig) -> None:
    await fill(strict)
    await strict.checkpointer.reset_wal()
    assert await strict.start_write(0, b"n" * BLOCK) == 0


async def test_a_request_in_several_records_fails_as_a_whole_and_the_next_is_served(strict: Rig) -> None:
    await fill(strict)
    large = strict.start_zeroes(0, 64 * BLOCK)
    small = strict.start_write(0, b"s" * 512)
    async with asyncio.timeout(60):
        assert await large == EIO
        assert await small == 0


async def test_who_waits_for_log_is_woken_when_it_is_full(strict: Rig) -> None:
    before = strict.engine.notices.events
    await fill(strict)
    assert strict.engine.notices.events == before + 1
    await fill(strict)
    assert strict.engine.notices.events == before + 1


async def test_a_full_log_is_reported_once_however_sizes_mix(strict: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    await fill(strict)
    for _ in range(2):
        assert await strict.start_write(0, b"s" * 512) == 0
        assert await strict.start_write(0, bytes(BLOCK)) == EIO
    assert capsys.readouterr().err.count("the log is full") == 1
    assert strict.engine.notices.events == 1


async def test_who_is_refused_is_told_why(strict: Rig) -> None:
    assert strict.engine.refusal == ""
    await fill(strict)
    assert "full of what was not shipped" in strict.engine.refusal


async def test_by_default_writes_go_on_and_the_loss_is_flagged(rig: Rig) -> None:
    for number in range(40):
        assert await rig.start_write(BLOCK * number, bytes([number]) * BLOCK) == 0
    assert rig.engine.is_overflow and rig.engine.notices.events == 1
    assert rig.files.most_log_pb <= rig.checkpointer.sector.ring_size_pb
    for number in range(40):
        assert await rig.read(BLOCK * number, BLOCK) == bytes([number]) * BLOCK


def test_the_server_takes_the_choice_and_says_why_writes_fail(tmp_path: Path) -> None:
    with Server(Pair(tmp_path, log_bytes=64 << 10), options=("-on-full", "error")) as server:
        server.wait_ready()
        client = server.client()
        with pytest.raises(StorageFailure, match="refused a request"):
            for number in range(100):
                client.write(BLOCK * number, b"x" * BLOCK)
        client.close()
        assert server.stop() == 0
        assert "the log is full of what was not shipped yet: writes fail" in server.log_path.read_text()


def test_an_unknown_choice_is_refused_in_one_line(tmp_path: Path) -> None:
    with Server(Pair(tmp_path), options=("-on-full", "panic")) as server:
        assert server.process.wait(60) == 1
        printed = server.log_path.read_text()
        assert printed == "walb-device: error: -on-full panic is unknown (hint: write overflow or error)\n"


async def test_who_waits_for_room_is_told_when_what_was_before_them_is_refused(strict: Rig) -> None:
    await fill(strict)
    await strict.engine.settle()
    told = asyncio.Event()
    strict.engine.on_room = told.set
    gate = strict.gate("write log")
    writes = [strict.start_write(0, bytes(4 << 20)) for _ in range(8)]
    assert strict.engine.is_full
    gate.set()
    assert set(await asyncio.gather(*writes)) == {EIO}
    async with asyncio.timeout(BOUND_SEC):
        await told.wait()
    assert not strict.engine.is_full
